"""Means of each class and spreads of each neuron, in one pass over blocks of neurons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurowidget.analysis.statistics.labelled_rows import LabelledRows


@dataclass(frozen=True, eq=False)
class ClassMoments:
    """float64: `counts` (class,), `class_means` (class, neuron); `means`, `deviations`, `lowest`, `highest` (neuron,)."""

    counts: np.ndarray
    class_means: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray

    @property
    def constant(self) -> np.ndarray:
        """bool (neuron,): the same value in every row."""
        return self.lowest == self.highest

    @property
    def scales(self) -> np.ndarray:
        """The deviations, 1 where a neuron is constant: divide by these."""
        return np.where(self.constant | (self.deviations == 0), 1.0, self.deviations)

    def rest_means(self) -> np.ndarray:
        """float64 (class, neuron): the mean over the rows of all other classes."""
        total = self.means * self.counts.sum()
        others = self.counts.sum() - self.counts
        return (total - self.class_means * self.counts[:, None]) / np.maximum(others, 1)[:, None]

    def differences(self) -> np.ndarray:
        """float64 (class, neuron): |mean of the class - mean of the rest|, 0 for constant neurons and classes without rows."""
        apart = np.abs(self.class_means - self.rest_means())
        return np.where(self.constant | (self.counts == 0)[:, None], 0.0, apart)

    def directions(self) -> np.ndarray:
        """int8 (class, neuron): +1 where the class lies above the rest, -1 below, 0 for constant neurons."""
        signs = np.sign(self.class_means - self.rest_means())
        return np.where(self.constant, 0, signs).astype(np.int8)


def class_moments(rows: LabelledRows) -> ClassMoments:
    """The moments of all neurons; values are centred before they are summed, so that float32 products lose nothing."""
    width = rows.width
    counts = rows.counts() if rows.classes else np.array([len(rows)])
    membership = rows.membership() if rows.classes else np.ones((1, len(rows)), dtype=np.float32)
    membership /= np.maximum(counts, 1)[:, None]
    class_means, means, squares, lowest, highest = (
        np.empty((len(counts), width)), np.empty(width), np.empty(width), np.empty(width), np.empty(width),
    )  # fmt: skip
    for neurons, values in rows.neuron_blocks():
        mean = values.mean(axis=0, dtype=np.float64)
        lowest[neurons], highest[neurons] = values.min(axis=0), values.max(axis=0)
        mean = np.where(lowest[neurons] == highest[neurons], values[0], mean)
        values -= mean.astype(np.float32)
        class_means[:, neurons] = membership @ values + mean.astype(np.float32)
        means[neurons] = mean
        squares[neurons] = np.square(values, out=values).mean(axis=0, dtype=np.float64)
    return ClassMoments(counts, class_means, means, np.sqrt(squares), lowest, highest)
