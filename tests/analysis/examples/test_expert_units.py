"""Average precision by hand and as in scikit-learn; planted concepts are found at both levels and signs."""

from __future__ import annotations

import numpy as np
import pytest
from planted import MONTHS, planted
from sklearn.metrics import average_precision_score

import neurowidget as nw
from neurowidget.analysis.examples.expert_units import average_precisions
from neurowidget.analysis.examples.sources import held_out_half


def test_by_hand():
    # ranks 1, 3 and 4 are positive: (1/1 + 2/3 + 3/4) / 3
    values = np.array([[9.0], [8.0], [7.0], [6.0], [5.0]])
    mask = np.array([[True, False, True, True, False]])
    assert average_precisions(values, mask)[0, 0] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    # all at one value: the base rate
    assert average_precisions(np.zeros((5, 1)), mask)[0, 0] == pytest.approx(3 / 5)
    assert np.isnan(average_precisions(values, np.zeros((1, 5), dtype=bool))[0, 0])


@pytest.mark.parametrize("ties", [False, True])
def test_as_scikit_learn(ties):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6, (300, 4)).astype(float) if ties else rng.standard_normal((300, 4))
    masks = rng.random((7, 300)) < 0.2
    found = average_precisions(values, masks)
    for concept in range(7):
        for column in range(4):
            expected = average_precision_score(masks[concept], values[:, column])
            assert found[concept, column] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_planted_concept(sign):
    acts = planted(dict.fromkeys(MONTHS, 2.0 * sign))
    found = nw.explain_neuron(acts, "L0.mlp[0]", "expert_units", concepts={"month": set(MONTHS)}, labels="label")
    best = found.statements[0]
    assert (best.text, best.sign, best.score) == ("month", sign, pytest.approx(1.0))
    assert best.details["held_out_ap"] == pytest.approx(1.0)
    assert found.held_out_score == pytest.approx(1.0)
    assert found.control_95 < 0.3
    assert {s.text for s in found.statements} == {"month", "NOUN", "VERB", "OTHER"}


def test_both_levels_against_scikit_learn():
    acts = planted({"May": 1.0, "film": 0.5}, noise=0.5)
    options = {"concepts": {"May": {"May"}}, "seed": 4}
    by_token = nw.explain_neuron(acts, "L0.mlp[0]", "expert_units", **options)
    by_sentence = nw.explain_neuron(acts, "L0.mlp[0]", "expert_units", level="sentence", **options)
    index = acts.sentence_index.astype(int)
    held = held_out_half(index, acts.tokens.texts, 4)
    is_may = np.array([piece.strip() == "May" for piece in acts.tokens.pieces])
    values = acts.neuron("L0.mlp[0]")
    highest = np.array([values[index == i].max() for i in range(100)])
    has_may = np.array([is_may[index == i].any() for i in range(100)])
    held_sentence = np.array([held[index == i][0] for i in range(100)])
    details = by_token.statements[0].details
    assert details["token_ap"] == pytest.approx(average_precision_score(is_may[~held], values[~held]))
    assert details["sentence_ap"] == pytest.approx(
        average_precision_score(has_may[~held_sentence], highest[~held_sentence])
    )
    assert details["base_rate"] == pytest.approx(is_may[~held].mean())
    ap, base = average_precision_score(is_may[held], values[held]), is_may[held].mean()
    assert by_token.held_out_score == pytest.approx((ap - base) / (1 - base))
    ap, base = average_precision_score(has_may[held_sentence], highest[held_sentence]), has_may[held_sentence].mean()
    assert by_sentence.held_out_score == pytest.approx((ap - base) / (1 - base))


def test_wrong_level():
    with pytest.raises(ValueError, match="level='text'"):
        nw.explain_neuron(planted({}), "L0.mlp[0]", "expert_units", level="text")
