"""Corpora: texts with labels and a hash."""

from __future__ import annotations

import re
from pathlib import Path

import families
import numpy as np
import pytest

from neurowidget.extraction.activations import extract
from neurowidget.extraction.corpus import Corpus, StreamedCorpus


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


def test_words_and_named_labels():
    corpus = Corpus.from_words([["New York", "'s"]], labels={"ner": [["LOC", "O"]], "year": [1990]}, joined_by="")
    assert next(corpus.sentences()).words == ((0, 8), (8, 10))
    assert corpus.labels == {"ner": (("LOC", "O"),), "year": (1990,)}
    with pytest.raises(ValueError, match="text 0 of the corpus: 1 labels 'ner' for the 2 words"):
        Corpus.from_words([["New York", "'s"]], labels={"ner": [["LOC"]]})
    with pytest.raises(ValueError, match=r"word \(1, 3\) of 'ab': expected spans in order"):
        Corpus(["ab"], words=[[(1, 3)]])


def test_slices_filters_and_counts():
    corpus = Corpus(["a b", "c", "d e f"], labels=["P", None, "P"], name="three")
    assert (corpus[1:].texts, corpus[-1], corpus[:1].name) == (("c", "d e f"), "d e f", "three")
    assert corpus.filter(lambda sentence: len(sentence.spans) > 1).texts == ("a b", "d e f")
    assert corpus.label_counts() == {"P": 2}
    assert corpus.first(2).texts == ("a b", "c")
    with pytest.raises(KeyError, match="has no label 'pos': its labels are 'label'"):
        corpus.label_counts("pos")


def test_streamed_is_read_anew_on_each_pass():
    opened = []

    def sentences():
        opened.append(1)
        return Corpus(["a b", "c", "d"], labels=[1, 2, 3]).sentences()

    corpus = StreamedCorpus(sentences, "three")
    assert [list(part) for part in corpus.parts(2)] == [["a b", "c"], ["d"]]
    assert corpus.hash == Corpus(["a b", "c", "d"], labels=[1, 2, 3]).hash
    kept = corpus.filter(lambda sentence: sentence.labels["label"] > 1)
    assert (list(kept), list(kept), len(opened)) == (["c", "d"], ["c", "d"], 4)
    assert (kept.first(1).labels, kept.label_counts()) == ((2,), {2: 1, 3: 1})
    with pytest.raises(ValueError, match="size=0"):
        next(corpus.parts(0))


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_labels_of_files_and_rules_are_at_their_rows(family):
    """don't is two words in the treebank: both have rows of their own, whatever the tokenizer makes of it."""
    corpus = Corpus.read(Path(__file__).parent / "files" / "made_up.conllu", labels=["upos", "Number"])
    corpus = corpus.annotate({"cat": re.compile("cats?|chat")})
    acts = extract(families.model(family), corpus, words="first", layers=0, progress=False)
    upos = [label for sentence in corpus.sentences() for label in sentence.labels["upos"]]
    assert list(acts.row_labels("upos")) == upos
    assert list(acts.row_labels("Number"))[:3] == [None, "Plur", None]
    assert np.flatnonzero(acts.row_labels("cat")).tolist() == [1, 9]
    assert [text.strip() for text in acts.tokens.pieces][2:4] == ["do", "n't"]
    train, test = corpus.split(test=0.4, by="word_type")
    sides = [
        extract(families.model(family), part, words="first", layers=0, progress=False).row_labels("upos")
        for part in (train, test)
    ]
    assert [(first is None) != (second is None) for first, second in zip(*sides, strict=True)] == [True] * len(upos)
