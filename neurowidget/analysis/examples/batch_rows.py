"""Which tokens of a batch count, where they are in the tensor of a site, and which tokens of the corpus they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neurowidget.analysis.examples.running_top import mixed
from neurowidget.extraction.planning import Piece
from neurowidget.models.batching import Batch

SAMPLED_EVERY = 16


@dataclass(frozen=True, eq=False)
class BatchRows:
    """The tokens of one batch that count, row by row, in the order of their texts.

    A site's value (text, token, width), flattened to (text * token, width), has them at `flat`; `texts` and `positions`
    say which tokens of the corpus they are. The rows `starts[i]` to `starts[i + 1]` are of one piece of a text, which is
    all of it or a window: `owners[i]` is its number in the corpus, `origins[i]` the position where the piece begins, and
    `shown[i]` the piece in the flattened value, special tokens included. Row r is of the piece `piece[r]`, its token
    `offset[r]`. `sampled` are the rows from which the groups by quantile are taken.
    """

    flat: Tensor
    texts: Tensor
    positions: Tensor
    starts: tuple[int, ...]
    owners: Tensor
    origins: Tensor
    shown: tuple[slice, ...]
    piece: Tensor
    offset: Tensor
    sampled: Tensor

    def __len__(self) -> int:
        return len(self.flat)


def rows_of(
    batch: Batch,
    pieces: Sequence[Piece],
    first: int,
    counting: Sequence[Sequence[bool]],
    seed: int,
    device: torch.device,
    per_sentence: bool,
) -> BatchRows:
    """The rows of the `pieces` of a batch, whose texts are numbered from `first` in the corpus.

    `counting` says of each text which of its tokens count. One token of each text is sampled, at a place that `seed`
    draws, or with `per_sentence=False` every 16th.
    """
    tokens = batch.input_ids.shape[1]
    columns: dict[str, list[int]] = {
        name: [] for name in ("flat", "texts", "positions", "owners", "origins", "piece", "offset")
    }
    starts: list[int] = [0]
    shown: list[slice] = []
    sampled: list[int] = []
    for row, piece in enumerate(pieces):
        inside = piece.inside
        count = inside.stop - inside.start
        origin = row * tokens + batch.real(row).start + inside.start
        chosen = [i for i in range(count) if counting[piece.text][piece.at + i]]
        if not chosen:
            continue
        text = first + piece.text
        columns["flat"] += [origin + i for i in chosen]
        columns["texts"] += [text] * len(chosen)
        columns["positions"] += [piece.at + i for i in chosen]
        columns["piece"] += [len(shown)] * len(chosen)
        columns["offset"] += chosen
        columns["owners"].append(text)
        columns["origins"].append(piece.at)
        shown.append(slice(origin, origin + count))
        every = len(chosen) if per_sentence else min(SAMPLED_EVERY, len(chosen))
        drawn = int(mixed(torch.tensor(text * 65_537 + seed + piece.at))) % every
        sampled += range(starts[-1] + drawn, starts[-1] + len(chosen), every)
        starts.append(starts[-1] + len(chosen))
    tensors = {name: torch.tensor(values, dtype=torch.long, device=device) for name, values in columns.items()}
    return BatchRows(
        starts=tuple(starts),
        shown=tuple(shown),
        sampled=torch.tensor(sampled, dtype=torch.long, device=device),
        **tensors,
    )
