"""Rows of activations with a label each: which rows count, and their values block by block."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from neurowidget.extraction.store import ActivationStore
from neurowidget.neuron import LayerSite
from neurowidget.results.pooling import Pool, pool_texts
from neurowidget.results.tokens import Tokens

Task = Literal["classes", "numbers"]
CELLS = 1 << 24  # of one block: 64 MB as float32
STORED_CELLS = 1 << 27  # of one block read from a disk: few passes over its files


class ActivationSource(Protocol):
    """What rows are read from: Activations or an ActivationStore; `source[site]` slices as (layer, token, neuron)."""

    @property
    def layers(self) -> Any: ...
    @property
    def labels(self) -> Any: ...
    def __getitem__(self, site: str) -> Any: ...


@dataclass(frozen=True)
class Part:
    """The neurons of one layer: `arrays[site][position]` is their (token, neuron)."""

    site: str
    position: int
    address: LayerSite
    width: int


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Rows with a target each; the neurons are those of `parts`, in order.

    `targets` is int64 (row,), places in `classes`, or float64 (row,) when `classes` is empty. `texts` int64 (row,) says
    which text a row is of, `words` its word type ("" where there is none, as for whole texts).
    """

    arrays: Mapping[str, Any]
    parts: tuple[Part, ...]
    rows: np.ndarray  # int64 (row,): ascending places on the token axis of `arrays`
    targets: np.ndarray
    classes: tuple[Any, ...]
    texts: np.ndarray
    words: np.ndarray
    pool: Pool | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def width(self) -> int:
        """The number of neurons."""
        return sum(part.width for part in self.parts)

    @property
    def sites(self) -> tuple[str, ...]:
        """ "L0.mlp", "L1.mlp": one name per part."""
        return tuple(str(part.address) for part in self.parts)

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(part.width for part in self.parts)

    def take(self, which: np.ndarray) -> LabelledRows:
        """Some of the rows: places or a mask, in ascending order."""
        return replace(
            self, rows=self.rows[which], targets=self.targets[which], texts=self.texts[which], words=self.words[which]
        )

    def with_targets(self, targets: np.ndarray) -> LabelledRows:
        """The same rows with other targets."""
        return replace(self, targets=targets)

    def counts(self) -> np.ndarray:
        """Rows of each class, int64 (class,)."""
        return np.bincount(self.targets, minlength=len(self.classes))

    def membership(self) -> np.ndarray:
        """float32 (class, row), 1 where the row is of the class."""
        return (self.targets == np.arange(len(self.classes))[:, None]).astype(np.float32)

    def block_width(self, cells: int = CELLS) -> int:
        """Neurons of one block of `neuron_blocks`: of about `cells` values, more when they are read from a disk."""
        stored = any(not isinstance(array, np.ndarray) for array in self.arrays.values())
        return max(1, (STORED_CELLS if stored else cells) // max(len(self), 1))

    def neuron_blocks(self, width: int | None = None) -> Iterator[tuple[slice, np.ndarray]]:
        """All rows of some neurons, at most `width`, at a time: (slice of the neuron axis, float32 (row, neuron))."""
        start, step = 0, self.block_width() if width is None else width
        for part in self.parts:
            for first in range(0, part.width, step):
                columns = slice(first, min(first + step, part.width))
                yield slice(start + columns.start, start + columns.stop), self._read(part, self.rows, columns)
            start += part.width

    def row_blocks(self, cells: int = CELLS) -> Iterator[tuple[slice, np.ndarray]]:
        """All neurons of some rows at a time: (slice of the rows, float32 (row, neuron))."""
        step = max(1, cells // self.width)
        for first in range(0, len(self), step):
            rows = slice(first, min(first + step, len(self)))
            yield rows, self._joined(self.rows[rows])

    def matrix(self) -> np.ndarray:
        """Everything, float32 (row, neuron)."""
        return self._joined(self.rows)

    def columns(self, neurons: np.ndarray) -> np.ndarray:
        """All rows of the given neurons, in the order given, float32 (row, len(neurons))."""
        found = np.empty((len(self), len(neurons)), dtype=np.float32)
        ends = np.cumsum(self.widths)
        which = np.searchsorted(ends, neurons, side="right")
        for number in np.unique(which).tolist():
            part, at = self.parts[number], np.flatnonzero(which == number)
            wanted = neurons[at] - (ends[number] - part.width)
            array = self.arrays[part.site]
            if isinstance(array, np.ndarray):
                found[:, at] = array[part.position][self.rows[:, None], wanted[None]]
            else:
                found[:, at] = self._read(part, self.rows, slice(0, part.width))[:, wanted]
        return found

    def _joined(self, rows: np.ndarray) -> np.ndarray:
        found = np.empty((len(rows), self.width), dtype=np.float32)
        start = 0
        for part in self.parts:
            found[:, start : start + part.width] = self._read(part, rows, slice(0, part.width))
            start += part.width
        return found

    def _read(self, part: Part, rows: np.ndarray, columns: slice) -> np.ndarray:
        array = self.arrays[part.site]
        if not len(rows):
            return np.empty((0, columns.stop - columns.start), dtype=np.float32)
        if isinstance(array, np.ndarray):
            return np.asarray(array[part.position][rows, columns], dtype=np.float32)
        first, last = int(rows[0]), int(rows[-1])  # a store reads a span at once, whatever its chunks
        span = np.asarray(array[part.position, first : last + 1, columns], dtype=np.float32)
        return span[rows - first]


def labelled_rows(
    source: ActivationSource,
    labels: str | Sequence[Any] | None = None,
    *,
    layers: int | Sequence[int] | None = None,
    sites: str | Sequence[str] | None = None,
    task: Task = "classes",
    classes: Sequence[Any] | None = None,
    pool: Pool = "mean",
) -> tuple[LabelledRows, dict[str, int]]:
    """The rows that have a label, and how many were left out for which reason.

    `labels` names labels that the activations carry (None: the only ones), or is a sequence with one per row or one per text;
    labels of texts make one row per text, pooled as `pool` says. Special tokens, rows without a label (None, NaN), rows of
    words that the tokenizer dropped, and labels not among `classes` are left out. Raises ValueError for other counts of labels,
    fewer than two classes, activations that are not finite, and layers or sites that are not there.
    """
    parts = _parts(source, layers, sites)
    tokens = tokens_of(source, parts[0].site)
    if len({part.site.startswith("decoder.") for part in parts}) > 1:
        raise ValueError("these sites have tokens of their own (encoder and decoder): rank one stack at a time")
    given = _given_labels(source, labels)
    of_rows, of_texts = len(given) == len(tokens), len(given) == len(tokens.texts)
    if not of_rows and not of_texts:
        raise ValueError(
            f"{len(given)} labels fit neither the {len(tokens)} rows nor the {len(tokens.texts)} texts of the activations:"
            " expected one label per row or one per text"
        )
    names = {part.site for part in parts}
    arrays: dict[str, Any] = {name: source[name] for name in names}
    left_out: dict[str, int] = {}
    if of_rows:
        kept = ~tokens.special
        left_out["special tokens"] = int(tokens.special.sum())
        texts, words = tokens.sentence_index.astype(np.int64), word_types(tokens)
    else:
        arrays, parts = _pooled(arrays, parts, tokens, pool)
        kept = np.ones(len(tokens.texts), dtype=bool)
        texts, words = np.arange(len(tokens.texts)), np.full(len(tokens.texts), "")
    known = np.array([not _missing(label) for label in given], dtype=bool)
    left_out["no label"] = int((kept & ~known).sum())
    kept &= known
    if classes is not None:
        among = np.array([label in classes for label in given], dtype=bool)
        left_out["other classes"] = int((kept & ~among).sum())
        kept &= among
    if not kept.any():
        raise ValueError(f"none of the {len(given)} labels can be used; left out: {left_out}")
    found = (
        tuple(classes) if classes is not None else classes_of([given[i] for i in np.flatnonzero(kept).tolist()], task)
    )
    if task == "classes":
        code = {label: number for number, label in enumerate(found)}
        targets = np.array([code.get(label, -1) for label in given], dtype=np.int64)
    else:
        targets = np.array([float(label) if use else 0.0 for label, use in zip(given, kept, strict=True)])
    made = LabelledRows(arrays, parts, np.arange(len(given)), targets, found, texts, words, None if of_rows else pool)
    dropped = _dropped(made)
    left_out["no token" if of_rows else "no tokens"] = int((kept & dropped).sum())
    made = made.take(np.flatnonzero(kept & ~dropped))
    _require_finite(made)
    if task == "classes" and len(np.unique(made.targets)) < 2:
        held = [found[number] for number in np.unique(made.targets).tolist()]
        raise ValueError(f"all {len(made)} labels are {held[0]!r}: expected two or more classes" if held else "no rows")
    return made, left_out


def tokens_of(source: ActivationSource, site: str) -> Tokens:
    """The tokens that the rows of a site stand for."""
    if isinstance(source, ActivationStore):
        return source.tokens_table(stack="decoder" if site.startswith("decoder.") else "")
    tokens: Tokens = source.tokens_for(site)  # type: ignore[attr-defined]
    return tokens


def classes_of(labels: Sequence[Any], task: Task) -> tuple[Any, ...]:
    """The different labels, sorted; () for numbers. Raises ValueError for labels that do not fit the task."""
    if task == "numbers":
        for label in labels:
            if isinstance(label, str | bool) or not isinstance(label, int | float | np.number):
                raise ValueError(f"task='numbers' needs labels that are numbers, got {label!r}")
        return ()
    different = set(labels)
    if any(isinstance(label, float) and label != int(label) for label in different) and len(different) > 20:
        raise ValueError(
            f"{len(different)} different labels such as {next(iter(different))!r} look like numbers: pass task='numbers'"
        )
    return tuple(
        sorted(
            different,
            key=lambda label: (isinstance(label, str), str(type(label)) if isinstance(label, tuple) else "", label),
        )
    )


def word_types(tokens: Tokens) -> np.ndarray:
    """The word that each row is of or in, as it is written, str (row,); "" for special tokens."""
    first: dict[tuple[int, int], int] = {}
    last: dict[tuple[int, int], int] = {}
    keys = list(zip(tokens.sentence_index.tolist(), tokens.word.tolist(), strict=True))
    for key, start, end in zip(keys, tokens.start.tolist(), tokens.end.tolist(), strict=True):
        first[key] = min(start, first.get(key, start))
        last[key] = max(end, last.get(key, end))
    return np.array(["" if key[1] < 0 else tokens.texts[key[0]][first[key] : last[key]] for key in keys], dtype=np.str_)


def _parts(
    source: ActivationSource, layers: int | Sequence[int] | None, sites: str | Sequence[str] | None
) -> tuple[Part, ...]:
    names = list(source.layers) if sites is None else [sites] if isinstance(sites, str) else list(sites)
    wanted = None if layers is None else [layers] if isinstance(layers, int) else list(layers)
    parts = []
    for name in names:
        if name not in source.layers:
            raise ValueError(f"no site {name!r} in these activations; there are {', '.join(source.layers)}")
        stack, _, site = name.rpartition(".")
        there = tuple(source.layers[name])
        width = int(source[name].shape[2])
        for layer in there if wanted is None else [layer for layer in wanted if layer in there]:
            parts.append(Part(name, there.index(layer), LayerSite(layer, site, stack or None), width))
    missing = [layer for layer in wanted or () if all(part.address.layer != layer for part in parts)]
    if missing or not parts:
        shown = "; ".join(f"{name}: {', '.join(map(str, source.layers[name]))}" for name in names)
        raise ValueError(f"layers={layers}: not among the layers of these activations ({shown})")
    return tuple(parts)


def _given_labels(source: ActivationSource, labels: str | Sequence[Any] | None) -> Sequence[Any]:
    if labels is not None and not isinstance(labels, str):
        return [label.item() if isinstance(label, np.generic) else label for label in labels]
    named = (
        source.labels
        if isinstance(source.labels, Mapping)
        else {}
        if source.labels is None
        else {"label": source.labels}
    )
    if not named:
        raise ValueError("these activations have no labels: give extract a corpus with labels, or pass labels=[...]")
    if labels is None and len(named) > 1:
        raise ValueError(f"there are several sets of labels: pass labels= one of {', '.join(map(repr, named))}")
    name = next(iter(named)) if labels is None else labels
    if name not in named:
        raise ValueError(f"no labels {name!r} in these activations; there are {', '.join(map(repr, named))}")
    return list(named[name])


def _missing(label: Any) -> bool:
    return label is None or (isinstance(label, float) and math.isnan(label))


def _pooled(
    arrays: Mapping[str, Any], parts: tuple[Part, ...], tokens: Tokens, pool: Pool
) -> tuple[dict[str, Any], tuple[Part, ...]]:
    """One row per text of the layers that are wanted, and the parts with their new positions."""
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        wanted = [part.position for part in parts if part.site == name]
        found[name] = np.stack([pool_texts(np.asarray(array[at], np.float32), tokens, pool) for at in wanted])
    seen: Counter[str] = Counter()
    moved = []
    for part in parts:
        moved.append(replace(part, position=seen[part.site]))
        seen[part.site] += 1
    return found, tuple(moved)


def _dropped(rows: LabelledRows) -> np.ndarray:
    """bool (row,): rows that are NaN in every neuron of the first part, as words without a token are."""
    first = rows.parts[0]
    one = rows._read(first, rows.rows, slice(0, 1))[:, 0]
    dropped = np.isnan(one)
    suspects = np.flatnonzero(dropped)
    dropped[suspects] = np.isnan(rows._read(first, rows.rows[suspects], slice(0, first.width))).all(axis=1)
    return dropped


def _require_finite(rows: LabelledRows) -> None:
    bad: Counter[int] = Counter()
    for neurons, values in rows.neuron_blocks():
        with np.errstate(invalid="ignore", over="ignore"):
            sums = values.sum(axis=0, dtype=np.float64)
        for place in np.flatnonzero(~np.isfinite(sums)).tolist():
            count = int((~np.isfinite(values[:, place])).sum())
            if count:
                bad[neurons.start + place] = count
    if bad:
        place, count = next(iter(bad.items()))
        ends = np.cumsum(rows.widths)
        number = int(np.searchsorted(ends, place, side="right"))
        index = place - int(ends[number]) + rows.widths[number]
        raise ValueError(
            f"{len(bad)} neurons have activations that are NaN or infinite, the first {rows.sites[number]}[{index}] in {count}"
            f" of {len(rows)} rows: leave these rows out (label None) or mend the activations"
        )
