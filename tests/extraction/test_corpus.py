"""Corpora: texts with labels and a hash."""

from __future__ import annotations

import pytest

from neurowidget.extraction.corpus import Corpus


def test_texts_and_labels():
    corpus = Corpus(["a", "b"], labels=["POS", "NEG"], name="two")
    assert (list(corpus), len(corpus), corpus[1], corpus.labels) == (["a", "b"], 2, "b", ("POS", "NEG"))
    assert repr(corpus) == "Corpus('two', 2 texts, labelled)"
    assert Corpus(iter(["a"])).texts == ("a",)


def test_hash_sees_texts_labels_and_order():
    variants = [(["b", "a"], None), (["ab"], None), (["a", "b"], [1, 2]), (["a", "b"], ["1", "2"])]
    hashes = {Corpus(texts, labels).hash for texts, labels in [(["a", "b"], None), *variants]}
    assert len(hashes) == 5
    assert Corpus(["a", "b"], name="x").hash == Corpus(("a", "b")).hash


def test_mistakes():
    with pytest.raises(TypeError, match="write Corpus"):
        Corpus("one text")
    with pytest.raises(TypeError, match="text 1 of the corpus is a int"):
        Corpus(["a", 1])
    with pytest.raises(ValueError, match="2 texts and 1 labels"):
        Corpus(["a", "b"], labels=[1])
