"""Concepts from labels, rules and masks, over the rows of the source."""

from __future__ import annotations

import re

import numpy as np
import pytest

import neurowidget as nw
from neurowidget.analysis.examples.concept_masks import concept_masks
from neurowidget.analysis.examples.sources import evidence_of

WORDS = ["May", "saw", "1998", "USA", "May", "may", "the", "film"]


def acts(labels=None):
    made = nw.activations_from_array(np.random.default_rng(0).random((8, 2)), None, [0] * 4 + [1] * 4, WORDS)
    return nw.activations_from_array(made["residual"], labels, tokens=made.tokens)


def masks(source, **given):
    (evidence,) = evidence_of(source, "L0.residual[0]", 1, 0)
    names, found = concept_masks(source, evidence, given.get("concepts"), given.get("labels"))
    return {name: row.astype(int).tolist() for name, row in zip(names, found, strict=True)}


def test_rules_are_about_whole_words():
    mine = np.array([1, 1, 0, 0, 1, 1, 0, 0], dtype=bool)
    rules = {
        "year": re.compile(r"\d{4}"),
        "month": {"May"},
        "caps": str.isupper,
        "mine": mine,
        "digit": re.compile(r"\d"),
    }
    held = evidence_of(acts(), "L0.residual[0]", 1, 0)[0].held_out
    found = masks(acts(), concepts=rules)
    expected = {
        "year": [0, 0, 1, 0, 0, 0, 0, 0], "month": [1, 0, 0, 0, 1, 0, 0, 0], "caps": [0, 0, 0, 1, 0, 0, 0, 0],
        "mine": [1, 1, 0, 0, 1, 1, 0, 0],
    }  # fmt: skip
    # a concept that the first half lacks is left out; no word is one digit
    assert found == {name: row for name, row in expected.items() if any(np.array(row)[~held])}
    assert {"month", "mine"} <= set(found)


def test_classes_of_labels():
    tags = ["N", "V", None, "N", "N", "V", None, "N"]
    assert masks(acts(tags)) == {"N": [1, 0, 0, 1, 1, 0, 0, 1], "V": [0, 1, 0, 0, 0, 1, 0, 0]}
    flags = [True, False, None, True, False, True, False, False]
    assert masks(acts(flags)) == {"label": [1, 0, 0, 1, 0, 1, 0, 0]}
    # rules alone leave the labels out, unless they are named
    assert set(masks(acts(tags), concepts={"May": {"May"}})) == {"May"}
    assert set(masks(acts(tags), concepts={"May": {"May"}}, labels="label")) == {"May", "N", "V"}


def test_errors():
    cases = [
        ({}, None, "this method needs concepts"),
        ({"concepts": {"none": {"zebra"}}}, None, "none of the 1 concepts holds in some rows"),
        ({"concepts": {"mask": np.ones(3, dtype=bool)}}, None, "one True or False for each row"),
        ({"concepts": {"N": {"May"}}, "labels": "label"}, ["N"] * 4 + ["V"] * 4, "two concepts are called 'N'"),
        ({}, list(range(8)), None),
    ]
    for given, labels, message in cases:
        if message is None:
            assert len(masks(acts(labels), **given)) == 4  # those of the first half
            continue
        with pytest.raises(ValueError, match=message):
            masks(acts(labels), **given)
    with pytest.raises(TypeError, match="concept 'x' is 3"):
        masks(acts(), concepts={"x": 3})


def test_too_many_classes(monkeypatch):
    from neurowidget.analysis.examples import concept_masks as module

    monkeypatch.setattr(module, "MOST_CLASSES", 3)
    with pytest.raises(ValueError, match="have 8 classes, more than 3"):
        masks(acts(list(range(8))))
