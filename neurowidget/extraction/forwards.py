"""The forward passes of an extraction: each site of each text, handed over as soon as it is computed.

This is where corpora of any size pass through; who keeps the values (one array in memory, a store on disk) is the
caller's affair: `take` gets a view that the model may overwrite afterwards and must copy what it wants.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from neurowidget.extraction.planning import Piece, padding_for
from neurowidget.models import hooks
from neurowidget.models.batching import Batch, Text, assemble
from neurowidget.models.out_of_memory import give_back_memory, is_out_of_memory
from neurowidget.models.progress import StopFlag, check
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

logger = logging.getLogger(__name__)
Take = Callable[[LayerSite, int, np.ndarray], None]
Receive = Callable[[LayerSite, torch.Tensor, Batch, Sequence[int]], None]

MOST_THREADS = 4
WORTH_SHARING = 2**20  # bytes of one site of a batch


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
) -> Generator[list[int]]:
    """Call `take(site, piece, values)` for each site and piece, and yield the pieces of each batch when it is done.

    `values` is (token, width) without padding. Several threads call `take`, within a batch one text always from the same.
    When memory runs out, the texts of that batch, whose values may have been taken in part, are run again in smaller
    batches.
    """
    threads = min(torch.get_num_threads(), MOST_THREADS)
    with ThreadPoolExecutor(threads) as pool:

        def hand(site: LayerSite, value: torch.Tensor, batch: Batch, group: Sequence[int]) -> None:
            texts = [pieces[index].text for index in group]
            _Handing(batch, group, texts, take, pool, threads)(site, value)

        yield from run_batches(
            model, pieces, sites, hand, batch_tokens, targets, target_lengths, should_stop, run_again=True
        )


def run_batches(
    model: NeuronModel,
    pieces: Sequence[Piece],
    sites: Sequence[LayerSite],
    receive: Receive,
    batch_tokens: int,
    targets: Sequence[Text] | None = None,
    target_lengths: Sequence[int] = (),
    should_stop: StopFlag | None = None,
    *,
    run_again: bool = False,
) -> Generator[list[int]]:
    """Call `receive(site, value, batch, group)` for each site of each batch, and yield `group`, its pieces, when it is done.

    `value` is the model's own tensor (text, token, width), padding included, on the model's device. A forward ends at
    the last wanted site, so that neither higher layers nor a head are computed, unless this thread has other blocks
    open (interventions, recordings), which may wait for something above. `run_again` is for a `receive` that may be
    given the same texts twice: when memory runs out, that batch is run again in parts.
    """
    lengths = [len(piece) + (target_lengths[piece.text] if target_lengths else 0) for piece in pieces]
    side, groups = padding_for(model, lengths)
    waiting = groups(batch_tokens)[::-1]
    while waiting:
        group = waiting.pop()
        check(should_stop)
        rows = [pieces[index].row for index in group]
        texts = [pieces[index].text for index in group]
        try:
            with model.lock:
                batch = assemble(model, rows, None if targets is None else [targets[text] for text in texts], side)
            _forward(model, batch, sites, partial(_of_batch, receive, batch, group))
        except (RuntimeError, MemoryError) as error:
            if not run_again or len(group) == 1 or not is_out_of_memory(error):
                raise
            batch_tokens = max(lengths[index] for index in group) * len(group) // 2
            logger.info("out of memory: going on with %d tokens at a time", batch_tokens)
            waiting = [part for larger in (*waiting, group) for part in _within(larger, lengths, batch_tokens)]
            give_back_memory()
            continue
        yield group


def _of_batch(receive: Receive, batch: Batch, group: Sequence[int], site: LayerSite, value: torch.Tensor) -> None:
    receive(site, value, batch, group)


def _within(group: list[int], lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """A group, or the parts of it that have at most `tokens` padded tokens each (or one text), the last one first."""
    size = max(1, tokens // max(lengths[index] for index in group))
    return [group[start : start + size] for start in range(0, len(group), size)][::-1]


@dataclass(frozen=True)
class _Handing:
    """Hands the values of a batch to `take`; several threads share the texts of a large one.

    The copies are numpy's, in threads of ours: thousands of small copies by torch, whose threads wait for one another
    at each, cost more than the forward when other programs keep the processors busy.
    """

    batch: Batch
    group: Sequence[int]
    texts: Sequence[int]
    take: Take
    pool: ThreadPoolExecutor
    threads: int

    def __call__(self, site: LayerSite, value: torch.Tensor) -> None:
        value = value.detach().cpu()
        values = (value.float() if value.dtype == torch.bfloat16 else value).numpy()  # numpy has no bfloat16
        parts = self.threads if values.nbytes >= WORTH_SHARING else 1
        others = [self.pool.submit(self.hand, site, values, part, parts) for part in range(1, parts)]
        self.hand(site, values, 0, parts)
        for other in others:
            other.result()

    def hand(self, site: LayerSite, values: np.ndarray, part: int, parts: int) -> None:
        """The texts that one thread takes care of."""
        real = self.batch.decoder_real if site.stack == "decoder" else self.batch.real
        for row, (index, text) in enumerate(zip(self.group, self.texts, strict=True)):
            if text % parts == part:
                self.take(site, index, values[row, real(row)])


def _forward(
    model: NeuronModel, batch: Batch, sites: Sequence[LayerSite], hand_over: Callable[[LayerSite, torch.Tensor], None]
) -> None:
    """One forward, ended at the last of `sites`; each of them is handed over before the model goes on."""
    waiting = set(sites)
    to_the_end = bool(hooks.open_blocks(model))

    def receive(site: LayerSite, value: torch.Tensor) -> None:
        tokens = batch.decoder_input_ids if site.stack == "decoder" else batch.input_ids
        if tokens is None or value.shape[:2] != tokens.shape:
            raise ValueError(
                f"{site} of {model.name} has the shape {tuple(value.shape)}, expected (text, token, neuron) ="
                f" ({len(batch)}, {tokens.shape[1] if tokens is not None else 0}, width)"
            )
        hand_over(site, value)
        waiting.discard(site)
        if not waiting and not to_the_end:
            raise _AllReached

    with suppress(_AllReached), hooks.recording(model, sites, receive):
        model.forward(batch)
