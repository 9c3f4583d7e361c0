"""Which texts share a forward pass: sorted by length and packed by padded tokens; over-long texts in windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from neurowidget.models.batching import Encoded, Side
from neurowidget.models.padding import TOLERANCE

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


T = TypeVar("T")


@dataclass(frozen=True)
class Piece:
    """What is fed of one text at once: all of it, or one window. `row.ids[inside]` are the text's tokens from `at` on."""

    text: int
    row: Encoded
    inside: slice
    at: int = 0

    def __len__(self) -> int:
        return len(self.row.ids)


def pieces_of(text: int, row: Encoded, longest: int | None, causal: bool) -> list[Piece]:
    """One text as one piece, or as windows of `longest` tokens when it has more.

    Every window gets the special tokens at the start and the end of the text, and overlaps the next by half. A token
    is taken from the window that gives it the most context: the larger distance to the nearer cut, in a causal model
    the most tokens before it. Positions start anew in each window.
    """
    if longest is None or len(row.ids) <= longest:
        return [Piece(text, row, slice(0, len(row.ids)))]
    before = next((i for i, special in enumerate(row.special) if not special), 0)
    after = next((i for i, special in enumerate(reversed(row.special)) if not special), 0)
    size, body = longest - before - after, len(row.ids) - before - after
    if size < 2:
        raise ValueError(f"text {text}: {longest} tokens at most leave no room beside {before + after} special tokens")
    starts = [*range(0, body - size, size // 2 or 1), body - size]
    # The first token of the body that each window gives, and the end.
    cuts = [
        0,
        *(_cut(start, following, size, causal) for start, following in pairwise(starts)),
        body,
    ]

    found: list[Piece] = []
    for number, start in enumerate(starts):
        kept, past = cuts[number], cuts[number + 1]
        first, last = kept - start + before, past - start + before
        at = kept + before
        if number == 0:
            first, at = 0, 0
        if number == len(starts) - 1:
            last = longest
        window = Encoded(
            row.text,
            _cut_out(row.ids, before, start, size, after),
            _cut_out(row.special, before, start, size, after),
            None if row.types is None else _cut_out(row.types, before, start, size, after),
            None,
        )
        found.append(Piece(text, window, slice(first, last), at))
    return found


def _cut_out(values: list[T], before: int, start: int, size: int, after: int) -> list[T]:
    """The first `before` values, `size` values of the body from `start`, and the last `after` values."""
    return values[:before] + values[before + start : before + start + size] + values[len(values) - after :]


def _cut(start: int, following: int, size: int, causal: bool) -> int:
    """Where one window leaves off and the following goes on: at its end, or in the middle of what they share."""
    return start + size if causal else (following + start + size) // 2


def plan(lengths: Sequence[int], batch_tokens: int, mix: bool = True) -> list[list[int]]:
    """Groups of indices, longest first, each of at most `batch_tokens` tokens once padded (or of one text).

    `mix=False` puts only texts of the same length together. The plan depends on the lengths alone.
    """
    if batch_tokens < 1:
        raise ValueError(f"batch_tokens={batch_tokens}: expected 1 or more")
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    groups: list[list[int]] = []
    for index in order:
        group = groups[-1] if groups else []
        fits = bool(group) and lengths[group[0]] * (len(group) + 1) <= batch_tokens
        if fits and (mix or lengths[group[0]] == lengths[index]):
            group.append(index)
        else:
            groups.append([index])
    return groups


def padding_for(model: NeuronModel, lengths: Sequence[int]) -> tuple[Side, Callable[[int], list[list[int]]]]:
    """The side to pad on, and the plan that this model allows for texts of these lengths.

    A model that takes no attention mask, or whose numbers change with any padding, gets texts of one length together;
    one that cannot run several texts at once gets them one by one.
    """
    side: Side = "right"
    mix = "attention_mask" in model.arguments
    if mix and len(set(lengths)) > 1:
        try:
            side = model.side_for()
            mix = model.padding_errors[side] <= TOLERANCE
        except ValueError:
            return "right", lambda batch_tokens: [[index] for index in range(len(lengths))]
    return side, lambda batch_tokens: plan(lengths, batch_tokens, mix)
