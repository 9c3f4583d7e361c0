"""The words that a planted neuron fires on drive it most when repeated; numbers by hand on a model of one-hot words."""

from __future__ import annotations

import numpy as np
import pytest
from planted import MONTHS, planted_model, sentences

import neurowidget as nw
from neurowidget.analysis.examples.concept_alignment import _candidates
from neurowidget.analysis.examples.sources import evidence_of
from neurowidget.models.progress import Cancelled


@pytest.fixture(scope="module")
def model():
    return planted_model([MONTHS, ("film",), ("the", "a"), ("river",)])


@pytest.fixture(scope="module")
def acts(model):
    return nw.extract(model, [" ".join(words) for words in sentences(60)], progress=False)


def test_planted_words(model, acts):
    found = nw.explain_neuron(acts, "L0.mlp[0]", "concept_alignment", model=model, controls=3, top=4)
    singles = [s for s in found.statements if s.details["kind"] == "word"]
    assert {s.text for s in singles} == set(MONTHS)
    assert [s.text for s in found.statements[:3]] == [s.text for s in singles]  # the words themselves come first
    assert all(s.details["activation"] == pytest.approx(1.0) for s in singles)
    values = acts.neuron("L0.mlp[0]").astype(float)
    first = held_back(acts)
    assert singles[0].score == pytest.approx((1 - values[first].mean()) / values[first].std(), abs=1e-4)
    assert found.held_out_score > 0.95


def held_back(acts):
    from neurowidget.analysis.examples.sources import held_out_half

    return ~held_out_half(acts.sentence_index.astype(int), acts.tokens.texts, 0)


def test_a_phrase_counts_by_the_share_of_its_words(model, acts):
    """A phrase of a month and another word fires on every second token of the repeated text."""
    found = nw.explain_neuron(
        acts, "L0.mlp[0]", "concept_alignment", model=model, controls=0, top=200, length=12, sentences=30
    )
    assert all(s.details["kind"] != "n-gram" or not set(s.text.split()) & set(MONTHS) for s in found.statements)
    from neurowidget.analysis.examples.concept_alignment import _repeated
    from neurowidget.analysis.examples.fixed_length import Frame
    from neurowidget.neuron import Neuron

    frame = Frame(model, Neuron(0, 0))
    rows = [_repeated(frame, text, 12) for text in ("May", "old May", "the old May", "the")]
    values = frame.values(rows, [Neuron(0, 0), Neuron(0, 2)])
    assert values.shape == (4, 12, 2)
    np.testing.assert_allclose(values.mean(axis=1), [[1, 0], [1 / 2, 0], [1 / 3, 1], [0, 3]], atol=1e-6)


def test_the_mean_over_the_repeated_text():
    """After "old" the neuron is 1 on any word: on "old old ..." at all tokens but the first."""
    model = planted_model([MONTHS, ("film",)], after="old")
    acts = nw.extract(model, [" ".join(words) for words in sentences(60)], progress=False)
    found = nw.explain_neuron(acts, "L0.mlp[0]", "concept_alignment", model=model, controls=0, top=50, progress=False)
    (old,) = [s for s in found.statements if s.text == "old"]
    assert old.details["activation"] == pytest.approx(15 / 16)


def test_candidates_are_from_the_first_half(model, acts):
    (evidence,) = evidence_of(acts, "L0.mlp[2]", 0, 0)
    made = " | ".join(acts.tokens.texts[i] for i in sorted(set(evidence.sentence[evidence.made])))
    names = _candidates(model, evidence, 0, 1, 30, 3)
    assert len(names) > 50
    assert all(name in made for name in names)


def test_a_better_concept_inside_leaves_the_longer_one_out():
    from neurowidget.analysis.examples.concept_alignment import _listed

    aligned = {"May": 3.0, "in May": 2.0, "Mayor": 1.0, "old": 0.5, "x": -1.0}
    assert _listed(aligned, dict.fromkeys(aligned, ("word", 1)), 10) == ["May", "Mayor", "old"]


def test_stop_and_wrong_options(model, acts):
    with pytest.raises(Cancelled):
        nw.explain_neuron(acts, "L0.mlp[0]", "concept_alignment", model=model, should_stop=lambda: True)
    with pytest.raises(ValueError, match="sign=2"):
        nw.explain_neuron(acts, "L0.mlp[0]", "concept_alignment", model=model, sign=2)
