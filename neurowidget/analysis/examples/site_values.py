"""The values of one site of a batch: token by token to count with, and neuron by neuron to look at what is around a token.

A context is 33 numbers of one neuron. Read from (token, neuron) each is a cache miss; so each text is turned once, and a
context is then one copy of neighbouring numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from neurowidget.analysis.examples.batch_rows import BatchRows
from neurowidget.analysis.examples.running_top import Context, least_of_rounded

_ENTRIES = 8_192  # whose contexts are looked at together


class SiteValues:
    """Views of the value (text, token, width) of one site for the columns that are wanted (None: all)."""

    def __init__(self, value: Tensor, column: Tensor | None, rows: BatchRows, context: int, room: Room) -> None:
        self.rows, self.context = rows, context
        whole = value.reshape(-1, value.shape[-1])
        whole = (whole if column is None else whole.index_select(1, column.to(value.device))).float()
        self.width = whole.shape[1]
        lengths = [there.stop - there.start for there in rows.shown]
        margin = max([context, *lengths])
        self.counted = torch.index_select(whole, 0, rows.flat, out=room.counted(len(rows), self.width, whole.device))
        self.series = room.series(2 * margin + self.width * sum(lengths), whole.device)
        self.lengths = torch.tensor(lengths, device=whole.device)
        self.bases = margin + self.width * (self.lengths.cumsum(0) - self.lengths)
        start = margin
        for there, length in zip(rows.shown, lengths, strict=True):
            turned = self.series[start : start + self.width * length].view(self.width, length)
            if whole.is_cuda:
                turned.copy_(whole[there].t())
            else:  # numpy turns a few hundred kilobytes in half the time
                turned.numpy()[:] = whole[there].detach().numpy().T
            start += self.width * length

    def per_text(self) -> tuple[Tensor, Tensor]:
        """The largest and the smallest counted value of each neuron in each text, (text, neuron)."""
        starts = self.rows.starts
        size = (len(starts) - 1, self.width)
        highest, lowest = (torch.empty(size, device=self.counted.device) for _ in range(2))
        for i in range(size[0]):
            own = self.counted[starts[i] : starts[i + 1]]
            torch.amax(own, dim=0, out=highest[i])
            torch.amin(own, dim=0, out=lowest[i])
        return highest, lowest

    def around(self, rows: Tensor, columns: Tensor) -> Context:
        """The values of neurons `columns` around `rows`, both (entry,)."""
        piece, offset = self.rows.piece[rows], self.rows.offset[rows]
        lengths = self.lengths[piece]
        found = self._windows(self.bases[piece] + columns * lengths + offset - self.context, 2 * self.context + 1)
        return Context(found, offset, lengths - offset - 1)

    def first_extreme(self, extreme: Tensor, pieces: Tensor, columns: Tensor, sign: int) -> Tensor:
        """The first counted row of each piece at which `sign` * value is that of `extreme` (text, neuron), up to rounding.

        `pieces`, `columns` and the answer are (entry,).
        """
        counted = torch.zeros((len(self.lengths), int(self.lengths.max())), dtype=torch.bool, device=pieces.device)
        counted[self.rows.piece, self.rows.offset] = True
        row_of = torch.zeros(counted.shape, dtype=torch.long, device=pieces.device)
        row_of[self.rows.piece, self.rows.offset] = torch.arange(len(self.rows), device=pieces.device)
        found = [torch.zeros(0, dtype=torch.long, device=pieces.device)]
        for piece, column in zip(pieces.split(_ENTRIES), columns.split(_ENTRIES), strict=True):
            lengths = self.lengths[piece]
            values = self._windows(self.bases[piece] + column * lengths, counted.shape[1])
            least = least_of_rounded(sign * extreme[piece, column])[:, None]
            same = (values >= least if sign > 0 else values <= -least) & counted[piece]
            found.append(row_of[piece, same.to(torch.uint8).argmax(dim=1)])
        return torch.cat(found)

    def _windows(self, starts: Tensor, width: int) -> Tensor:
        return self.series.unfold(0, width, 1).index_select(0, starts)


class Room:
    """Memory that one site after the other uses: pages that are new each time cost more than what is written there."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def counted(self, rows: int, width: int, device: torch.device) -> Tensor:
        """Room for values (row, width)."""
        return self._of("counted", rows * width, device).view(rows, width)

    def series(self, size: int, device: torch.device) -> Tensor:
        """Room for `size` values."""
        return self._of("series", size, device)

    def _of(self, name: str, size: int, device: torch.device) -> Tensor:
        if name not in self._kept or len(self._kept[name]) < size:
            self._kept[name] = torch.zeros(size + size // 4, device=device)
        return self._kept[name][:size]
