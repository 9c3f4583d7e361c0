"""What the neurons of a site fire on: contexts of a corpus, and where their values lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from neurowidget.neuron import Neuron, as_neuron
from neurowidget.results.base import Result, read_only
from neurowidget.results.kept_texts import KeptTexts
from neurowidget.results.tokens import Tokens


@dataclass(frozen=True, eq=False, kw_only=True)
class Example:
    """One token of a corpus where a neuron has `value`, and the tokens around it.

    `pieces`, `special`, `sink` and `values` (float32) are about the shown tokens, from `first` of the text on; the
    example's own token is `pieces[focus]`, token `position` of text `text_index` of the corpus. `effect` is
    F(clean) - F(neuron at its mean at this token), None where it was not asked for; `estimate` the same to first order.
    """

    text_index: int
    position: int
    value: float
    pieces: tuple[str, ...]
    special: tuple[bool, ...]
    sink: tuple[bool, ...]
    values: np.ndarray
    focus: int
    effect: float | None = None
    estimate: float | None = None

    @property
    def first(self) -> int:
        """The position in the text of the first shown token."""
        return self.position - self.focus

    @property
    def piece(self) -> str:
        """The token itself."""
        return self.pieces[self.focus]


@dataclass(frozen=True, eq=False, kw_only=True)
class NeuronExamples:
    """One neuron over a corpus: its examples by group, and the density of its values.

    `groups` maps "top", "q99", ..., "bottom" to examples, best first, in this order. `counts[i]` tokens have a value in
    [edges[i], edges[i + 1]), the last bin with its end; `tokens` counts all of them. `positive` is the share of
    tokens with a value > 0. `correlation` is that of value and estimated effect over all tokens, None without a target.
    """

    neuron: str
    groups: Mapping[str, tuple[Example, ...]]
    edges: np.ndarray
    counts: np.ndarray
    mean: float
    variance: float
    minimum: float
    maximum: float
    positive: float
    tokens: int
    corpus: str
    target: str | None = None
    correlation: float | None = None

    @property
    def sparsity(self) -> float:
        """The share of tokens at which the neuron is not positive."""
        return 1.0 - self.positive

    def percentile(self, values: Any) -> np.ndarray:
        """The share of tokens, in percent, under each of the given values; interpolated within a bin of the density.

        The error is at most the share of the bin that the value falls into.
        """
        below = np.concatenate([[0], np.cumsum(self.counts)])
        return np.asarray(100 * np.interp(values, self.edges, below) / max(int(below[-1]), 1))


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Examples(Result):
    """Examples and densities of many neurons of one site: row i of every array is about neuron i.

    Examples fill slots: group after group, `sizes[g]` slots each, so that `text`, `token`, `value` are
    (neuron, slot); `text` is the number of a text in the corpus, -1 in a slot that stayed empty. `contexts` are the
    values around each, float16 (neuron, slot, 2 * context + 1), the example in the middle, NaN outside its text, cut off at the
    largest float16. The statistics are over `token_count` tokens, without those that `excluded` counts by reason.
    `effects`, `estimates` (neuron, slot) and `correlation` (neuron,) are there when a target was given.
    """

    layers: tuple[int, ...]
    site: str
    corpus: str
    text_count: int
    token_count: int
    excluded: dict[str, int]
    groups: tuple[str, ...]
    sizes: tuple[int, ...]
    neuron_layer: np.ndarray  # int32 (neuron,)
    neuron_index: np.ndarray  # int32 (neuron,)
    text: np.ndarray  # int64 (neuron, slot)
    token: np.ndarray  # int32 (neuron, slot): position in the text
    value: np.ndarray  # float32 (neuron, slot)
    contexts: np.ndarray
    edges: np.ndarray  # float32 (neuron, bin + 1)
    counts: np.ndarray  # int64 (neuron, bin)
    mean: np.ndarray  # float64 (neuron,)
    variance: np.ndarray  # float64 (neuron,)
    minimum: np.ndarray  # float32 (neuron,)
    maximum: np.ndarray  # float32 (neuron,)
    positive: np.ndarray  # float64 (neuron,): share of tokens with a value > 0
    kept: KeptTexts
    stack: str | None = None
    target: str | None = None
    effects: np.ndarray | None = None
    estimates: np.ndarray | None = None
    correlation: np.ndarray | None = None
    type_ids: np.ndarray | None = None  # int32 (type,): token ids that occurred
    type_counts: np.ndarray | None = None  # int64 (type,)
    type_maxima: np.ndarray | None = None  # float32 (neuron, type)
    type_strings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        neurons, slots, bins = len(self.neuron_index), sum(self.sizes), np.shape(self.counts)[-1]
        types = len(self.type_strings)
        window = np.shape(self.contexts)[-1]
        shapes = {
            "neuron_layer": (neurons,), "neuron_index": (neurons,), "text": (neurons, slots), "token": (neurons, slots),
            "value": (neurons, slots), "contexts": (neurons, slots, window), "edges": (neurons, bins + 1),
            "counts": (neurons, bins), "mean": (neurons,), "variance": (neurons,), "minimum": (neurons,),
            "maximum": (neurons,), "positive": (neurons,), "effects": (neurons, slots), "estimates": (neurons, slots),
            "correlation": (neurons,), "type_ids": (types,), "type_counts": (types,), "type_maxima": (neurons, types),
        }  # fmt: skip
        for name, shape in shapes.items():
            given = getattr(self, name)
            if given is None:
                continue
            object.__setattr__(self, name, read_only(given, _DTYPES.get(name, np.float32)))
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has the shape {getattr(self, name).shape}, expected {shape}")
        if len(self.groups) != len(self.sizes) or min(self.sizes, default=0) < 0 or window % 2 == 0:
            raise ValueError(f"groups {self.groups} need one size each, and contexts an odd width, got {window}")

    def __len__(self) -> int:
        return len(self.neuron_index)

    def __repr__(self) -> str:
        return (
            f"Examples({len(self)} neurons of {self.site!r}, {', '.join(self.groups)}; {self.token_count:,} tokens of "
            f"{self.text_count:,} texts of {self.corpus!r})"
        )

    @property
    def context(self) -> int:
        """How many tokens are kept on each side of an example."""
        return int(self.contexts.shape[2]) // 2

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """The neurons, in the order of the rows."""
        pairs = zip(self.neuron_layer.tolist(), self.neuron_index.tolist(), strict=True)
        return tuple(Neuron(layer, index, self.site, self.stack) for layer, index in pairs)

    def tokens_of(self, text_index: int) -> Tokens:
        """All tokens of a text that an example is from, by its number in the corpus; KeyError for any other."""
        return self.kept.tokens_of(text_index)

    def row(self, neuron: Neuron | str) -> int:
        """The row of a neuron; raises IndexError when it is not here."""
        n = as_neuron(neuron)
        found = self._rows.get((n.layer, n.index)) if (n.site, n.stack) == (self.site, self.stack) else None
        if found is None:
            raise IndexError(f"{n} is not here: {len(self)} neurons of site {self.site!r}, layers {self.layers}")
        return found

    def for_neuron(self, neuron: Neuron | str) -> NeuronExamples:
        """Examples and density of one neuron; raises IndexError when it is not here."""
        row = self.row(neuron)
        starts = np.cumsum([0, *self.sizes]).tolist()
        groups = {
            name: tuple(self._example(row, slot) for slot in range(start, start + size) if self.text[row, slot] >= 0)
            for name, start, size in zip(self.groups, starts, self.sizes, strict=False)
        }
        return NeuronExamples(
            neuron=str(as_neuron(neuron)),
            groups=groups,
            edges=self.edges[row],
            counts=self.counts[row],
            mean=float(self.mean[row]),
            variance=float(self.variance[row]),
            minimum=float(self.minimum[row]),
            maximum=float(self.maximum[row]),
            positive=float(self.positive[row]),
            tokens=self.token_count,
            corpus=self.corpus,
            target=self.target,
            correlation=None if self.correlation is None else float(self.correlation[row]),
        )

    def maximum_per_token(self, neuron: Neuron | str, k: int = 20) -> list[tuple[str, float, int]]:
        """The k token types with the largest values of a neuron: the tokenizer's string, the largest value, how often
        the type occurred. Raises ValueError when the types were not asked for.
        """
        if self.type_maxima is None or self.type_counts is None:
            raise ValueError("the largest value per token type was not asked for: top_examples(..., token_types=True)")
        maxima = self.type_maxima[self.row(neuron)]
        order = np.argsort(-maxima, kind="stable")[:k].tolist()
        return [(self.type_strings[i], float(maxima[i]), int(self.type_counts[i])) for i in order]

    @cached_property
    def _rows(self) -> dict[tuple[int, int], int]:
        pairs = zip(self.neuron_layer.tolist(), self.neuron_index.tolist(), strict=True)
        return {pair: row for row, pair in enumerate(pairs)}

    def _example(self, row: int, slot: int) -> Example:
        text, position = int(self.text[row, slot]), int(self.token[row, slot])
        here = self.kept.place(text)
        first = max(position - self.context, 0)
        past = min(position + self.context + 1, here.stop - here.start)
        shown = slice(here.start + first, here.start + past)
        offset = self.context - position
        return Example(
            text_index=text,
            position=position,
            value=float(self.value[row, slot]),
            pieces=self.kept.pieces(text, first, past),
            special=tuple(self.kept.special[shown].tolist()),
            sink=tuple(self.kept.sink[shown].tolist()),
            values=self.contexts[row, slot, first + offset : past + offset].astype(np.float32),
            focus=position - first,
            effect=None if self.effects is None else _or_none(self.effects[row, slot]),
            estimate=None if self.estimates is None else _or_none(self.estimates[row, slot]),
        )

    def to_columns(self) -> dict[str, list[Any]]:
        """One row per example: neuron, group, rank, text, token, value, the piece, and the effect where there is one."""
        row, slot = np.nonzero(self.text >= 0)
        names = np.repeat(np.array(self.groups, dtype=object), self.sizes)
        ranks = np.concatenate([np.arange(size) for size in self.sizes] or [np.zeros(0, int)])
        text, token = self.text[row, slot], self.token[row, slot]
        pieces: dict[int, tuple[str, ...]] = {int(t): self.kept.pieces(int(t)) for t in np.unique(text)}
        columns: dict[str, list[Any]] = {
            "layer": self.neuron_layer[row].tolist(),
            "neuron": self.neuron_index[row].tolist(),
            "group": names[slot].tolist(),
            "rank": ranks[slot].tolist(),
            "text": text.tolist(),
            "token": token.tolist(),
            "piece": [pieces[t][i] for t, i in zip(text.tolist(), token.tolist(), strict=True)],
            "value": self.value[row, slot].tolist(),
        }
        if self.effects is not None:
            columns["effect"] = self.effects[row, slot].tolist()
        return columns


_DTYPES: dict[str, Any] = {
    "neuron_layer": np.int32, "neuron_index": np.int32, "text": np.int64, "token": np.int32, "contexts": np.float16,
    "counts": np.int64, "mean": np.float64, "variance": np.float64, "positive": np.float64, "type_ids": np.int32,
    "type_counts": np.int64,
}  # fmt: skip


def _or_none(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
