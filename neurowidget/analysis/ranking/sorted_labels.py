"""The labels in the order of each neuron's activations: what thresholds, bins and average precision are read from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from neurowidget.analysis.statistics.labelled_rows import LabelledRows

_CELLS = 1 << 20  # of one block: what fits in the caches of a processor is sorted and counted fastest


@dataclass(frozen=True, eq=False)
class SortedLabels:
    """Places 0 to row - 1 are in ascending order of activation; all arrays are (neuron, row).

    `labels` says whose row stands at each place. Equal activations share a place, that of the first (`first`) or the last
    (`last`) of them; both are None for neurons without equal ones.
    """

    labels: np.ndarray
    grouped: np.ndarray  # the places of class 0, ascending, then those of class 1, ...
    starts: np.ndarray  # (class + 1,): where in `grouped` each class begins
    first: np.ndarray | None
    last: np.ndarray | None

    def places(self, label: int) -> tuple[np.ndarray, np.ndarray]:
        """First and last places of the rows of a class, (neuron, row of the class), ascending."""
        places = self.grouped[:, self.starts[label] : self.starts[label + 1]]
        if self.first is None or self.last is None:
            return places, places
        return np.take_along_axis(self.first, places, axis=1), np.take_along_axis(self.last, places, axis=1)


def sorted_labels(rows: LabelledRows) -> Iterator[tuple[np.ndarray, SortedLabels]]:
    """Some neurons at a time: (their places on the neuron axis, their labels sorted by activation)."""
    kind = np.uint8 if len(rows.classes) < 256 else np.uint16
    starts = np.concatenate([[0], np.cumsum(rows.counts())])
    targets = rows.targets.astype(np.uint64)
    for neurons, values in rows.neuron_blocks(rows.block_width(_CELLS)):
        bits = (np.ascontiguousarray(values.T) + np.float32(0)).view(np.uint32)  # + 0 makes -0 and 0 equal
        # Floats in the order of unsigned integers: negative ones flipped, the others moved above them.
        bits ^= np.where(bits >> 31, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))
        keys = bits.astype(np.uint64)
        keys <<= np.uint64(32)
        keys |= targets
        keys.sort(axis=1)
        labels = keys.astype(kind)
        keys >>= np.uint64(32)
        new = keys[:, 1:] != keys[:, :-1]
        different = new.all(axis=1)
        numbers = np.arange(neurons.start, neurons.stop)
        for which, tied in ((different, False), (~different, True)):
            if which.any():
                some = labels[which]
                first, last = _shared(new[which]) if tied else (None, None)
                grouped = np.argsort(some, axis=1, kind="stable")
                yield numbers[which], SortedLabels(some, grouped, starts, first, last)


def _shared(new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last place (neuron, row) of the equals of each place, from where a new activation begins."""
    rows = new.shape[1] + 1
    place = np.arange(rows, dtype=np.int32)
    first, last = np.zeros((len(new), rows), dtype=np.int32), np.full((len(new), rows), rows - 1, dtype=np.int32)
    np.maximum.accumulate(new * place[1:], axis=1, out=first[:, 1:])
    ends = np.where(new, place[:-1], rows - 1)
    last[:, :-1] = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    return first, last


def tied_from(places: np.ndarray) -> np.ndarray:
    """For each entry of ascending places (neuron, row), how many entries come before its equals."""
    fresh = np.zeros(places.shape, dtype=np.int32)
    fresh[:, 1:] = (places[:, 1:] != places[:, :-1]) * np.arange(1, places.shape[1], dtype=np.int32)
    return np.maximum.accumulate(fresh, axis=1)


def tied_until(places: np.ndarray) -> np.ndarray:
    """For each entry of ascending places (neuron, row), how many entries come up to its last equal."""
    return places.shape[1] - tied_from(places[:, ::-1])[:, ::-1]
