"""F with parts of a model changed: many changes in one forward.

A batch holds k copies of its texts; copy j has change j. The unchanged value is computed in a batch of the same shape
and read from the same row, so that a change to the same values is exactly nothing. When memory runs out, k is halved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from neurowidget.analysis.intervention.exact_effects import tokens_per_forward
from neurowidget.analysis.statistics.halving import halving
from neurowidget.models import hooks
from neurowidget.models.context import Context
from neurowidget.models.progress import StopFlag, check
from neurowidget.models.targets import Target, run_recorded
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel

Held = Mapping[LayerSite, Tensor]


@dataclass(frozen=True, eq=False)
class Change:
    """Neurons of one site and what they take: `values` (text, token, column) at the tokens where `chosen` (text, token)."""

    site: LayerSite
    columns: slice
    values: Tensor
    chosen: Tensor


def changed_targets(
    model: NeuronModel,
    batch: Batch,
    target: Target,
    changes: Sequence[Change],
    *,
    held: Held | None = None,
    done: Callable[[int], object] | None = None,
    should_stop: StopFlag | None = None,
) -> tuple[Tensor, Tensor]:
    """F of each text, float64 (text,), and F(changed) - F for each change, float64 (text, change).

    Sites that are `held` keep the given values (text, token, width) in every run, changed or not, except for what a
    change replaces. A change that chooses no token is exactly 0 and is not run. `done(n)` is told of every n finished
    rows, `should_stop` is asked before every forward (raises Cancelled).
    """
    runs = _Runs(model, batch, target, held or {}, should_stop, {})
    found = torch.zeros(len(changes), len(batch), dtype=torch.float64)
    moving = [number for number, change in enumerate(changes) if bool(change.chosen.any())]
    if done is not None and len(moving) < len(changes):
        done((len(changes) - len(moving)) * len(batch))
    copies = max(1, min(len(moving), tokens_per_forward(model) // batch.input_ids.numel()))
    while moving:
        numbers, moving = moving[:copies], moving[copies:]
        block = [changes[number] for number in numbers]

        def work(size: int, block: Sequence[Change] = block) -> tuple[int, Tensor]:
            return size, torch.cat([runs.changes(block[i : i + size]) for i in range(0, len(block), size)])

        copies, found[numbers] = halving(work, copies)
        if done is not None:
            done(len(block) * len(batch))
    return runs.unchanged(1)[: len(batch)], found.T


@dataclass(frozen=True, eq=False)
class _Runs:
    """The forwards of one batch; `clean` keeps the unchanged values of each number of copies."""

    model: NeuronModel
    batch: Batch
    target: Target
    held: Held
    should_stop: StopFlag | None
    clean: dict[int, Tensor]

    def unchanged(self, copies: int) -> Tensor:
        if copies not in self.clean:
            self.clean[copies] = self._values(copies, [])
        return self.clean[copies]

    def changes(self, block: Sequence[Change]) -> Tensor:
        """F(changed) - F, float64 (change, text)."""
        before = self.unchanged(len(block))
        return (self._values(len(block), block) - before).view(len(block), len(self.batch))

    def _values(self, copies: int, block: Sequence[Change]) -> Tensor:
        """F of `copies` copies of the texts, float64 (copy * text,), copy j with change j of `block`."""
        check(self.should_stop)
        rows = list(range(len(self.batch))) * copies
        repeated = self.batch.take(rows)
        with hooks.editing(self.model, edits_of(block, self.held)):
            output, recorded = run_recorded(self.model, repeated, self.target.sites)
        return self.target.take(rows)(output, repeated, recorded).cpu().double()


def edits_of(block: Sequence[Change], held: Held) -> dict[LayerSite, hooks.Edit]:
    """One edit per site: what is held in every copy of the texts, and in copy j what change j replaces."""
    edits: dict[LayerSite, list[hooks.Edit]] = {site: [_hold(value)] for site, value in held.items()}
    for copy, change in enumerate(block):
        edits.setdefault(change.site, []).append(_change(change, copy))
    return {site: _all(own) for site, own in edits.items()}


def _hold(values: Tensor) -> hooks.Edit:
    def edit(value: Tensor, context: Context) -> Tensor:
        value.copy_(values.to(value).repeat(len(value) // len(values), 1, 1))
        return value

    return edit


def _change(change: Change, copy: int) -> hooks.Edit:
    def edit(value: Tensor, context: Context) -> Tensor:
        texts = len(change.chosen)
        own = value[copy * texts : (copy + 1) * texts, :, change.columns]
        own.copy_(torch.where(change.chosen[..., None].to(value.device), change.values.to(value), own))
        return value

    return edit


def _all(edits: Sequence[hooks.Edit]) -> hooks.Edit:
    """Edits that write into what they are given, on one copy of the value."""

    def edit(value: Tensor, context: Context) -> Tensor:
        new = value.clone()
        for own in edits:
            new = own(new, context)
        return new

    return edit
