"""Activations on disk, of which any neuron, any rows and any text are read without the rest: `open_store`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurowidget.extraction.sentence import UNNAMED
from neurowidget.extraction.store_format import (
    Header,
    Manifest,
    part_folder,
    read_header,
    read_manifests,
    site_array,
    table_arrays,
)
from neurowidget.extraction.stored_site import StoredSite, StoredTexts
from neurowidget.extraction.token_table import TokenTable
from neurowidget.neuron import Neuron, as_neuron
from neurowidget.results.activations import Activations
from neurowidget.results.base import Provenance
from neurowidget.results.tokens import Tokens

BLOCK_BYTES = 2**28


def open_store(path: str | Path) -> ActivationStore:
    """The store that `extract(..., store=path)` wrote; reads its header and manifests, no values.

    Of a store that is not complete, the finished parts from the first are there. Raises StoreError for a folder that is
    no store or is damaged; nothing in it is ever unpickled.
    """
    return ActivationStore(path)


class ActivationStore:
    """`store["mlp"]` is (layer, token, neuron) on disk; `len(store)` its tokens (or words), `store.texts` its texts.

    Whatever is returned as numbers to compute with is float32. Rows are numbered over the whole store; those of decoder
    sites are the tokens of the targets. Reading raises StoreError where a file is missing or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.header: Header = read_header(self.path)
        self.parts: list[Manifest]
        self.parts, self.complete = read_manifests(self.path, self.header)
        self._starts = {stack: np.cumsum([0, *(part.rows(stack) for part in self.parts)]) for stack in ("", "decoder")}
        self._first_texts = np.array([part.first_text for part in self.parts], dtype=np.int64)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{site} {self.header.dtype}[{len(layers)}, {self.rows(site)}, {self.header.widths[site]}]"
            for site, layers in self.layers.items()
        )
        state = "" if self.complete else "; not complete"
        return f"ActivationStore({str(self.path)!r}: {shown}; {self.num_texts} texts{state})"

    def __len__(self) -> int:
        return int(self._starts[""][-1])

    def __getitem__(self, site: str) -> StoredSite:
        if site not in self.layers:
            raise KeyError(f"no site {site!r} here; these were extracted: {', '.join(self.layers)}")
        return StoredSite(self, site)

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites as they were named."""
        return tuple(self.layers)

    @property
    def layers(self) -> Mapping[str, tuple[int, ...]]:
        """The layer numbers that the first axis of each site stands for."""
        return self.header.layers

    def rows(self, site: str) -> int:
        """How many rows a site has."""
        return int(self._starts[self.header.stack(site)][-1])

    @property
    def num_texts(self) -> int:
        """How many texts there are."""
        return sum(part.texts for part in self.parts)

    @property
    def texts(self) -> StoredTexts:
        """The texts, read when they are asked for."""
        return StoredTexts(self)

    @property
    def provenance(self) -> Provenance:
        """Model, hashes, corpus, settings and versions."""
        h = self.header
        names = (
            "corpus",
            "corpus_hash",
            "words",
            "special_tokens",
            "window",
            "batch_tokens",
            "threads",
            "interventions",
        )
        return Provenance(
            method="extract",
            model=h.model,
            weights_hash=h.weights_hash,
            tokenizer_hash=h.tokenizer_hash,
            site=", ".join(h.layers),
            parameters={**{name: getattr(h, name) for name in names}, "dtype": h.dtype, "device": h.device},
            versions=h.versions,
        )

    def neuron(self, neuron: Neuron | str) -> np.ndarray:
        """One neuron over all rows, float32 (token,)."""
        n = as_neuron(neuron)
        names = [f"{n.stack}.{n.site}"] if n.stack else [n.site, f"encoder.{n.site}"]
        if n.stack == "encoder":  # "L5.mlp" of a seq2seq model is its encoder's
            names.append(n.site)
        site = next((name for name in names if name in self.layers), names[0])
        stored = self[site]
        if n.layer not in self.layers[site]:
            raise IndexError(f"{n}: layer {n.layer} was not extracted; here are layers {self.layers[site]}")
        if n.index >= stored.shape[2]:
            raise IndexError(f"{n}: site {site!r} has {stored.shape[2]} neurons, 0 to {stored.shape[2] - 1}")
        layer = self.layers[site].index(n.layer)
        values = self.read(site, slice(layer, layer + 1), slice(None), slice(n.index, n.index + 1))
        return _float32(values.reshape(-1))

    def tokens(self, rows: slice | int) -> Activations:
        """All neurons of some rows in memory, with their tokens and labels; float16 values stay float16.

        The rows are those of texts: decoder sites are in `sentence`, `neuron` and `blocks`.
        """
        start, stop = self._bounds(rows, "")
        wanted = slice(start, stop)
        sites = [site for site in self.layers if not self.header.stack(site)]
        if not sites:
            raise ValueError("this store has decoder sites only: read them with sentence(i), neuron or blocks")
        return Activations(
            values={site: self.read(site, rows=wanted) for site in sites},
            layers={site: self.layers[site] for site in sites},
            tokens=self.tokens_table(wanted),
            labels=self._labels(wanted),
            provenance=self.provenance,
        )

    def sentence(self, index: int) -> Activations:
        """All neurons of one text, all sites; raises IndexError past the end."""
        part, text = self.place_of(index)
        spans, tables = {}, {}
        for stack in self.parts[part].tables:
            table = self.table(part, stack)
            inside = table.rows_of(text)
            tables[stack] = table.tokens(inside, slice(text, text + 1))
            first = int(self._starts[stack][part])
            spans[stack] = slice(first + inside.start, first + inside.stop)
        return Activations(
            values={site: self.read(site, rows=spans[self.header.stack(site)]) for site in self.layers},
            layers=self.layers,
            tokens=tables[""],
            decoder_tokens=tables.get("decoder"),
            labels=self._labels(spans[""]),
            provenance=self.provenance,
        )

    def blocks(
        self, site: str, rows: int | None = None, layers: slice = slice(None)
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """The whole site in blocks of consecutive rows: (which rows, float32 (layer, token, neuron)).

        `rows` is the size of a block; None takes what is read at once from the disk, at most 256 MB where it can be.
        `layers` picks by position on the first axis.
        """
        stored = self[site]
        if rows is not None and rows < 1:
            raise ValueError(f"rows={rows}: expected 1 or more rows in a block")
        for start, stop in pairwise(self._cuts(stored, rows, layers)):
            span = slice(start, stop)
            yield span, _float32(self.read(site, layers, span))

    def _cuts(self, stored: StoredSite, rows: int | None, layers: slice) -> Iterator[int]:
        total = stored.shape[1]
        if rows is not None:
            yield from range(0, total, rows)
        else:
            width = len(range(*layers.indices(stored.shape[0]))) * stored.shape[2] * 4
            for part, first in zip(self.parts, self._starts[self.header.stack(stored.site)].tolist(), strict=False):
                step = part.chunk_rows
                while step > 256 and step * width > BLOCK_BYTES:
                    step = -(-step // 2)
                yield from range(first, first + part.rows(self.header.stack(stored.site)), step)
        if total:
            yield total

    def read(
        self, site: str, layers: slice = slice(None), rows: slice = slice(None), neurons: slice = slice(None)
    ) -> np.ndarray:
        """A block of a site as it is stored, float16 or float32 (layer, token, neuron)."""
        stored = self[site]
        stack = self.header.stack(site)
        first_layer, past_layer, _ = layers.indices(stored.shape[0])
        first_neuron, past_neuron, _ = neurons.indices(stored.shape[2])
        start, stop = self._bounds(rows, stack)
        shape = (max(0, past_layer - first_layer), stop - start, max(0, past_neuron - first_neuron))
        out = torch.empty(shape, dtype=getattr(torch, self.header.dtype)).numpy()
        for part, inside, outside in self._spans(stack, start, stop):
            array = site_array(self._folder(part), self.header, self.parts[part], site)
            out[:, outside] = array.read(layers, inside, neurons)
        return out

    def tokens_table(self, rows: slice | int = slice(None), stack: str = "") -> Tokens:
        """The tokens (or words) of some rows, with the texts that they are from; of all rows: with all texts."""
        start, stop = self._bounds(rows, stack)
        found: list[Tokens] = []
        for part, inside, _ in self._spans(stack, start, stop):
            table = self.table(part, stack)
            whole = inside.stop - inside.start == table.table.rows
            texts = slice(0, table.texts)
            if not whole:
                ends = [int(table.column("text", slice(at, at + 1))[0]) for at in (inside.start, inside.stop - 1)]
                texts = slice(ends[0], ends[1] + 1)
            found.append(table.tokens(inside, texts))
        return _joined(found, self._level(stack))

    def column(self, name: str, rows: slice | int = slice(None), stack: str = "") -> np.ndarray:
        """A column of numbers of some rows, int32: ids, special, shares, word, start, end, sentence_index."""
        start, stop = self._bounds(rows, stack)
        out = np.empty(stop - start, dtype=np.int32)
        for part, inside, outside in self._spans(stack, start, stop):
            table = self.table(part, stack)
            if name == "sentence_index":
                out[outside] = table.column("text", inside) + self.parts[part].first_text
            else:
                out[outside] = table.column(name, inside)
        return out

    @property
    def ids(self) -> np.ndarray:
        """The id of each row, int32 (token,)."""
        return self.column("ids")

    @property
    def special(self) -> np.ndarray:
        """Which rows are tokens that the tokenizer added, bool (token,)."""
        return self.column("special").astype(np.bool_)

    @property
    def sentence_index(self) -> np.ndarray:
        """Which text each row belongs to, int32 (token,)."""
        return self.column("sentence_index")

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the labels; those given without a name are "label"."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.table("").labels))

    @property
    def labels(self) -> tuple[Any, ...] | dict[str, tuple[Any, ...]] | None:
        """All labels, one per row, as in Activations: for a large store rather ask `row_labels` for some rows."""
        return self._labels(slice(None))

    def row_labels(self, name: str | None = None, rows: slice | int = slice(None)) -> list[Any]:
        """One label for each of some rows, those of texts repeated; `name` says which set where there are several.

        Raises ValueError where there are no labels, or several and no name; KeyError for a name that is not there.
        """
        names = self.label_names
        if not names:
            raise ValueError("this store has no labels; give extract a corpus with labels")
        if name is None and len(names) > 1:
            raise ValueError(f"there are several sets of labels: name one of {', '.join(names)}")
        if name is not None and name not in names:
            raise KeyError(f"no labels {name!r} here; there are {', '.join(names)}")
        start, stop = self._bounds(rows, "")
        found: list[Any] = []
        for part, inside, _ in self._spans("", start, stop):
            found += self.table(part, "").row_labels(name or names[0], inside)
        return found

    def verify(self) -> None:
        """Read everything once; raises StoreError at the first file that is missing or damaged."""
        for number, part in enumerate(self.parts):
            folder = self._folder(number)
            for site in self.layers:
                site_array(folder, self.header, part, site).verify()
            for stack in part.tables:
                for array in table_arrays(folder, part, stack).values():
                    array.verify()

    def to_neurox(self, path: str | Path, site: str | None = None) -> Path:
        """Write one site in NeuroX's format, .hdf5 or .json; see `to_neurox`."""
        from neurowidget.extraction.neurox_files import to_neurox

        return to_neurox(self, path, site)

    def _labels(self, rows: slice) -> tuple[Any, ...] | dict[str, tuple[Any, ...]] | None:
        named = {name: tuple(self.row_labels(name, rows)) for name in self.label_names}
        if not named:
            return None
        return named[UNNAMED] if list(named) == [UNNAMED] else named

    def _level(self, stack: str) -> str:
        return self.parts[0].table(stack).level if self.parts and stack in self.parts[0].tables else "token"

    def _folder(self, part: int) -> Path:
        return part_folder(self.path, part)

    def table(self, part: int, stack: str = "") -> TokenTable:
        """The tokens of one part."""
        return TokenTable(self._folder(part), self.parts[part], stack)

    def place_of(self, index: int) -> tuple[int, int]:
        """The part of a text, and its number there."""
        total = self.num_texts
        if not -total <= index < total:
            raise IndexError(f"text {index}: the store has {total} texts, 0 to {total - 1}")
        index %= total
        part = int(np.searchsorted(self._first_texts, index, side="right")) - 1
        return part, index - self.parts[part].first_text

    def _bounds(self, rows: slice | int, stack: str) -> tuple[int, int]:
        total = int(self._starts[stack][-1])
        if isinstance(rows, slice):
            start, stop, step = rows.indices(total)
            if step != 1:
                raise ValueError(f"rows are read in order, without steps; got {rows}")
            return start, max(start, stop)
        if not -total <= rows < total:
            raise IndexError(f"row {rows}: the store has {total} rows, 0 to {total - 1}")
        return rows % total, rows % total + 1

    def _spans(self, stack: str, start: int, stop: int) -> Iterator[tuple[int, slice, slice]]:
        """The parts that have rows from `start` to `stop`: which rows of the part, which of the rows asked for."""
        starts = self._starts[stack]
        part = max(0, int(np.searchsorted(starts, start, side="right")) - 1)
        while part < len(self.parts) and starts[part] < stop:
            first, past = int(starts[part]), int(starts[part + 1])
            low, high = max(first, start), min(past, stop)
            if low < high:
                yield part, slice(low - first, high - first), slice(low - start, high - start)
            part += 1


def _float32(values: np.ndarray) -> np.ndarray:
    """As float32; torch converts float16 several times faster than numpy."""
    return torch.from_numpy(values).float().numpy()


def _joined(found: Sequence[Tokens], level: str) -> Tokens:
    """Tokens of consecutive parts as one."""
    if len(found) == 1:
        return found[0]
    names = ("ids", "special", "shares", "word", "start", "end")
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in found]) if found else np.zeros(0) for name in names
    }
    firsts = np.cumsum([0, *(len(one.texts) for one in found)])
    index = [one.sentence_index + first for one, first in zip(found, firsts, strict=False)]
    return Tokens(
        texts=tuple(text for one in found for text in one.texts),
        pieces=tuple(piece for one in found for piece in one.pieces),
        raw=tuple(raw for one in found for raw in one.raw),
        sentence_index=np.concatenate(index) if index else np.zeros(0),
        level=level,
        **arrays,
    )
