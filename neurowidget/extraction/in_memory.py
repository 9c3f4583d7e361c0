"""Where the values of an extraction go when they stay in memory: one array per site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from neurowidget.extraction.fresh_memory import empty, lay_out_ahead
from neurowidget.extraction.planning import Piece
from neurowidget.extraction.tokens import Rows, WordValue
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

DTYPES = {"float32": torch.float32, "float16": torch.float16}
LARGEST_FLOAT16 = float(np.finfo(np.float16).max)
INFINITE_FLOAT16 = 0x7C00  # its bits without the sign
WITHOUT_THREADS = 2**15  # torch copies no more numbers than these in the calling thread


class InMemory:
    """One array per site, made before the first forward, into which each text is written as it comes."""

    def __init__(
        self,
        model: NeuronModel,
        wanted: Mapping[str, list[LayerSite]],
        rows: Mapping[str | None, Rows],
        pieces: Sequence[Piece],
        how: WordValue,
        dtype: str,
    ) -> None:
        self.rows, self.pieces, self.how = rows, pieces, how
        self.arrays: dict[str, np.ndarray] = {}
        self.out: dict[LayerSite, np.ndarray] = {}
        for site, addresses in wanted.items():
            total = len(self.rows_of(addresses[0]))
            self.arrays[site] = empty((len(addresses), total, model.width(site)), DTYPES[dtype])
            self.out |= dict(zip(addresses, self.arrays[site], strict=True))
        lay_out_ahead(list(self.arrays.values()))
        self.windows: Counter[int] = Counter()
        self.counts: Counter[int] = Counter()
        for piece in pieces:
            self.windows[piece.text] += 1
            self.counts[piece.text] += piece.inside.stop - piece.inside.start
        # Texts of which windows are missing, with the windows that are there: one may come twice.
        self.open: dict[tuple[LayerSite, int], tuple[np.ndarray, set[int]]] = {}

    def rows_of(self, site: LayerSite) -> Rows:
        return self.rows["decoder" if site.stack == "decoder" else None]

    def take(self, site: LayerSite, index: int, values: np.ndarray) -> None:
        """Copy the values of one piece, (token, width), to where they belong."""
        piece, rows = self.pieces[index], self.rows_of(site)
        text = piece.text
        if self.windows[text] > 1:
            whole, seen = self.open.pop((site, text), (None, set()))
            if whole is None:
                whole = np.full((self.counts[text], values.shape[1]), np.nan, dtype=values.dtype)
            whole[piece.at : piece.at + piece.inside.stop - piece.inside.start] = values[piece.inside]
            seen.add(index)
            if len(seen) < self.windows[text]:
                self.open[site, text] = whole, seen
                return
            values = whole
        out = self.out[site][rows.of(text)]
        if out.dtype == values.dtype:
            rows.write(text, values, out, self.how)
            return
        wide = values
        if rows.members is not None:
            wide = np.empty(out.shape, dtype=values.dtype)
            rows.write(text, values, wide, self.how)
        _narrow(wide, out)
        infinite = (out.view(np.int16) & 0x7FFF) == INFINITE_FLOAT16 if out.dtype == np.float16 else None
        if infinite is not None and infinite.any() and np.isfinite(wide[infinite]).any():
            raise ValueError(
                f"{site} reaches {float(np.abs(wide[infinite]).max()):g} in text {text}, past {LARGEST_FLOAT16:,.0f}, the largest"
                " float16: use dtype='float32'"
            )

    def frozen(self) -> dict[str, np.ndarray]:
        """The arrays, read-only so that a result takes them without a copy."""
        for array in self.arrays.values():
            array.flags.writeable = False
        return self.arrays


def _narrow(values: np.ndarray, out: np.ndarray) -> None:
    """Write float32 values as float16: by torch, several times faster than numpy, in pieces that its threads leave alone."""
    rows = max(1, WITHOUT_THREADS // values.shape[1])
    source, target = torch.from_numpy(values), torch.from_numpy(out)
    for start in range(0, len(values), rows):
        target[start : start + rows].copy_(source[start : start + rows])
