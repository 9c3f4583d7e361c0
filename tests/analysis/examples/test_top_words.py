"""Planted words are found with their sign, means are those of a plain loop, and the score is the held-out correlation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import planted

import neurowidget as nw
from neurowidget.analysis.examples.sources import held_out_half


def test_planted_words_at_both_ends():
    found = nw.explain_neuron(planted({"May": 3.0, "June": 2.0, "film": -2.5}), "L0.mlp[0]", top=2)
    assert [(s.text, s.sign) for s in found.statements[:3]] == [("May", 1), ("June", 1), ("film", -1)]
    assert found.held_out_score > 0.95
    assert found.control_95 < 0.3
    assert len(found.control_scores) == 11
    assert found.warnings == ()


def test_a_neuron_like_any_other_is_said_to_be_one():
    acts = planted({"May": 3.0})
    scores = {i: nw.explain_neuron(acts, f"L0.mlp[{i}]") for i in range(1, 12)}
    assert all(abs(found.held_out_score) < 0.3 for found in scores.values())
    told = [any("random neurons of the layer reach" in text for text in found.warnings) for found in scores.values()]
    assert sum(told) >= 9  # a control is the planted neuron, which no noise reaches


def test_numbers_of_a_plain_loop():
    acts = planted({"May": 3.0, "film": -2.0}, count=40)
    found = nw.explain_neuron(acts, "L0.mlp[0]", top=50, min_count=2, controls=3, seed=5)
    again = nw.explain_neuron(acts, "L0.mlp[0]", top=50, min_count=2, controls=3, seed=5)
    np.testing.assert_array_equal(found.control_scores, again.control_scores)
    index, words = acts.sentence_index.astype(int), [piece.strip() for piece in acts.tokens.pieces]
    held = held_out_half(index, acts.tokens.texts, 5)
    assert len(set(index[held])) == 20
    for name, score in [("L0.mlp[0]", found.held_out_score), (found.control_neurons[2], found.control_scores[2])]:
        values = acts.neuron(name).astype(float)
        z = (values - values[~held].mean()) / values[~held].std()
        mean = {}
        for word in set(words):
            of_word = [z[i] for i in range(len(words)) if words[i] == word and not held[i]]
            mean[word] = np.mean(of_word) if len(of_word) >= 2 else 0.0
        predicted = [mean[words[i]] for i in np.flatnonzero(held)]
        assert score == pytest.approx(np.corrcoef(predicted, z[held])[0, 1], abs=1e-6)
        if name == "L0.mlp[0]":
            assert {s.text: s.score for s in found.statements} == pytest.approx(mean, abs=1e-6)


def test_words_of_several_tokens_and_of_another_case():
    pieces = ["un", "real", "Un", "real", "x"] * 4
    tokens = nw.activations_from_array(np.zeros((20, 1)), None, np.repeat(range(4), 5), pieces).tokens
    texts = ("unreal Unreal x", "unreal Unreal x", "unreal Unreal  x", "unreal  Unreal x")
    starts = [[0, 2, 7, 9, 14], [0, 2, 7, 9, 14], [0, 2, 7, 9, 15], [0, 2, 8, 10, 15]]
    ends = [[2, 6, 9, 13, 15], [2, 6, 9, 13, 15], [2, 6, 9, 13, 16], [2, 6, 10, 14, 16]]
    tokens = replace(
        tokens, texts=texts, start=np.concatenate(starts), end=np.concatenate(ends), level="token",
        word=np.tile([0, 0, 1, 1, 2], 4),
    )  # fmt: skip
    values = np.tile([[1.0], [3.0], [4.0], [6.0], [0.0]], (4, 1))
    acts = nw.activations_from_array(values, tokens=tokens)
    found = nw.explain_neuron(acts, "L0.residual[0]", min_count=1, controls=0)
    # words have the means 2, 5 and 0: their mean is 7/3
    spread = np.std([2, 5, 0])
    assert [(s.text, s.score) for s in found.statements] == [
        ("Unreal", pytest.approx((5 - 7 / 3) / spread)),
        ("x", pytest.approx((0 - 7 / 3) / spread)),
        ("unreal", pytest.approx((2 - 7 / 3) / spread)),
    ]
    folded = nw.explain_neuron(acts, "L0.residual[0]", min_count=1, controls=0, fold_case=True)
    assert folded.statements[0].text == "unreal"
    assert folded.held_out_score < found.held_out_score == pytest.approx(1)
    assert any("no random neurons" in warning for warning in found.warnings)


def test_a_dead_neuron_has_no_statements():
    acts = planted({})
    values = acts["mlp"].copy()
    values[:, :, 0] = 2.0
    dead = nw.activations_from_array(values, acts.labels, tokens=acts.tokens, site="mlp")
    found = nw.explain_neuron(dead, "L0.mlp[0]")
    assert found.statements == ()
    assert np.isnan(found.held_out_score)
    assert "one and the same value" in found.warnings[0]
    assert np.isfinite(nw.explain_neuron(dead, "L0.mlp[1]").control_scores).sum() == 10  # the dead one has no score
