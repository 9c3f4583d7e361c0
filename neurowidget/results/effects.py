"""What removing neurons does to a target: F(clean) - F(ablated)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurowidget.neuron import Neuron, as_neuron
from neurowidget.results.base import Result, read_only


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Effects(Result):
    """Effect of each neuron of a site, float32 (layer, neuron); NaN where it was not computed.

    An effect > 0 means that the neuron supports the target. `exact` marks the neurons that were re-run with the neuron
    removed; the others are first-order estimates, which `estimates` has for all of them. `per_text` is
    (text, layer, neuron), what `values` are the means of, `interval` (2, layer, neuron) a 95 % bootstrap interval over
    texts (None under 6 texts), `agreement` how well the estimates rank the neurons that were re-run.
    """

    values: np.ndarray
    layers: tuple[int, ...]
    site: str
    target: str
    ablation: str  # "mean over <reference corpus>", "zero", "resample over ..."
    texts: tuple[str, ...]
    clean: np.ndarray  # float32 (text,): F(clean)
    exact: np.ndarray  # bool (layer, neuron)
    stack: str | None = None
    interval: np.ndarray | None = None
    per_text: np.ndarray | None = None
    estimates: np.ndarray | None = None
    agreement: dict[str, float] | None = None  # of the first-order estimate with the exact effects

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", read_only(self.values, np.float32))
        object.__setattr__(self, "clean", read_only(self.clean, np.float32))
        object.__setattr__(self, "exact", read_only(self.exact, np.bool_))
        if self.values.ndim != 2 or len(self.layers) != self.values.shape[0] or self.exact.shape != self.values.shape:
            raise ValueError(
                f"values {self.values.shape} and exact {self.exact.shape} need (layer, neuron) for layers {self.layers}"
            )
        shapes = {"interval": (2, *self.values.shape), "estimates": self.values.shape}
        for name, shape in (shapes | {"per_text": (len(self.texts), *self.values.shape)}).items():
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, read_only(array, np.float32))
                if array.shape != shape:
                    raise ValueError(f"{name} {array.shape} does not fit: expected {shape}")

    def for_neuron(self, neuron: Neuron | str) -> float:
        """The effect of one neuron; raises IndexError when it is not among these layers."""
        n = as_neuron(neuron)
        if n.layer not in self.layers or n.site != self.site or n.index >= self.values.shape[1]:
            raise IndexError(
                f"{n} is not here: site {self.site!r}, layers {self.layers}, {self.values.shape[1]} neurons each"
            )
        return float(self.values[self.layers.index(n.layer), n.index])

    def top(self, k: int = 20) -> list[tuple[Neuron, float]]:
        """The k neurons with the largest |effect|, ties by layer and index."""
        flat = np.nan_to_num(np.abs(self.values).ravel(), nan=-1.0)
        order = np.argsort(-flat, kind="stable")[:k]
        width = self.values.shape[1]
        found = [
            (
                Neuron(self.layers[i // width], int(i % width), self.site, self.stack),
                float(self.values.ravel()[i]),
            )
            for i in order
        ]
        return [(neuron, value) for neuron, value in found if not np.isnan(value)]

    def to_columns(self) -> dict[str, list[Any]]:
        layer, neuron = np.nonzero(~np.isnan(self.values))
        columns: dict[str, list[Any]] = {
            "layer": np.asarray(self.layers)[layer].tolist(),
            "neuron": neuron.tolist(),
            "effect": self.values[layer, neuron].tolist(),
            "exact": self.exact[layer, neuron].tolist(),
        }
        if self.interval is not None:
            columns["low"], columns["high"] = self.interval[:, layer, neuron].tolist()
        return columns
