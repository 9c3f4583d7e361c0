"""Activations of sites over the tokens of texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from neurowidget.neuron import Neuron, as_neuron
from neurowidget.results.base import Result, read_only
from neurowidget.results.tokens import Tokens


@dataclass(frozen=True, eq=False, kw_only=True)
class Activations(Result):
    """`acts["mlp"]` is float32 (layer, token, neuron); `acts["decoder.mlp"]` runs over `decoder_tokens`.

    `layers[site]` are the layer numbers that the first axis stands for.
    """

    values: Mapping[str, np.ndarray]
    layers: Mapping[str, tuple[int, ...]]
    tokens: Tokens
    decoder_tokens: Tokens | None = None
    labels: tuple[Any, ...] | None = None

    axes: ClassVar[tuple[str, str, str]] = ("layer", "token", "neuron")

    def __post_init__(self) -> None:
        frozen = {site: read_only(array, np.float32) for site, array in self.values.items()}
        object.__setattr__(self, "values", frozen)
        for site, array in frozen.items():
            tokens = self.decoder_tokens if site.startswith("decoder.") else self.tokens
            expected = (len(self.layers[site]), len(tokens) if tokens is not None else 0)
            if array.ndim != 3 or array.shape[:2] != expected:
                raise ValueError(f"{site!r} needs the axes (layer, token, neuron) = {expected} x width, got {array.shape}")

    def __getitem__(self, site: str) -> np.ndarray:
        if site not in self.values:
            raise KeyError(f"no site {site!r} here; these were extracted: {', '.join(self.values)}")
        return self.values[site]

    @property
    def sentence_index(self) -> np.ndarray:
        """Which text each token belongs to, int32 (token,)."""
        return self.tokens.sentence_index

    def neuron(self, neuron: Neuron | str) -> np.ndarray:
        """One neuron over all tokens, float32 (token,)."""
        n = as_neuron(neuron)
        site = f"{n.stack}.{n.site}" if n.stack == "decoder" else n.site
        values = self[site]
        if n.layer not in self.layers[site]:
            raise IndexError(f"{n}: layer {n.layer} was not extracted; here are layers {self.layers[site]}")
        if n.index >= values.shape[2]:
            raise IndexError(f"{n}: site {site!r} has {values.shape[2]} neurons, 0 to {values.shape[2] - 1}")
        return values[self.layers[site].index(n.layer), :, n.index]
