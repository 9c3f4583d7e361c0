"""Arrays of other programs as results."""

from __future__ import annotations

import numpy as np
import pytest

from neurowidget.results.from_array import activations_from_array, attribution_from_array, effects_from_array
from neurowidget.results.storage import load, save

VALUES = np.arange(2 * 4 * 3).reshape(2, 4, 3)


class TestActivations:
    def test_words_of_two_texts(self):
        acts = activations_from_array(
            VALUES, labels="ABCD", sentence_index=[0, 0, 1, 1], tokens=["the", "cat", "so", "it"]
        )
        assert acts["residual"].dtype == np.float32
        np.testing.assert_array_equal(acts["residual"], VALUES)
        assert acts.tokens.texts == ("the cat", "so it")
        assert acts.tokens.pieces == ("the", " cat", "so", " it")
        for i, word in enumerate(["the", "cat", "so", "it"]):
            text = acts.tokens.texts[acts.sentence_index[i]]
            assert text[acts.tokens.start[i] : acts.tokens.end[i]] == word
        assert acts.labels == ("A", "B", "C", "D")
        assert acts.tokens.word.tolist() == [0, 1, 0, 1]
        np.testing.assert_array_equal(acts.neuron("L1.residual[2]"), VALUES[1, :, 2])

    def test_least_that_is_needed(self):
        acts = activations_from_array(VALUES[0], site="mlp", layers=[7])
        np.testing.assert_array_equal(acts.neuron("L7.mlp[1]"), VALUES[0, :, 1])
        assert len(acts.tokens.texts) == 1
        assert acts.provenance.method == "activations_from_array"

    def test_tokens_of_a_result_are_used_as_they_are(self):
        first = activations_from_array(VALUES, tokens=["the", "cat", "so", "it"])
        assert activations_from_array(VALUES, tokens=first.tokens).tokens is first.tokens

    def test_the_callers_array_stays_its_own(self):
        mine = VALUES.astype(np.float32)
        acts = activations_from_array(mine)
        mine[:] = -1
        np.testing.assert_array_equal(acts["residual"], VALUES)
        assert mine.flags.writeable

    def test_a_word_with_spaces_and_an_empty_one(self):
        acts = activations_from_array(VALUES, tokens=["New York", "", "is", "big"])
        assert "".join(acts.tokens.pieces) == acts.tokens.texts[0] == "New York  is big"

    def test_labels_of_texts(self):
        acts = activations_from_array(VALUES, labels=["POS", "NEG"], sentence_index=[0, 0, 0, 1])
        assert acts.row_labels() == ["POS", "POS", "POS", "NEG"]

    def test_it_can_be_saved(self, tmp_path):
        acts = activations_from_array(VALUES, labels=np.array([1, 2, 1, 2]), tokens=["a", "b", "c", "d"])
        again = load(save(acts, tmp_path / "x"))
        assert again.labels == (1, 2, 1, 2)
        np.testing.assert_array_equal(again["residual"], VALUES)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"tokens": ["a"]}, "4 tokens got 1 tokens"),
            ({"sentence_index": [0, 1]}, r"sentence_index of \(2,\)"),
            ({"sentence_index": [0, 2, 2, 3]}, "grow by 0 or 1"),
            ({"sentence_index": [1, 1, 2, 2]}, "start at 0"),
            ({"sentence_index": [0, 1, 0, 1]}, "grow by 0 or 1"),
            ({"labels": ["a", "b"]}, "2 labels fit neither 4 rows nor 1 texts"),
            ({"layers": [1]}, "2 layers need 2 different numbers"),
            ({"layers": [1, 1]}, "2 layers need 2 different numbers"),
        ],
    )
    def test_mistakes_are_named(self, options, message):
        with pytest.raises(ValueError, match=message):
            activations_from_array(VALUES, **options)

    def test_wrong_axes(self):
        with pytest.raises(ValueError, match=r"\(layer, token, neuron\), got an array of shape \(3,\)"):
            activations_from_array([1, 2, 3])


def test_effects():
    effects = effects_from_array([[1, np.nan], [-3, 2]], target="POS", layers=[4, 5], texts=["a"], clean=[0.5])
    assert [(str(neuron), value) for neuron, value in effects.top(5)] == [
        ("L5.mlp[0]", -3.0),
        ("L5.mlp[1]", 2.0),
        ("L4.mlp[0]", 1.0),
    ]
    assert effects.exact.tolist() == [[True, False], [True, True]]
    assert effects.clean.tolist() == [0.5]
    assert effects_from_array([1, 2, 3]).values.shape == (1, 3)
    with pytest.raises(ValueError, match=r"\(layer, neuron\)"):
        effects_from_array(np.zeros((1, 2, 3)))


def test_attribution():
    of_tokens = attribution_from_array([1, -2], tokens=["not", "bad"], target="POS", baseline="[MASK]")
    assert of_tokens.to_columns()["token"] == ["not", " bad"]
    assert of_tokens.scores.tolist() == [1.0, -2.0]
    of_neurons = attribution_from_array([[1, 2], [3, 4]], tokens=["not", "bad", "."])
    assert of_neurons.layers == (0, 1)
    assert of_neurons.to_columns()["neuron"] == [0, 1, 0, 1]
    assert len(attribution_from_array(np.zeros((2, 2))).tokens) == 0
    with pytest.raises(ValueError, match="token"):
        attribution_from_array([1, 2], tokens=["a"])
