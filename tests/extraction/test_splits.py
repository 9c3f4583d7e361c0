"""Splits, balancing and samples: what the parts share, how large they are, and the same for the same seed."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurowidget.extraction.corpus import Corpus, StreamedCorpus

WORDS = st.sampled_from(["The", "the", "cat", "sat", "May", "may", "NATO", "."])
CORPORA = st.lists(st.lists(WORDS, min_size=1, max_size=5), min_size=8, max_size=20)


def numbered(count: int) -> Corpus:
    return Corpus([f"text {i} of them" for i in range(count)], labels={"doc": [i // 4 for i in range(count)]})


def tagged(rows: list[list[str]]) -> Corpus:
    return Corpus.from_words(rows, labels={"tag": [[word.upper() for word in row] for row in rows]})


def types_of(corpus: Corpus, name: str = "tag") -> set[str]:
    return {
        word.casefold()
        for sentence in corpus.sentences()
        for word, label in zip(sentence.word_texts, sentence.labels[name], strict=True)
        if label is not None
    }


class TestSplit:
    def test_by_sentence(self):
        corpus = numbered(40)
        train, test = corpus.split(test=0.25, seed=3)
        assert (len(train), len(test)) == (30, 10)
        assert sorted({*train, *test}) == sorted(corpus)
        assert [text for text in corpus if text in set(test)] == list(test)  # the order of the corpus
        assert (train.name, test.name) == ("corpus (train)", "corpus (test)")
        assert corpus.split(test=0.25, seed=3)[1].hash == test.hash
        assert corpus.split(test=0.25, seed=4)[1].hash != test.hash

    def test_three_parts(self):
        parts = numbered(40).split(test=0.1, dev=0.2)
        assert [(len(part), part.name) for part in parts] == [
            (28, "corpus (train)"),
            (8, "corpus (dev)"),
            (4, "corpus (test)"),
        ]
        assert len({text for part in parts for text in part}) == 40

    @given(CORPORA, st.integers(0, 5))
    @settings(max_examples=40, deadline=None)
    def test_no_text_is_on_both_sides(self, rows, seed):
        corpus = tagged(rows)
        if len(set(corpus)) < 2:
            return
        train, test = corpus.split(test=0.3, seed=seed)
        assert train.texts
        assert test.texts
        assert not set(train) & set(test)
        assert Counter(train) + Counter(test) == Counter(corpus)

    @given(CORPORA, st.integers(0, 5))
    @settings(max_examples=40, deadline=None)
    def test_no_word_type_is_on_both_sides(self, rows, seed):
        """The and the are one type; every label is on exactly one side, and the texts on both."""
        corpus = tagged(rows)
        types = types_of(corpus)
        if len(types) < 3:
            return
        parts = corpus.split(test=0.3, by="word_type", seed=seed, dev=0.3)
        found = [types_of(part) for part in parts]
        assert sum(map(len, found)) == len(set().union(*found)) == len(types)
        for part in parts:
            assert part.texts == corpus.texts
        for labels in zip(*(part.labels["tag"] for part in parts), corpus.labels["tag"], strict=True):
            for *each, whole in zip(*labels, strict=True):
                assert [label for label in each if label is not None] == [whole]

    def test_word_types_need_no_label(self):
        """A word without a label is on no side; labels of whole texts are on all."""
        corpus = Corpus.from_words([list("abcdefghij"), ["k"]], {"tag": [[1] * 9 + [None], [None]], "doc": ["x", "y"]})
        train, test = corpus.split(by="word_type")
        assert (len(types_of(train)), len(types_of(test))) == (7, 2)
        assert train.labels["doc"] == test.labels["doc"] == ("x", "y")

    def test_by_document(self):
        train, test = numbered(40).split(test=0.2, by="doc")
        assert (len(train), len(test)) == (32, 8)
        assert not set(train.labels["doc"]) & set(test.labels["doc"])
        uneven = Corpus([f"text {i}" for i in range(20)], {"doc": [0] * 17 + [1, 2, 3]})
        assert {len(uneven.split(by="doc", seed=seed)[1]) for seed in range(9)} <= {1, 2, 3, 17}
        assert all(set(part.labels["doc"]) for part in uneven.split(by="doc", dev=0.1))

    def test_mistakes(self):
        corpus = numbered(8)
        for options, match in [
            ({"test": 0.0}, "test=0.0: expected a share between 0 and 1"),
            ({"test": 0.6, "dev": 0.5}, "leaves nothing to train on"),
            ({"by": "word_type"}, "needs labels of words"),
            ({"by": "genre"}, "by='genre': expected 'sentence', 'word_type' or the name of a label"),
            ({"dev": 0.2, "by": "doc"}, "2 different values of 'doc' are too few for 3 parts"),
        ]:
            with pytest.raises(ValueError, match=match):
                corpus.split(**options)
        with pytest.raises(ValueError, match="1 texts are too few for 2 parts"):
            Corpus(["a", "a"]).split()
        with pytest.raises(ValueError, match="text 1 has no label 'doc'"):
            Corpus(["a", "b"], {"doc": ["x", None]}).split(by="doc")


class TestBalance:
    ROWS = [["a", "b", "a"], ["a", "b", "c"], ["a"]]

    def test_words(self):
        corpus = Corpus.from_words(self.ROWS, labels=self.ROWS)
        assert corpus.label_counts() == {"a": 4, "b": 2, "c": 1}
        assert corpus.balance().label_counts() == {"a": 1, "b": 1, "c": 1}
        with pytest.warns(UserWarning, match=r"fewer than 2 examples are left out: \{'c': 1\}"):
            two = corpus.balance(per_class=2, seed=1)
        assert two.label_counts() == {"a": 2, "b": 2}
        assert (two.texts, corpus.label_counts()["a"]) == (corpus.texts, 4)
        for before, after in zip(corpus.labels, two.labels, strict=True):
            assert all(label in (given, None) for given, label in zip(before, after, strict=True))
        drawn = {corpus.balance(seed=seed).hash for seed in range(20)}
        assert 4 < len(drawn) <= 8  # 4 places of a, 2 of b

    def test_texts(self):
        corpus = Corpus(list("abcdef"), labels=["P", "N", "P", None, "P", "N"])
        balanced = corpus.balance()
        assert balanced.label_counts() == {"P": 2, "N": 2}
        assert [text for text in corpus if text in set(balanced)] == list(balanced)

    def test_concepts(self):
        corpus = Corpus(["a b c d", "e f"]).annotate({"vowel": {"a", "e"}}).balance("vowel")
        assert corpus.label_counts("vowel") == {True: 2, False: 2}

    def test_mistakes(self):
        corpus = Corpus(["a", "b"], {"x": ["P", ["Q"]], "y": ["P", "N"]})
        for label, per_class, match in [
            ("z", None, "nothing is labelled 'z': the labels are 'x', 'y'"),
            ("x", None, "one per word"),
            ("y", 0, "per_class=0: expected 1 or more"),
            ("y", 2, "every class of 'y' has fewer, the most is 1"),
        ]:
            with pytest.raises(ValueError, match=match):
                corpus.balance(label, per_class=per_class)


class TestSample:
    def test_is_the_same_for_both_kinds(self):
        corpus = numbered(50)
        sample = corpus.sample(10, seed=2)
        assert sample.hash == StreamedCorpus(corpus.sentences).sample(10, seed=2).hash
        assert [text for text in corpus if text in set(sample)] == list(sample)
        assert len(set(sample)) == 10

    def test_is_uniform(self):
        """Each of 12 texts is in a sample of 3 a quarter of the time: 4 standard deviations are 0.043 of 1,600."""
        corpus = numbered(12)
        counts = Counter(text for seed in range(1600) for text in corpus.sample(3, seed))
        assert all(abs(counts[text] / 1600 - 0.25) < 0.043 for text in corpus)

    def test_mistakes(self):
        with pytest.raises(ValueError, match="a sample of 5 sentences of a corpus that has 4"):
            numbered(4).sample(5)
        with pytest.raises(ValueError, match="1 or more"):
            numbered(4).sample(0)


def test_hash_randomisation_changes_nothing():
    """Parts, balanced corpora and samples are the same in processes that hash strings differently."""
    code = """
from neurowidget.extraction.corpus import Corpus
rows = [[f"w{i * j % 17}" for j in range(1, 6)] for i in range(30)]
corpus = Corpus.from_words(rows, labels={"tag": [[w[-1] for w in row] for row in rows]})
parts = [*corpus.split(), *corpus.split(by="word_type"), corpus.balance("tag"), corpus.sample(5)]
print([part.hash[:8] for part in parts], corpus.label_counts("tag"))
"""
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
