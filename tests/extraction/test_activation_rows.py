"""Rows of an extraction: words, special tokens, ready ids, precision; and mistakes in what is asked for."""

from __future__ import annotations

from typing import Any

import families
import numpy as np
import pytest

from neurowidget.extraction.activations import extract
from neurowidget.extraction.corpus import Corpus
from neurowidget.models.interventions import Set
from neurowidget.models.loading import NeuronModel
from neurowidget.results.activations import Activations
from neurowidget.results.storage import load, save

TEXTS = list(families.RAGGED_TEXTS)


TARGETS = list(families.TARGET_TEXTS)


def quiet(model: NeuronModel, texts: Any, sites: Any = ("mlp",), **options: Any) -> Activations:
    return extract(model, texts, sites, progress=False, **options)


def assert_close(a: np.ndarray, b: np.ndarray) -> None:
    """Within 1e-5 of the largest value of each layer."""
    assert a.shape == b.shape
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * max(1.0, float(np.abs(other).max(initial=0))))


class TestRows:
    @pytest.mark.parametrize("name", families.EIGHT)
    @pytest.mark.parametrize("words", ["first", "last", "mean"])
    def test_words(self, name, words):
        model = families.model(name)
        texts = ["unbelievable film, wonderfully played", "naïve 🙂"]
        tokens, acts = quiet(model, texts), quiet(model, texts, words=words)
        pieces = ["unbelievable", " film", ",", " wonderfully", " played", "naïve", " 🙂"]
        assert list(acts.tokens.pieces) == pieces
        assert acts.tokens.level == "word"
        expected = []
        for text, first, past in zip(acts.sentence_index, acts.tokens.start, acts.tokens.end, strict=True):
            t = tokens.tokens  # a token that is only white space is no part of a word's value
            own = (t.sentence_index == text) & ~t.special & (t.start < past) & (t.end > first)
            values = tokens["mlp"][:, own]
            expected.append({"first": values[:, 0], "last": values[:, -1], "mean": values.mean(axis=1)}[words])
        np.testing.assert_allclose(acts["mlp"], np.stack(expected, axis=1), rtol=0, atol=1e-6)

    def test_special_tokens(self):
        model = families.model("bert")
        whole, without = quiet(model, TEXTS), quiet(model, TEXTS, special_tokens="drop")
        assert whole.tokens.special.sum() == 2 * len(TEXTS)
        assert not without.tokens.special.any()
        np.testing.assert_array_equal(without["mlp"], whole["mlp"][:, ~whole.tokens.special])
        words = quiet(model, TEXTS, words="mean", special_tokens="keep")
        assert words.tokens.special.sum() == 2 * len(TEXTS)
        np.testing.assert_array_equal(words["mlp"][:, words.tokens.special], whole["mlp"][:, whole.tokens.special])

    def test_a_dropped_word_is_nan_with_a_warning(self):
        model = families.model("bert")
        with pytest.warns(UserWarning, match=r"1 words have no token.*'\\x00' in text 1"):
            acts = quiet(model, ["good", "good \x00 film"], words="mean")
        assert acts.tokens.pieces == ("good", "good", " \x00", " film")
        assert np.isnan(acts["mlp"]).all(axis=(0, 2)).tolist() == [False, False, True, False]
        assert not np.isnan(acts["mlp"][:, [0, 1, 3]]).any()

    def test_ready_ids_are_used_as_they_are(self):
        model = families.model("bert")
        ids = model.tokenizer(TEXTS[1])["input_ids"]
        acts, text = quiet(model, [ids, ids[1:-1]]), quiet(model, [TEXTS[1]])
        assert_close(acts["mlp"][:, : len(ids)], text["mlp"])
        assert acts.tokens.ids.tolist() == ids + ids[1:-1]
        assert acts.tokens.special.sum() == 2

    def test_order_of_texts_and_batch_size_do_not_matter(self):
        model = families.model("llama")
        expected = quiet(model, TEXTS, ["mlp", "residual"])
        for batch_tokens in (1, 30, 100):
            acts = quiet(model, TEXTS, ["mlp", "residual"], batch_tokens=batch_tokens)
            assert_close(acts["mlp"], expected["mlp"])
        backwards = quiet(model, TEXTS[::-1], ["mlp"])
        for index in range(len(TEXTS)):
            mirrored = backwards["mlp"][:, backwards.sentence_index == len(TEXTS) - 1 - index]
            assert_close(mirrored, expected["mlp"][:, expected.sentence_index == index])

    def test_the_same_call_twice_is_bit_equal(self):
        model = families.model("t5")
        one, two = (quiet(model, TEXTS, ["mlp", "decoder.mlp"], targets=TARGETS) for _ in range(2))
        np.testing.assert_array_equal(one["mlp"], two["mlp"])
        np.testing.assert_array_equal(one["decoder.mlp"], two["decoder.mlp"])

    def test_corpus_carries_labels_and_its_name(self, tmp_path):
        corpus = Corpus(["good film", "old plot"], labels=["POS", "NEG"], name="two")
        acts = quiet(families.model("bert"), corpus, words="first")
        assert acts.row_labels() == ["POS", "POS", "NEG", "NEG"]
        assert acts.provenance.parameters["corpus"] == "two"
        assert acts.provenance.parameters["corpus_hash"] == corpus.hash
        again = load(save(acts, tmp_path / "acts"))
        assert isinstance(again, Activations)
        np.testing.assert_array_equal(again["mlp"], acts["mlp"])
        assert again.provenance == acts.provenance

    def test_half_precision(self):
        model = families.model("bert")
        half, full = quiet(model, TEXTS, dtype="float16"), quiet(model, TEXTS)
        assert half["mlp"].dtype == np.float16
        np.testing.assert_array_equal(half["mlp"], full["mlp"].astype(np.float16))
        with (
            model.intervene(Set("L1.mlp[3]", 70_000.0)),
            pytest.raises(ValueError, match=r"L1\.mlp reaches 70000 in text .*dtype='float32'"),
        ):
            quiet(model, TEXTS, dtype="float16")


class TestMistakes:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"sites": []}, "expected one or more different sites"),
            ({"sites": ["mlp", "mlp"]}, "expected one or more different sites"),
            ({"sites": ["neurons"]}, r"L0\.neurons: there is no site of this name"),
            ({"sites": ["decoder.mlp"]}, "has no stack 'decoder'"),
            ({"layers": 3}, r"L3\.mlp: .* has layers 0 to 2"),
            ({"layers": [0, 0]}, "different layers, from 0 to 2"),
            ({"layers": []}, "different layers, from 0 to 2"),
            ({"words": "median"}, "words='median': expected one of None, 'first', 'last', 'mean'"),
            ({"special_tokens": False}, "special_tokens=False"),
            ({"window": 10}, "window=10: expected one of None, 'overlap'"),
            ({"dtype": "int8"}, "dtype='int8'"),
            ({"targets": ["a"]}, "has one stack"),
            ({"batch_tokens": 0}, "batch_tokens=0"),
        ],
    )
    def test_are_named(self, options, message):
        with pytest.raises(ValueError, match=message):
            quiet(families.model("bert"), ["good"], **options)

    def test_texts(self):
        model = families.model("bert")
        with pytest.raises(ValueError, match="there are no texts"):
            quiet(model, [])
        with pytest.raises(ValueError, match="text 1 is empty"):
            quiet(model, ["a", ""])
        with pytest.raises(TypeError, match="text 0: expected a string or a list of ids"):
            quiet(model, [1, 2])
        assert len(quiet(model, "good").tokens.texts) == 1

    def test_targets(self):
        model = families.model("t5")
        with pytest.raises(ValueError, match="decoder sites need targets"):
            quiet(model, TEXTS, ["decoder.mlp"])
        with pytest.raises(ValueError, match="4 texts and 1 targets"):
            quiet(model, TEXTS, ["decoder.mlp"], targets=["a"])
        assert quiet(model, TEXTS, ["mlp"]).decoder_tokens is None
