"""A proposal is shown the right examples and scored by simulation and detection, as by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest
from planted import MONTHS, planted
from sklearn.metrics import roc_auc_score

import neurowidget as nw
from neurowidget.analysis.examples.proposed import area_under_curve
from neurowidget.analysis.examples.sources import held_out_half

ACTS = planted(dict.fromkeys(MONTHS, 3.0))


def propose_marked(examples):
    """What a careful reader does: the words in marks, most frequent first."""
    marked = [word for example in examples for word in re.findall("«(.*?)»", example)]
    return set(marked)


def test_a_careful_reader_finds_the_planted_words():
    found = nw.explain_neuron(ACTS, "L0.mlp[0]", "proposed", propose=propose_marked)
    assert found.statements[0].text == "July, June, May"
    assert found.held_out_score > 0.95
    assert (
        0.7 < found.statements[0].details["detection"] < 1
    )  # months are in most sentences, in those of the lower half too
    assert found.control_95 < 0.4
    assert len(found.control_scores) == 5


def test_what_is_shown():
    shown = []
    nw.explain_neuron(
        ACTS,
        "L0.mlp[0]",
        "proposed",
        propose=lambda examples: shown.append(examples) or {"May"},
        controls=0,
        examples=3,
    )
    ((first, *_),) = [shown[0]]
    assert len(shown[0]) == 3
    plain = first.replace("«", "").replace("»", "")
    held = held_out_half(ACTS.sentence_index.astype(int), ACTS.tokens.texts, 0)
    made = {ACTS.tokens.texts[i] for i in ACTS.sentence_index[~held]}
    assert plain in made
    values, words = ACTS.neuron("L0.mlp[0]"), [p.strip() for p in ACTS.tokens.pieces]
    best = np.flatnonzero(~held)[values[~held].argmax()]
    assert plain == ACTS.tokens.texts[ACTS.sentence_index[best]]
    assert set(re.findall("«(.*?)»", first)) <= set(MONTHS)
    assert words[best] in MONTHS


@pytest.mark.parametrize(
    "answer", [set(MONTHS), re.compile("May|June|July"), lambda word: word in MONTHS, list(MONTHS)]
)
def test_rules_of_every_kind_score_alike(answer):
    found = nw.explain_neuron(ACTS, "L0.mlp[0]", "proposed", propose=lambda examples: answer, controls=0)
    held = held_out_half(ACTS.sentence_index.astype(int), ACTS.tokens.texts, 0)
    predicted = [float(piece.strip() in MONTHS) for piece in np.array(ACTS.tokens.pieces)[held]]
    assert found.held_out_score == pytest.approx(np.corrcoef(predicted, ACTS.neuron("L0.mlp[0]")[held])[0, 1], abs=1e-6)


def test_a_text_is_judged_and_simulated():
    asked = []
    acts = planted({"May": 3.0})

    def judge(explanation, text):
        asked.append(text)
        assert explanation == "the month of May"
        return "May" in text

    by_judge = nw.explain_neuron(
        acts,
        "L0.mlp[0]",
        "proposed",
        propose=lambda examples: "the month of May",
        judge=judge,
        controls=0,
        sentences=10,
    )
    assert len(asked) == len(set(asked)) == 10
    assert by_judge.statements[0].details["detection"] == by_judge.held_out_score == 1.0
    assert "detection" in by_judge.score_name
    held = held_out_half(acts.sentence_index.astype(int), acts.tokens.texts, 0)
    assert not set(asked) & {acts.tokens.texts[i] for i in acts.sentence_index[~held]}
    assert sum("May" in text for text in asked) == 5

    simulated = nw.explain_neuron(
        ACTS, "L0.mlp[0]", "proposed", propose=lambda examples: "months", controls=0, sentences=10,
        simulate=lambda explanation, words: [2.0 if word in MONTHS else 0.5 for word in words],
    )  # fmt: skip
    assert simulated.held_out_score > 0.95
    assert "correlation" in simulated.score_name


def test_a_wrong_explanation_scores_nothing():
    found = nw.explain_neuron(ACTS, "L0.mlp[0]", "proposed", propose=lambda examples: {"film"}, controls=0)
    assert found.held_out_score < 0.1


def test_area_as_scikit_learn():
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 5, 60).astype(float), rng.random(60) < 0.4
    assert area_under_curve(scores, positive) == pytest.approx(roc_auc_score(positive, scores))
    assert area_under_curve(np.array([1.0, 1.0, 0.0]), np.array([True, False, False])) == 0.75
    assert np.isnan(area_under_curve(scores, np.zeros(60, dtype=bool)))


def test_answers_that_cannot_be_used():
    cases = [
        (lambda examples: "months", {}, "pass judge= or simulate="),
        (lambda examples: 3, {}, "propose returned int"),
        (lambda examples: "m", {"simulate": lambda explanation, words: [1.0]}, "one number per word"),
        (lambda examples: {"May"}, {"sentences": 1}, "sentences=1"),
    ]
    for propose, more, message in cases:
        with pytest.raises(ValueError, match=message):
            nw.explain_neuron(ACTS, "L0.mlp[0]", "proposed", propose=propose, **more)
