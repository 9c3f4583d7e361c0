"""Pairs of prompts that differ in a detail, and which token of one stands for which token of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from neurowidget.models import targets
from neurowidget.models.display import tokens_of
from neurowidget.models.edits import parse_positions
from neurowidget.models.readout import reading_positions, stack_context
from neurowidget.models.targets import Spec, Target

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel

SWAPPED = "swapped"
Place = tuple[int, int]  # positions that stand for each other, in the first prompt and in the second


@dataclass(frozen=True, eq=False)
class Prompts:
    """One side of the pairs. `columns` is int64 (pair, place), where in the padded batch each place is; -1 for none."""

    batch: Batch
    target: Target
    columns: Tensor
    stack: str | None = None

    def take(self, rows: Sequence[int]) -> Prompts:
        return replace(self, batch=self.batch.take(rows), target=self.target.take(rows), columns=self.columns[rows])

    def at(self, places: Sequence[int] | None = None) -> Tensor:
        """The tokens at `places`, by default at all of them, bool (pair, token)."""
        columns = self.columns if places is None else self.columns[:, list(places)]
        chosen = torch.zeros(stack_context(self.batch, self.stack).shape, dtype=torch.bool)
        row, place = (columns >= 0).nonzero(as_tuple=True)
        chosen[row, columns[row, place]] = True
        return chosen

    def real_tokens(self) -> Tensor:
        """The tokens that are not padding, bool (pair, token)."""
        return stack_context(self.batch, self.stack).positions() >= 0

    def receive(self, values: Tensor, donor: Prompts) -> Tensor:
        """The values (pair, token, width) of `donor` at the tokens that stand for its tokens here, 0 elsewhere."""
        tokens = stack_context(self.batch, self.stack).shape[1]
        moved = values.new_zeros(len(values), tokens, values.shape[2])
        row, place = (self.columns >= 0).nonzero(as_tuple=True)
        moved[row, self.columns[row, place]] = values[row, donor.columns[row, place]]
        return moved


@dataclass(frozen=True, eq=False)
class PromptPairs:
    """Prompts and their counterparts; `places` are the positions in each pair that stand for each other."""

    first: Prompts
    second: Prompts
    places: tuple[tuple[Place, ...], ...]

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: Sequence[int]) -> PromptPairs:
        return PromptPairs(self.first.take(rows), self.second.take(rows), tuple(self.places[row] for row in rows))


def pair_prompts(
    model: NeuronModel,
    first: Any,
    second: Any,
    stack: str | None = None,
    positions: Any = None,
    target: Any = None,
    position: int | None = None,
) -> PromptPairs:
    """Encode prompts and their counterparts and say which tokens stand for each other.

    `positions` None: all tokens, one to one; "swapped": the tokens that differ; a list that holds in both prompts of
    every pair, of positions or of pairs (position in the first, position in the second). The target is resolved on the
    first prompts; a list of specs, such as `[(" Mary", " John"), ...]`, is one for each pair. Raises ValueError that
    shows both tokenisations when prompts have different numbers of tokens and no positions are given.
    """
    texts, others = listed(first), listed(second)
    if len(texts) != len(others):
        raise ValueError(f"{len(texts)} prompts and {len(others)} counterparts: each prompt needs one")
    batches = model.encode(texts), model.encode(others)
    if positions != SWAPPED:
        positions = parse_positions(positions)
    places = tuple(_places(model, batches, row, stack, positions) for row in range(len(texts)))
    resolved = _resolved(model, batches[0], target, position)
    other = resolved
    if resolved.ids is not None:
        other = replace(resolved, positions=reading_positions(model, batches[1], position))
    columns = [_columns(stack_context(batch, stack).positions(), places, side) for side, batch in enumerate(batches)]
    return PromptPairs(
        Prompts(batches[0], resolved, columns[0], stack), Prompts(batches[1], other, columns[1], stack), places
    )


def listed(prompts: Any) -> list[Any]:
    """One text, or ready ids, as a list of one; a list of them as it is."""
    one = isinstance(prompts, str) or (len(prompts) > 0 and all(hasattr(item, "__index__") for item in prompts))
    found = [prompts] if one else list(prompts)
    if not found:
        raise ValueError("there are no prompts: expected a text or a list of texts")
    return found


def _resolved(model: NeuronModel, batch: Batch, target: Any, position: int | None) -> Target:
    """One target for all prompts, or one of the same measure for each of them."""
    if not (isinstance(target, list) and target and all(isinstance(item, tuple | Spec) for item in target)):
        return targets.resolve(model, batch, target, position)
    if len(target) != len(batch):
        raise ValueError(f"{len(target)} targets for {len(batch)} prompts: give one for all, or one for each")
    single = [targets.resolve(model, batch.take([row]), item, position) for row, item in enumerate(target)]
    ids = [item.ids for item in single if item.ids is not None]
    measures = {item.name.partition(" of ")[0] for item in single}
    if len(measures) > 1:
        raise ValueError(f"the targets of all prompts should be of one kind, got {' and '.join(sorted(measures))}")
    names = list(dict.fromkeys(item.name for item in single))
    name = names[0] if len(names) == 1 else f"{measures.pop()} of a target for each prompt"
    return replace(single[0], name=name, ids=torch.cat(ids), positions=reading_positions(model, batch, position))


def _places(
    model: NeuronModel, batches: tuple[Batch, Batch], row: int, stack: str | None, positions: Any
) -> tuple[Place, ...]:
    contexts = [stack_context(batch, stack) for batch in batches]
    lengths = [int(context.lengths[row]) for context in contexts]
    if positions is None or positions == SWAPPED:
        if lengths[0] != lengths[1]:
            raise ValueError(_both_tokenisations(model, batches, row, stack, lengths))
        if positions is None:
            return tuple((place, place) for place in range(lengths[0]))
        ids = [c.input_ids[row][c.positions()[row] >= 0] for c in contexts if c.input_ids is not None]
        return tuple((place, place) for place in (ids[0] != ids[1]).nonzero().flatten().tolist())
    found = []
    for item in positions:
        pair = (item, item) if isinstance(item, int) else item
        for side, (place, length) in enumerate(zip(pair, lengths, strict=True)):
            if not -length <= place < length:
                raise ValueError(
                    f"position {place} is outside the {'first' if side == 0 else 'second'} prompt of pair {row}, which "
                    f"has {length} tokens"
                )
        found.append((pair[0] % lengths[0], pair[1] % lengths[1]))
    return tuple(found)


def _both_tokenisations(
    model: NeuronModel, batches: tuple[Batch, Batch], row: int, stack: str | None, lengths: list[int]
) -> str:
    shown = ["|".join(tokens_of(model, batch, stack).sentence(row).raw) for batch in batches]
    return (
        f"the prompts of pair {row} have {lengths[0]} and {lengths[1]} tokens, so they cannot be matched one to one:\n"
        f"  {shown[0]}\n  {shown[1]}\nuse prompts of the same length, or give positions=[...] that hold in both, or pairs "
        "[(position in the first, position in the second), ...]"
    )


def _columns(own: Tensor, places: Sequence[Sequence[Place]], side: int) -> Tensor:
    """Columns of the padded batch, int64 (pair, place); `own` is each token's position in its own text."""
    found = torch.full((len(places), max(map(len, places))), -1)
    for row, pairs in enumerate(places):
        real = (own[row] >= 0).nonzero().flatten()
        if pairs:
            found[row, : len(pairs)] = real[[pair[side] for pair in pairs]]
    return found
