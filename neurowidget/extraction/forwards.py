"""The forward passes of an extraction: each site of each text, handed over as soon as it is computed.

This is where corpora of any size pass through; who keeps the values (one array in memory, a store on disk) is the
caller's affair: `take` gets a view that the model may overwrite afterwards and must copy what it wants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import torch

from neurowidget.extraction.planning import Piece, padding_for
from neurowidget.models import hooks
from neurowidget.models.batching import Batch, Text, assemble
from neurowidget.models.progress import StopFlag, check
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

Take = Callable[[LayerSite, int, torch.Tensor], None]


class _AllReached(Exception):  # noqa: N818 - no error: it ends a forward whose rest nobody asked for
    pass


def run(
    model: NeuronModel,
    pieces: Sequence[Piece],
    sites: Sequence[LayerSite],
    take: Take,
    batch_tokens: int,
    targets: Sequence[Text] | None = None,
    target_lengths: Sequence[int] = (),
    should_stop: StopFlag | None = None,
) -> Iterator[list[int]]:
    """Call `take(site, piece, values)` for each site and piece, and yield the pieces of each batch when it is done.

    `values` is (token, width) without padding, on the CPU. A forward ends at the last wanted site, so that neither
    higher layers nor a head are computed, unless this thread has other blocks open (interventions, recordings), which
    may wait for something above.
    """
    lengths = [len(piece) + (target_lengths[piece.text] if target_lengths else 0) for piece in pieces]
    side, groups = padding_for(model, lengths)
    for group in groups(batch_tokens):
        check(should_stop)
        with model.lock:
            rows = [pieces[index].row for index in group]
            batch = assemble(model, rows, targets and [targets[pieces[index].text] for index in group], side)
        _forward(model, batch, group, sites, take)
        yield group


def _forward(model: NeuronModel, batch: Batch, group: Sequence[int], sites: Sequence[LayerSite], take: Take) -> None:
    """One forward of a batch whose rows are the pieces `group`."""
    waiting = set(sites)
    to_the_end = bool(hooks.open_blocks(model))

    def receive(site: LayerSite, value: torch.Tensor) -> None:
        on_cpu = value.detach().cpu()
        decoding = site.stack == "decoder"
        tokens = batch.decoder_input_ids if decoding else batch.input_ids
        if tokens is None or on_cpu.shape[:2] != tokens.shape:
            raise ValueError(
                f"{site} of {model.name} has the shape {tuple(on_cpu.shape)}, expected (text, token, neuron) ="
                f" ({len(group)}, {tokens.shape[1] if tokens is not None else 0}, width)"
            )
        for row, index in enumerate(group):
            take(site, index, on_cpu[row, batch.decoder_real(row) if decoding else batch.real(row)])
        waiting.discard(site)
        if not waiting and not to_the_end:
            raise _AllReached

    with suppress(_AllReached), hooks.recording(model, sites, receive):
        model.forward(batch)
