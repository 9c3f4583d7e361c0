"""Splits: no text in two parts, shares of rows, no class lost from training."""

from __future__ import annotations

import numpy as np
import pytest

from neurowidget.analysis.statistics.control_labels import control_labels, permuted_labels
from neurowidget.analysis.statistics.splits import split_rows

GROUPS = np.repeat(np.arange(50), np.random.default_rng(0).integers(1, 30, size=50))


def test_every_row_once_and_no_text_in_two_parts():
    split = split_rows(GROUPS, None, dev=0.1, test=0.2, seed=3)
    parts = [split.train, split.dev, split.test]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(GROUPS)))
    texts = [set(GROUPS[part].tolist()) for part in parts]
    assert sum(map(len, texts)) == len(set.union(*texts))
    assert len(split.test) / len(GROUPS) == pytest.approx(0.2, abs=0.04)
    assert len(split.dev) / len(GROUPS) == pytest.approx(0.1, abs=0.04)
    for part in parts:
        assert (np.diff(part) > 0).all()


def test_the_seed_decides():
    first, again, other = (split_rows(GROUPS, None, dev=0.1, test=0.2, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)


def test_a_rare_class_is_trained_on():
    targets = np.zeros(len(GROUPS), dtype=np.int64)
    targets[np.flatnonzero(GROUPS == 17)[0]] = 1
    for seed in range(20):
        split = split_rows(GROUPS, targets, dev=0.3, test=0.5, seed=seed)
        assert (targets[split.train] == 1).any()


def test_words_that_are_no_numbers():
    words = np.array(["a", "b", "a", "c", "d", "e", "b", "f"])
    split = split_rows(words, None, dev=0.2, test=0.3, seed=0)
    assert not set(words[split.train]) & set(words[split.test])


@pytest.mark.parametrize(
    ("groups", "shares", "message"),
    [
        ([0, 0, 1, 1], (0.1, 0.2), "of 2 texts, too few to hold some out: expected 3"),
        ([0, 1, 2], (0.5, 0.5), "dev=0.5, test=0.5"),
        ([0, 1, 2], (-0.1, 0.5), "dev=-0.1"),
    ],
)
def test_mistakes_are_named(groups, shares, message):
    with pytest.raises(ValueError, match=message):
        split_rows(np.array(groups), None, dev=shares[0], test=shares[1], seed=0)


def test_three_texts_of_any_size_are_split():
    split = split_rows(np.array([0] * 90 + [1] * 5 + [2] * 5), None, dev=0.1, test=0.2, seed=0)
    assert min(len(split.train), len(split.dev), len(split.test)) >= 5


class TestControlLabels:
    def test_one_label_per_word_type(self):
        words = np.random.default_rng(0).choice(list("abcdefghij"), size=500)
        targets = np.random.default_rng(1).choice(3, size=500, p=[0.7, 0.2, 0.1])
        drawn = control_labels(words, targets, seed=0)
        assert all(len(set(drawn[words == word].tolist())) == 1 for word in set(words))
        assert not np.array_equal(drawn, control_labels(words, targets, seed=1))
        np.testing.assert_array_equal(drawn, control_labels(words, targets, seed=0))

    def test_labels_are_as_frequent_as_in_the_task(self):
        words = np.array([f"w{i}" for i in range(20_000)])
        targets = np.random.default_rng(1).choice(3, size=20_000, p=[0.7, 0.2, 0.1])
        shares = np.bincount(control_labels(words, targets, seed=0)) / 20_000
        np.testing.assert_allclose(shares, [0.7, 0.2, 0.1], atol=0.02)

    def test_permuted_labels_are_the_same_labels(self):
        targets = np.arange(100) % 3
        permuted = permuted_labels(targets, seed=0)
        assert not np.array_equal(permuted, targets)
        np.testing.assert_array_equal(np.bincount(permuted), np.bincount(targets))
