"""What an explanation is made from: one neuron and random others over the rows of some texts, in two halves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from neurowidget.neuron import Neuron


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """Values float32 (row, column): column 0 is the neuron, the others are random neurons of its layer.

    A row is a token or a word that is not special, as the source has them, in order. `held_out` is True in the sentences
    that an explanation is scored on and must not be made from. `rows` are the rows of the source that were kept.
    `moments` are the mean and standard deviation over a corpus, where the rows were chosen from one.
    """

    neurons: tuple[Neuron, ...]
    values: np.ndarray
    sentence: np.ndarray  # int (row,)
    held_out: np.ndarray  # bool (row,)
    start: np.ndarray  # int (row,): characters in the text
    end: np.ndarray
    word: np.ndarray  # int (row,): counted in the text
    texts: tuple[str, ...]
    level: str  # "token" or "word"
    rows: np.ndarray
    moments: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def made(self) -> np.ndarray:
        """The rows that an explanation is made from, bool (row,)."""
        return ~self.held_out

    def moments_of(self, column: int) -> tuple[float, float]:
        """The mean and standard deviation of one column on the first half, or of the corpus that its rows are from."""
        if self.moments is not None:
            return self.moments
        first = self.values[self.made, column].astype(np.float64)
        return float(first.mean()), float(first.std()) or float("inf")

    @cached_property
    def standardised(self) -> np.ndarray:
        """Values minus their mean, over their standard deviation; 0 where the neuron is constant."""
        moments = np.array([self.moments_of(column) for column in range(len(self.neurons))])
        return np.asarray((self.values - moments[:, 0]) / moments[:, 1])

    @cached_property
    def runs(self) -> np.ndarray:
        """A number for each run of rows that are neighbours in one text, int (row,)."""
        return np.cumsum((np.diff(self.rows, prepend=-2) != 1) | (np.diff(self.sentence, prepend=-1) != 0)) - 1

    @cached_property
    def words(self) -> list[str]:
        """The word that each row belongs to, as it is written in its text."""
        first, last = self._word_ends
        return [self.texts[text][a:b].strip() for text, a, b in zip(self.sentence.tolist(), first, last, strict=True)]

    @property
    def _word_groups(self) -> np.ndarray:
        """A number for each word, int (row,): rows of one word have the same one, in order of the rows."""
        new = np.ones(len(self), dtype=bool)
        new[1:] = (np.diff(self.word) != 0) | (np.diff(self.sentence) != 0)
        return np.cumsum(new) - 1

    @cached_property
    def _word_ends(self) -> tuple[list[int], list[int]]:
        groups = self._word_groups
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        if not len(starts):
            return [], []
        first, last = np.minimum.reduceat(self.start, starts), np.maximum.reduceat(self.end, starts)
        return first[groups].tolist(), last[groups].tolist()

    def by_word(self) -> Evidence:
        """One row per word, with the mean of its tokens."""
        if self.level == "word":
            return self
        groups = self._word_groups
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        first, last = (np.asarray(ends, dtype=np.int64)[starts] for ends in self._word_ends)
        return replace(
            self, values=group_means(groups, self.values, len(starts))[1].astype(np.float32),
            sentence=self.sentence[starts], held_out=self.held_out[starts], start=first, end=last,
            word=self.word[starts], level="word", rows=self.rows[starts],
        )  # fmt: skip

    def peaks(self, column: int = 0, sign: int = 1, held_out: bool = False) -> np.ndarray:
        """The row with the highest value (lowest for sign -1) of each sentence of one half, best first."""
        starts = np.flatnonzero(np.diff(self.sentence, prepend=-1))
        groups = np.cumsum(np.diff(self.sentence, prepend=-1) != 0) - 1
        signed = sign * self.values[:, column]
        order = np.lexsort((np.arange(len(self)), -signed, groups))
        best = order[starts]
        best = best[self.held_out[best] == held_out]
        return np.asarray(best[np.argsort(-signed[best], kind="stable")])


def group_means(groups: np.ndarray, values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """How many rows each group has, (group,), and the mean of `values` (row, column) in each; 0 where it has none."""
    rows = np.arange(len(groups))
    members = sparse.csr_matrix((np.ones(len(groups)), (groups, rows)), shape=(count, len(groups)))
    counts = np.bincount(groups, minlength=count)
    return counts, np.asarray(members @ values) / np.maximum(counts, 1)[:, None]


def correlations(predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each column, (column,): 0 where the prediction is constant, NaN where the truth is."""
    if not len(actual):
        return np.full(actual.shape[1], np.nan)
    p, a = predicted - predicted.mean(axis=0), actual - actual.mean(axis=0, dtype=np.float64)
    spread = np.sqrt((p**2).sum(axis=0)), np.sqrt((a**2).sum(axis=0))
    together = (p * a).sum(axis=0)
    known = np.divide(together, spread[0] * spread[1], out=np.zeros_like(together), where=spread[0] * spread[1] > 0)
    constant = np.ptp(actual, axis=0) == 0
    return np.where(constant, np.nan, np.clip(known, -1, 1))
