"""Histogram, mean, variance, range and sparsity of many neurons over a stream of tokens.

Everything is a count, a sum of whole numbers or an extreme, so that merging parts is exact in any order. The histogram
has 64 bins of one width per neuron, set beforehand (`Layout`), one of which begins at 0; what lies outside counts in the first
or the last one. Sums are of x - centre and its square, of each part rounded to whole multiples of 2^-20 bins and
2^-16 square bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 64
_MOST_ROWS = 96  # tokens at a time: 1,536 neurons of them stay in the cache of a processor
_SUM_PARTS, _SQUARE_PARTS = 2.0**20, 2.0**16


@dataclass(frozen=True, eq=False)
class Ranges:
    """Where the histogram of each neuron lies, (neuron,): bin b holds [(first + b) * step, (first + b + 1) * step)."""

    step: Tensor  # float32
    first: Tensor  # float32, whole numbers
    centre: Tensor  # float32: what sums are taken from, near the mean

    @classmethod
    def around(cls, low: Tensor, high: Tensor, mean: Tensor) -> Ranges:
        """Bins over twice the range of a sample, 1 wide in all where it has none."""
        width = torch.where(high > low, high - low, 0.5)
        step = 2 * width / (BINS - 1)
        return cls(step, torch.floor((low - width / 2) / step), mean)


class Densities:
    """The statistics of neurons so far; `add` is called for each site of each batch."""

    def __init__(self, ranges: Ranges) -> None:
        self.ranges = ranges
        neurons, device = len(ranges.step), ranges.step.device
        self.tokens = 0
        self.counts = torch.zeros((neurons, BINS), dtype=torch.int64, device=device)
        self.positive = torch.zeros(neurons, dtype=torch.int64, device=device)
        self.sums = torch.zeros((2, neurons), dtype=torch.int64, device=device)
        self.low = torch.full((neurons,), torch.inf, device=device)
        self.high = torch.full((neurons,), -torch.inf, device=device)
        self._part_counts = torch.zeros((neurons, BINS), dtype=torch.int32, device=device)
        self._part_sums = torch.zeros((2, neurons), dtype=torch.float64, device=device)
        self._room: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def add(self, where: slice, rows: Tensor) -> None:
        """Count the values (token, neuron) of the neurons of `where`; extremes are taken by `extremes`."""
        width = rows.shape[1]
        step, first, centre = (getattr(self.ranges, name)[where] for name in ("step", "first", "centre"))
        inverse = 1 / step
        bins = torch.arange(width, device=rows.device).float() * BINS  # whole numbers, so exact up to 2^24
        counts = self._part_counts[where].view(-1)
        for start in range(0, len(rows), _MOST_ROWS):
            block = rows[start : start + _MOST_ROWS]
            size = len(block)
            room, index, ones = (part[:size] for part in self._room_for(width, rows.device))
            column = torch.ones((1, size), device=rows.device)  # a product with it is the fastest sum
            self.positive[where] += (column @ torch.gt(block, 0, out=room))[0].long()
            torch.sub(block, centre, out=room)
            self._part_sums[0, where] += (column @ room)[0]
            self._part_sums[1, where] += (column @ room.square_())[0]
            torch.addcmul(-first, block, inverse, out=room)
            index.copy_(room.floor_().clamp_(0, BINS - 1).add_(bins))
            counts.scatter_add_(0, index.view(-1), ones.view(-1))

    def extremes(self, where: slice, highest: Tensor, lowest: Tensor) -> None:
        """The largest and smallest values (row, neuron) of some tokens that `add` counted."""
        if len(highest):
            self.high[where] = torch.maximum(self.high[where], highest.amax(dim=0))
            self.low[where] = torch.minimum(self.low[where], lowest.amin(dim=0))

    def close_part(self, tokens: int) -> None:
        """The end of a part of the corpus, which had this many tokens: its sums become whole numbers."""
        self.tokens += tokens
        self.counts += self._part_counts
        step = self.ranges.step.double()
        self.sums[0] += (self._part_sums[0] / step * _SUM_PARTS).round().long()
        self.sums[1] += (self._part_sums[1] / step.square() * _SQUARE_PARTS).round().long()
        self._part_counts.zero_()
        self._part_sums.zero_()

    def merge(self, other: Densities) -> None:
        """Count what another one counted, with the same ranges."""
        self.tokens += other.tokens
        self.counts += other.counts
        self.positive += other.positive
        self.sums += other.sums
        self.low = torch.minimum(self.low, other.low)
        self.high = torch.maximum(self.high, other.high)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance (of the population) of each neuron, float64 (neuron,)."""
        step = self.ranges.step.double()
        count = max(self.tokens, 1)
        away = self.sums[0].double() * step / (_SUM_PARTS * count)
        square = self.sums[1].double() * step.square() / (_SQUARE_PARTS * count)
        return self.ranges.centre.double() + away, (square - away.square()).clamp(min=0)

    def edges(self) -> Tensor:
        """The edges of the bins, float32 (neuron, bin + 1); the outer ones include every value."""
        places = self.ranges.first[:, None] + torch.arange(BINS + 1, device=self.low.device)
        edges = places * self.ranges.step[:, None]
        if self.tokens:
            edges[:, 0] = torch.minimum(edges[:, 0], self.low)
            edges[:, -1] = torch.maximum(edges[:, -1], self.high)
        return edges

    def _room_for(self, width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Memory for one block of tokens: what is computed, its bins, and ones to count with."""
        if width not in self._room:
            size = (_MOST_ROWS, width)
            index = torch.empty(size, dtype=torch.int64, device=device)
            ones = torch.ones(size, dtype=torch.int32, device=device)
            self._room[width] = torch.empty(size, device=device), index, ones
        return self._room[width]

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_room": {}}
