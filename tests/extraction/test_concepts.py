"""Concepts by rule: each word of each text, whatever the rule is."""

from __future__ import annotations

import re
import warnings

import pytest

from neurowidget.extraction.corpus import Corpus, StreamedCorpus

TEXTS = ["In May 1990 NATO met.", "New York, 19901 may"]


def found(corpus: Corpus | StreamedCorpus, name: str) -> list[str]:
    return [
        word
        for sentence in corpus.sentences()
        for word, marked in zip(sentence.word_texts, sentence.labels[name], strict=True)
        if marked
    ]


def test_rules():
    """An expression is for the whole word (19901 is no year), sets are equal in case, a function gets the word."""
    corpus = Corpus(TEXTS, labels=["A", "B"])
    before = corpus.hash
    rules = {
        "year": re.compile(r"\d{4}"),
        "month": {"May", "June"},
        "caps": str.isupper,
        "long": lambda word: len(word) > 4,
    }
    annotated = corpus.annotate(rules)
    assert {name: found(annotated, name) for name in rules} == {
        "year": ["1990"],
        "month": ["May"],
        "caps": ["NATO"],
        "long": ["19901"],
    }
    assert annotated.labels["month"] == ((False, True, False, False, False, False), (False,) * 5)
    assert annotated.labels["label"] == ("A", "B")
    assert (corpus.labels, corpus.hash) == (("A", "B"), before)


def test_without_regard_to_case():
    corpus = Corpus(TEXTS).annotate({"month": ["MAY"], "nato": re.compile("nato")}, ignore_case=True)
    assert (found(corpus, "month"), found(corpus, "nato")) == (["May", "may"], ["NATO"])


def test_expressions_over_several_words():
    """A word is marked where one match has all of it: 1990 is a part of 19901 only."""
    rules = {"city": re.compile("New York"), "year": re.compile(r"\d{4}"), "nothing": re.compile("(x|)")}
    with pytest.warns(UserWarning, match="^no word of the corpus is 'nothing'$"):
        corpus = Corpus(TEXTS).annotate(rules, within="text")
    assert {name: found(corpus, name) for name in rules} == {"city": ["New", "York"], "year": ["1990"], "nothing": []}


def test_words_that_the_corpus_brings():
    corpus = Corpus.from_words([["New York", "met"]]).annotate({"city": {"New York"}})
    assert corpus.labels == {"city": ((True, False),)}


def test_streams_are_annotated_as_they_are_read():
    streamed = StreamedCorpus(Corpus(TEXTS).sentences, "two").annotate({"month": {"May"}})
    assert isinstance(streamed, StreamedCorpus)
    assert streamed.hash == Corpus(TEXTS).annotate({"month": {"May"}}).hash
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert streamed.annotate({"rare": {"met"}}).first(1).label_names == ("month", "rare")


def test_mistakes():
    corpus = Corpus(TEXTS)
    for rules, error, match in [
        (
            {"month": "May"},
            TypeError,
            r"concept 'month' is 'May': expected a compiled expression \(re.compile\('May'\)",
        ),
        ({"month": re.compile(b"May")}, TypeError, "expected a compiled expression .* of a string"),
        ({"month": set()}, ValueError, "concept 'month': expected one or more words"),
        ({"month": {"May", 5}}, ValueError, "concept 'month': expected one or more words as strings"),
        ({}, TypeError, "expected a mapping"),
    ]:
        with pytest.raises(error, match=match):
            corpus.annotate(rules)
    with pytest.raises(ValueError, match="'word' or 'text'"):
        corpus.annotate({"month": {"May"}}, within="sentence")
    with pytest.raises(ValueError, match="already has labels 'month'"):
        corpus.annotate({"month": {"May"}}).annotate({"month": {"June"}})
    with pytest.raises(ValueError, match="invalid literal") as caught:
        corpus.annotate({"number": int})
    assert caught.value.__notes__ == [
        "in the rule of the concept 'number', for the word 'In' of 'In May 1990 NATO met.'"
    ]
