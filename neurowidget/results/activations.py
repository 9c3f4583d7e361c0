"""Activations of sites over the tokens of texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from neurowidget.neuron import LayerSite, Neuron, as_neuron
from neurowidget.results.base import Result, read_only
from neurowidget.results.tokens import Tokens


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Activations(Result):
    """`acts["mlp"]` is float32 (layer, token, neuron); `acts["decoder.mlp"]` runs over `decoder_tokens`.

    `layers[site]` are the layer numbers that the first axis stands for. Arrays given as float16 stay float16.
    `labels` has one entry for each row of `tokens`, or one for each text; several sets of labels are a mapping of names
    to such tuples.
    """

    values: Mapping[str, np.ndarray]
    layers: Mapping[str, tuple[int, ...]]
    tokens: Tokens
    decoder_tokens: Tokens | None = None
    labels: tuple[Any, ...] | Mapping[str, tuple[Any, ...]] | None = None

    axes: ClassVar[tuple[str, str, str]] = ("layer", "token", "neuron")

    def __post_init__(self) -> None:
        frozen = {
            site: read_only(array, np.float16 if np.asarray(array).dtype == np.float16 else np.float32)
            for site, array in self.values.items()
        }
        object.__setattr__(self, "values", frozen)
        for site, array in frozen.items():
            if site not in self.layers:
                raise ValueError(
                    f"layers says nothing about the site {site!r}; it has {', '.join(self.layers) or 'nothing'}"
                )
            tokens = self.tokens_for(site)
            if array.ndim != 3 or array.shape[:2] != (len(self.layers[site]), len(tokens)):
                raise ValueError(
                    f"{site!r} needs the axes (layer, token, neuron) = ({len(self.layers[site])}, {len(tokens)}, width), "
                    f"got {array.shape}"
                )
        if isinstance(self.labels, Mapping):
            object.__setattr__(self, "labels", {name: tuple(labels) for name, labels in self.labels.items()})
        for name, labels in self._named_labels().items():
            if len(labels) not in (len(self.tokens), len(self.tokens.texts)):
                named = f" {name!r}" if isinstance(self.labels, Mapping) else ""
                raise ValueError(
                    f"{len(labels)} labels{named} fit neither {len(self.tokens)} rows nor {len(self.tokens.texts)} texts"
                )

    def __repr__(self) -> str:
        shown = ", ".join(f"{site} {array.dtype}{list(array.shape)}" for site, array in self.values.items())
        return f"Activations({shown}; {len(self.tokens)} {self.tokens.level}s of {len(self.tokens.texts)} texts)"

    def __getitem__(self, site: str) -> np.ndarray:
        if site not in self.values:
            raise KeyError(f"no site {site!r} here; these were extracted: {', '.join(self.values)}")
        return self.values[site]

    def tokens_for(self, site: str) -> Tokens:
        """The tokens that the second axis of a site stands for."""
        if not site.startswith("decoder."):
            return self.tokens
        if self.decoder_tokens is None:
            raise ValueError(f"{site!r} needs decoder_tokens, which are None")
        return self.decoder_tokens

    @property
    def sentence_index(self) -> np.ndarray:
        """Which text each token belongs to, int32 (token,)."""
        return self.tokens.sentence_index

    def neuron(self, neuron: Neuron | str) -> np.ndarray:
        """One neuron over all tokens, float32 (token,)."""
        n = as_neuron(neuron)
        names = [f"{n.stack}.{n.site}"] if n.stack else [n.site, f"encoder.{n.site}"]
        if n.stack == "encoder":  # "L5.mlp" of a seq2seq model is its encoder's
            names.append(n.site)
        site = next((name for name in names if name in self.values), names[0])
        values = self[site]
        if n.layer not in self.layers[site]:
            raise IndexError(f"{n}: layer {n.layer} was not extracted; here are layers {self.layers[site]}")
        if n.index >= values.shape[2]:
            raise IndexError(f"{n}: site {site!r} has {values.shape[2]} neurons, 0 to {values.shape[2] - 1}")
        return values[self.layers[site].index(n.layer), :, n.index]

    def to_columns(self) -> dict[str, list[Any]]:
        """One row per token, decoder tokens last; one column per neuron, NaN where the site is of the other stack."""
        parts = [part for part in (self.tokens, self.decoder_tokens) if part is not None]
        sizes = [len(part) for part in parts]
        columns: dict[str, list[Any]] = {
            "text": [i for part in parts for i in part.sentence_index.tolist()],
            "token": [piece for part in parts for piece in part.pieces],
            "id": [i for part in parts for i in part.ids.tolist()],
            "special": [i for part in parts for i in part.special.tolist()],
            "word": [i for part in parts for i in part.word.tolist()],
        }
        if len(parts) == 2:
            columns["stack"] = ["encoder"] * sizes[0] + ["decoder"] * sizes[1]
        for name in self._named_labels():
            labels = self.row_labels(name)
            columns[name] = [*labels, *[None] * (sum(sizes) - len(labels))]
        for site, array in self.values.items():
            stack, _, name = site.rpartition(".")
            before = [float("nan")] * (sizes[0] if stack == "decoder" else 0)
            after = [float("nan")] * (sum(sizes) - sizes[0] if stack != "decoder" else 0)
            for layer, rows in zip(self.layers[site], array, strict=True):
                address = LayerSite(layer, name, stack or None)
                for neuron, column in enumerate(rows.T):
                    columns[f"{address}[{neuron}]"] = before + column.tolist() + after
        return columns

    def _named_labels(self) -> Mapping[str, tuple[Any, ...]]:
        if self.labels is None:
            return {}
        return self.labels if isinstance(self.labels, Mapping) else {"label": self.labels}

    def row_labels(self, name: str | None = None) -> list[Any]:
        """One label for each row of `tokens`, those of texts repeated; `name` says which set where there are several.

        Raises ValueError where there are no labels, or several and no name; KeyError for a name that is not there.
        """
        named = self._named_labels()
        if not named:
            raise ValueError("these activations have no labels; give extract a corpus with labels")
        if name is None and len(named) > 1:
            raise ValueError(f"there are several sets of labels: name one of {', '.join(named)}")
        if name is not None and name not in named:
            raise KeyError(f"no labels {name!r} here; there are {', '.join(named)}")
        labels = named[name] if name is not None else next(iter(named.values()))
        if len(labels) == len(self.tokens):
            return list(labels)
        return [labels[text] for text in self.tokens.sentence_index]
