"""A planted formula is found, with the numbers of plain set arithmetic, in both signs."""

from __future__ import annotations

import re

import numpy as np
import pytest
from planted import MONTHS, NOUNS, planted

import neurowidget as nw
from neurowidget.analysis.examples.sources import held_out_half


def test_planted_formula():
    # it fires on nouns that are no month, and on "often": (NOUN AND NOT month) OR often
    values = {**dict.fromkeys(NOUNS, 5.0), "often": 5.0}
    acts = planted(values)
    concepts = {"month": set(MONTHS), "often": re.compile("often"), "short": lambda word: len(word) < 4}
    found = nw.explain_neuron(
        acts, "L0.mlp[0]", "compositional", concepts=concepts, labels="label", threshold=2.5, beam=5
    )
    assert found.statements[0].text in ("(NOUN AND NOT month) OR often", "(NOUN OR often) AND NOT month")
    assert found.statements[0].score == found.held_out_score == 1.0
    assert found.control_95 == 0.0  # noise is never above the threshold
    assert found.provenance.parameters["concepts"] == ["NOUN", "OTHER", "VERB", "month", "often", "short"]
    assert nw.explain_neuron(acts, "L0.mlp[0]", "compositional", concepts=concepts, labels="label", threshold=2.5,
                             length=1).statements[0].text == "NOUN"  # fmt: skip


@pytest.mark.parametrize("sign", [1, -1])
def test_quantile_and_sign(sign):
    acts = planted({"May": 3.0 * sign, "June": 3.0 * sign})
    found = nw.explain_neuron(
        acts, "L0.mlp[0]", "compositional", concepts={w: {w} for w in (*MONTHS, "film")}, top_fraction=0.05
    )
    best = found.statements[0]
    assert (set(best.text.split(" OR ")), best.sign) == ({"May", "June"}, sign)
    assert best.details["threshold"] * sign > 2
    assert found.held_out_score > 0.4 > 0.2 > found.control_95

    index = acts.sentence_index.astype(int)
    held = held_out_half(index, acts.tokens.texts, 0)
    values = sign * acts.neuron("L0.mlp[0]")
    fires = values > sign * best.details["threshold"]
    assert fires[~held].mean() == pytest.approx(0.05, abs=0.003)
    holds = np.array([piece.strip() in ("May", "June") for piece in acts.tokens.pieces])
    for half, iou in ((~held, best.score), (held, found.held_out_score)):
        assert iou == pytest.approx((holds & fires)[half].sum() / (holds | fires)[half].sum())
    both = (holds & fires)[~held].sum()
    assert best.count == both
    assert best.details["precision"] == pytest.approx(both / holds[~held].sum())
    assert best.details["recall"] == pytest.approx(both / fires[~held].sum())


def test_a_neuron_with_two_values():
    """More rows share the highest value than the fraction asked for: all of them fire."""
    acts = planted({"May": 1.0}, noise=0.0)
    found = nw.explain_neuron(acts, "L0.mlp[0]", "compositional", concepts={"May": {"May"}, "film": {"film"}})
    assert (found.statements[0].text, found.statements[0].score, found.held_out_score) == ("May", 1.0, 1.0)
    assert not np.isfinite(found.control_scores).any() or found.control_95 == 0


def test_few_tokens_are_told():
    found = nw.explain_neuron(planted({"May": 1.0}), "L0.mlp[0]", "compositional", labels="label", top_fraction=0.01)
    assert any("above the threshold" in warning for warning in found.warnings)


@pytest.mark.parametrize("wrong", [{"length": 0}, {"beam": 0}, {"top_fraction": 1.0}])
def test_wrong_options(wrong):
    with pytest.raises(ValueError, match="expected 1 or more"):
        nw.explain_neuron(planted({}), "L0.mlp[0]", "compositional", labels="label", **wrong)


def test_statements_are_the_steps_to_the_best_formula():
    acts = planted({**dict.fromkeys(NOUNS, 5.0), "often": 5.0})
    concepts = {"month": set(MONTHS), "often": {"often"}}
    found = nw.explain_neuron(acts, "L0.mlp[0]", "compositional", concepts=concepts, labels="label", threshold=2.5)
    assert [s.details["length"] for s in found.statements] == [3, 2, 1]
    scores = [s.score for s in found.statements]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3
