"""The labels in the order of each neuron's activations: what thresholds, bins and average precision are read from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from neurowidget.analysis.statistics.labelled_rows import LabelledRows

_CELLS = 1 << 21  # of one block: what fits in the caches of a processor is sorted and counted fastest


@dataclass(frozen=True, eq=False)
class SortedLabels:
    """Places 0 to row - 1 are in ascending order of activation; all arrays are (neuron, row).

    `labels` says whose row stands at each place. Equal activations share a place, that of the first (`first`) or the last
    (`last`) of them; both are None in a block without equal ones.
    """

    labels: np.ndarray
    first: np.ndarray | None
    last: np.ndarray | None

    def places(self, label: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """First and last places of the rows of a class, int64 (neuron, count), ascending."""
        rows = self.labels.shape[1]
        found = np.flatnonzero(self.labels.ravel() == label)
        if self.first is None or self.last is None:
            places = found.reshape(-1, count) % rows
            return places, places
        return self.first.ravel()[found].reshape(-1, count), self.last.ravel()[found].reshape(-1, count)


def sorted_labels(rows: LabelledRows) -> Iterator[tuple[slice, SortedLabels]]:
    """Blocks of neurons: (slice of the neuron axis, their labels sorted by activation)."""
    targets = rows.targets.astype(np.uint64)
    for neurons, values in rows.neuron_blocks(_CELLS):
        bits = (np.ascontiguousarray(values.T) + np.float32(0)).view(np.uint32)  # + 0 makes -0 and 0 equal
        # Floats in the order of unsigned integers: negative ones flipped, the others moved above them.
        keys = (bits ^ np.where(bits >> 31, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))).astype(np.uint64)
        keys <<= np.uint64(32)
        keys |= targets
        keys.sort(axis=1)
        labels = keys.astype(np.uint8 if len(rows.classes) < 256 else np.uint16)
        keys >>= np.uint64(32)
        new = keys[:, 1:] != keys[:, :-1]
        if new.all():
            yield neurons, SortedLabels(labels, None, None)
            continue
        place = np.arange(keys.shape[1], dtype=np.int64)
        first, last = np.zeros(keys.shape, dtype=np.int64), np.full(keys.shape, len(rows) - 1, dtype=np.int64)
        np.maximum.accumulate(np.where(new, place[1:], 0), axis=1, out=first[:, 1:])
        ends = np.where(new, place[:-1], len(rows) - 1)
        last[:, :-1] = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
        yield neurons, SortedLabels(labels, first, last)


def tied_from(places: np.ndarray) -> np.ndarray:
    """For each entry of ascending places (neuron, row), how many entries come before its equals."""
    number = np.broadcast_to(np.arange(places.shape[1]), places.shape)
    fresh = np.zeros(places.shape, dtype=np.int64)
    fresh[:, 1:] = np.where(places[:, 1:] != places[:, :-1], number[:, 1:], 0)
    return np.maximum.accumulate(fresh, axis=1)


def tied_until(places: np.ndarray) -> np.ndarray:
    """For each entry of ascending places (neuron, row), how many entries come up to its last equal."""
    return places.shape[1] - tied_from(-places[:, ::-1])[:, ::-1]
