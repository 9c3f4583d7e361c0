"""F with parts of a model changed: many changes in one forward.

A batch holds k + 1 copies of its texts; copy j has change j, the first one none. Layers before the first change are
computed once and not again, where the model allows it. When memory runs out, k is halved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from neurowidget.analysis.intervention.exact_effects import tokens_per_forward
from neurowidget.analysis.statistics.halving import halving
from neurowidget.models import hooks
from neurowidget.models.context import Context
from neurowidget.models.known_layers import KnownLayers, known_layers
from neurowidget.models.progress import StopFlag, check
from neurowidget.models.readout import reading_columns
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
    found = torch.zeros(len(changes), len(batch), dtype=torch.float64)
    moving = [number for number, change in enumerate(changes) if bool(change.chosen.any())]
    runs = _Runs(
        model, batch, target, held or {}, should_stop, None if held or not moving else known_layers(model, batch)
    )
    if done is not None and len(moving) < len(changes):
        done((len(changes) - len(moving)) * len(batch))
    clean: Tensor | None = None
    # Changes of fewer layers share a forward, so that more layers before them can be skipped.
    tokens = tokens_per_forward(model) // (1 if runs.known is None else 2)
    copies = max(1, min(len(moving), tokens // batch.input_ids.numel() - 1))
    while moving:
        numbers, moving = moving[:copies], moving[copies:]
        block = [changes[number] for number in numbers]

        def work(size: int, block: Sequence[Change] = block) -> tuple[int, Tensor]:
            parts = [runs.values(block[i : i + size]) for i in range(0, len(block), size)]
            # Each part against its own unchanged copy: rows of one forward are rounded alike.
            changes = torch.cat([part[1:] - part[0] for part in parts])
            return size, torch.cat([parts[0][:1], changes])

        copies, values = halving(work, copies)
        clean, found[numbers] = values[0], values[1:]
        if done is not None:
            done(len(block) * len(batch))
    return runs.values([])[0] if clean is None else clean, found.T


@dataclass(frozen=True, eq=False)
class _Runs:
    """The forwards of one batch."""

    model: NeuronModel
    batch: Batch
    target: Target
    held: Held
    should_stop: StopFlag | None
    known: KnownLayers | None

    def values(self, block: Sequence[Change]) -> Tensor:
        """F of the texts unchanged and with each change of `block`, float64 (1 + change, text)."""
        check(self.should_stop)
        rows = list(range(len(self.batch))) * (1 + len(block))
        repeated = self.batch.take(rows)
        first = [change.site.layer + (change.site.site == "residual") for change in block]
        first += [site.layer for site in self.target.sites]
        target = self.target.take(rows)
        read = None
        if target.ids is not None and target.positions is not None:  # a class or token, read at one place of each text
            read = reading_columns(self.model, repeated, target.positions)
        skipped = self.known.up_to(min(first, default=0), rows, read) if self.known is not None else nullcontext()
        with self.model.lock, skipped, hooks.editing(self.model, edits_of(block, self.held, 1)):
            output, recorded = run_recorded(self.model, repeated, self.target.sites)
        values = target(output, repeated, recorded).cpu().double()
        return values.view(1 + len(block), len(self.batch))


def edits_of(block: Sequence[Change], held: Held, first: int = 0) -> dict[LayerSite, hooks.Edit]:
    """One edit per site: what is held in every copy of the texts, and in copy `first` + j what change j replaces."""
    edits: dict[LayerSite, list[hooks.Edit]] = {site: [_hold(value)] for site, value in held.items()}
    for copy, change in enumerate(block, start=first):
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
