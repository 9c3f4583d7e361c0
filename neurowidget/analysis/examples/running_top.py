"""The k best tokens of many neurons over a stream, without a loop over neurons, the same in any order of the stream.

What is better is one whole number, the key: the value rounded to 14 significant bits, and below it what decides ties.
Keys are unique (but past token 16,383 of a text), so the best k of a corpus are the same set however it is cut into
batches and parts. Rounding makes values equal that differ as the same product in batches of two shapes does, so that the
order does not depend on the batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_EMPTY = torch.iinfo(torch.int64).min  # and the next ones, for the slots of a neuron that nothing has entered yet
_DROPPED_BITS = 10  # of the 24 significant ones of a float32
_TIE_BITS = 42
_POSITION_BITS = 14
_MOST_TEXTS = 2 ** (_TIE_BITS - _POSITION_BITS)
_BLOCK = 4_096  # neurons that are merged or sorted at once


def rounded(values: Tensor) -> Tensor:
    """Whole numbers in the order of the values, int64, equal where they agree to about one part in 8,192."""
    bits = (values.float() + 0.0).view(torch.int32)  # + 0.0: there are two zeros
    ordinal = bits ^ ((bits >> 31) & 0x7FFF_FFFF)
    return (ordinal >> _DROPPED_BITS).long()


def least_of_rounded(values: Tensor) -> Tensor:
    """The smallest value that `rounded` gives the same number as each of `values`, float32."""
    ordinal = (rounded(values) << _DROPPED_BITS).int()
    return (ordinal ^ ((ordinal >> 31) & 0x7FFF_FFFF)).view(torch.float32)


def keys_by_value(values: Tensor, texts: Tensor, positions: Tensor) -> Tensor:
    """Larger values first, then earlier texts, then earlier positions; `values` (row, neuron), the others (row,)."""
    if len(texts) and int(texts.max()) >= _MOST_TEXTS:
        raise ValueError(f"a corpus of more than {_MOST_TEXTS:,} texts: split it")
    most = 2**_POSITION_BITS - 1
    ties = ((_MOST_TEXTS - 1 - texts) << _POSITION_BITS) | (most - positions.clamp(max=most))
    return (rounded(values) << _TIE_BITS) | ties[:, None]


def keys_by_distance(distances: Tensor, texts: Tensor, positions: Tensor, seed: int) -> Tensor:
    """Smaller distances (whole numbers, (row, neuron)) first; among equal ones a random order that `seed` draws."""
    most = 2 ** (62 - _TIE_BITS)
    drawn = mixed(mixed(texts * 65_537 + seed) + positions) & (2**_TIE_BITS - 1)
    return ((most - distances.clamp(max=most).long()) << _TIE_BITS) | drawn[:, None]


def mixed(numbers: Tensor) -> Tensor:
    """SplitMix64 (Steele et al. 2014) of int64 numbers: neighbours become unrelated."""
    found = numbers + -0x61C8_8646_80B5_83EB
    found = (found ^ (found >> 30 & 0x3_FFFF_FFFF)) * -0x40A7_B892_E31B_1A47
    found = (found ^ (found >> 27 & 0x1F_FFFF_FFFF)) * -0x6B2F_B644_ECCE_EE15
    return found ^ (found >> 31 & 0x1_FFFF_FFFF)


def kth_largest(keys: Tensor, k: int) -> Tensor:
    """The kth largest of each row, (row,)."""
    place = keys.shape[1] - k
    if keys.is_cuda:
        return keys.kthvalue(place + 1, dim=1).values
    return torch.from_numpy(np.partition(keys.numpy(), place, axis=1)[:, place])  # ten times as fast as topk


@dataclass(frozen=True, eq=False)
class Context:
    """Values (entry, 2 * context + 1) around tokens, of which only as many are meant as there are tokens on each side."""

    values: Tensor
    before: Tensor
    after: Tensor


class RunningTop:
    """The k best tokens of each neuron so far, in no order: where they are, their values, and the values around them."""

    def __init__(self, neurons: int, k: int, context: int, device: torch.device) -> None:
        self.k, self.context = k, context
        self.key = (_EMPTY + torch.arange(k, device=device)).repeat(neurons, 1)
        self.text = torch.full((neurons, k), -1, device=device)
        self.token = torch.zeros((neurons, k), dtype=torch.int32, device=device)
        self.value = torch.full((neurons, k), torch.nan, device=device)
        self.estimate = torch.full((neurons, k), torch.nan, device=device)  # of the effect, where there is a target
        self.before = torch.zeros((neurons, k), dtype=torch.int16, device=device)  # tokens that there are on each side
        self.after = torch.zeros((neurons, k), dtype=torch.int16, device=device)
        self.contexts = torch.full((neurons, k, 2 * context + 1), torch.nan, dtype=torch.float16, device=device)

    def enter(self, where: slice, keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give the slots of the worst to the better ones among `keys` (row, neuron of `where`).

        Returns the neurons, slots and rows that entered, int64 (entry,); the caller fills in the rest.
        """
        own = self.key[where]
        none = torch.zeros(0, dtype=torch.long, device=keys.device)
        if not self.k or not len(keys):
            return none, none, none
        columns = (keys > own.amin(dim=1)).any(dim=0).nonzero()[:, 0]
        if not len(columns):
            return none, none, none
        new = keys.index_select(1, columns).t()
        joined = torch.cat([own.index_select(0, columns), new], dim=1)
        least = kth_largest(joined, self.k)[:, None]
        best = joined >= least
        if int(best.sum()) > best.shape[0] * self.k:  # equal keys, deep in a long text: the first of them
            equal = joined == least
            better = joined > least
            best = better | (equal & (equal.cumsum(dim=1) <= self.k - better.sum(dim=1, keepdim=True)))
        # As many are new as lost their slot, in each neuron: both lists run neuron by neuron.
        neuron, slot = (~best[:, : self.k]).nonzero(as_tuple=True)
        row = best[:, self.k :].nonzero()[:, 1]
        neurons = columns[neuron] + where.start
        self.key[neurons, slot] = new[neuron, row]
        return neurons, slot, row

    def put(
        self, neurons: Tensor, slots: Tensor, texts: Tensor, tokens: Tensor, around: Context, estimates: Tensor | None
    ) -> None:
        """Fill in what `enter` made room for; texts, tokens and estimates are (entry,)."""
        place = neurons * self.k + slots
        self.text.view(-1)[place] = texts
        self.token.view(-1)[place] = tokens.int()
        self.value.view(-1)[place] = around.values[:, self.context]
        if estimates is not None:
            self.estimate.view(-1)[place] = estimates
        self.before.view(-1)[place] = around.before.clamp(max=self.context).short()
        self.after.view(-1)[place] = around.after.clamp(max=self.context).short()
        most = torch.finfo(torch.float16).max
        self.contexts.view(-1, 2 * self.context + 1).index_copy_(0, place, around.values.clamp(-most, most).half())

    def merge(self, other: RunningTop) -> None:
        """Keep the best of both; they must be about different texts."""
        for block in self._blocks():
            keys = torch.cat([self.key[block], other.key[block]], dim=1)
            chosen = keys.topk(self.k, dim=1).indices
            self._choose(block, chosen, other)

    def sort(self) -> None:
        """Best first; empty slots come last. Contexts become NaN outside of their texts."""
        step = torch.arange(-self.context, self.context + 1, dtype=torch.int16, device=self.key.device)
        for block in self._blocks():
            self._choose(block, self.key[block].argsort(dim=1, descending=True), None)
            outside = (step < -self.before[block][:, :, None]) | (step > self.after[block][:, :, None])
            outside |= (self.text[block] < 0)[:, :, None]
            self.contexts[block].masked_fill_(outside, torch.nan)

    def _blocks(self) -> Iterator[slice]:
        return (slice(start, start + _BLOCK) for start in range(0, len(self.key), _BLOCK))

    def _choose(self, block: slice, chosen: Tensor, other: RunningTop | None) -> None:
        for name in ("key", "text", "token", "value", "estimate", "before", "after", "contexts"):
            own = getattr(self, name)
            both = own[block] if other is None else torch.cat([own[block], getattr(other, name)[block]], dim=1)
            index = chosen if both.ndim == 2 else chosen[:, :, None].expand(-1, -1, both.shape[2])
            own[block] = both.gather(1, index)
