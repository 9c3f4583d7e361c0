"""A trained linear probe: plain numbers that can be saved and applied to new text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurowidget.neuron import LayerSite
from neurowidget.results.activations import Activations
from neurowidget.results.base import read_only
from neurowidget.results.pooling import pool_texts


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class LinearProbe:
    """outputs = ((values - means) / scales) @ weights.T + bias; a class is the largest output, a number the only one.

    `weights` float32 (class, neuron), for standardised values; `means` and `scales` are those of the training rows. The
    neurons are those of `sites` ("L0.mlp", "L1.mlp"), `widths` of each, in this order. `classes` is empty for a probe of
    numbers. `objective` is mean loss + l1 |W|_1 + l2 |W|^2 (nats, or half the squared error of standardised numbers),
    at most `gap` above its minimum.
    """

    weights: np.ndarray
    bias: np.ndarray  # float32 (class,)
    means: np.ndarray  # float32 (neuron,)
    scales: np.ndarray  # float32 (neuron,)
    classes: tuple[Any, ...]
    sites: tuple[str, ...]
    widths: tuple[int, ...]
    l1: float
    l2: float
    objective: float
    gap: float
    iterations: int
    converged: bool
    pool: str | None = None  # how the rows of a text became one

    def __post_init__(self) -> None:
        for name in ("weights", "bias", "means", "scales"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float32))
        outputs, neurons = max(len(self.classes), 1), sum(self.widths)
        shapes = (self.weights.shape, self.bias.shape, self.means.shape, self.scales.shape)
        if shapes != ((outputs, neurons), (outputs,), (neurons,), (neurons,)) or len(self.sites) != len(self.widths):
            raise ValueError(
                f"a probe of {outputs} outputs and {neurons} neurons cannot have weights, bias, means and scales of"
                f" {shapes}"
            )

    def __repr__(self) -> str:
        what = f"{len(self.classes)} classes" if self.classes else "numbers"
        return (
            f"LinearProbe({what} from {sum(self.widths)} neurons of {', '.join(self.sites)}; l1={self.l1:g},"
            f" l2={self.l2:g})"
        )

    def outputs(self, activations: Activations | np.ndarray) -> np.ndarray:
        """The outputs, float32 (row, class): logits of classes, or the number itself.

        `activations` are Activations with the probe's sites and layers, a row per token or word of theirs (per text for
        a probe of texts), or an array (row, neuron). Raises ValueError for other sites, layers or widths.
        """
        constant = self.bias - self.weights @ (self.means / self.scales)
        total: Any = constant
        start = 0
        for site, width in zip(self.sites, self.widths, strict=True):
            part = slice(start, start + width)
            values = self._values(activations, site, width, part)
            total = total + values @ (self.weights[:, part] / self.scales[part]).T
            start += width
        return np.asarray(total, dtype=np.float32)

    def predict(self, activations: Activations | np.ndarray) -> np.ndarray:
        """The class of each row (object array, None for a row of NaN), or float32 numbers where there are no classes."""
        outputs = self.outputs(activations)
        if not self.classes:
            return outputs[:, 0]
        labels = np.empty(len(self.classes) + 1, dtype=object)
        labels[:-1] = self.classes
        unknown = np.isnan(outputs).any(axis=1)
        return labels[np.where(unknown, len(self.classes), np.nan_to_num(outputs).argmax(axis=1))]

    def probabilities(self, activations: Activations | np.ndarray) -> np.ndarray:
        """Softmax of the outputs, float32 (row, class); raises TypeError for a probe of numbers."""
        if not self.classes:
            raise TypeError("this probe gives numbers, which have no probabilities: use predict")
        outputs = self.outputs(activations)
        powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def _values(self, activations: Activations | np.ndarray, site: str, width: int, part: slice) -> np.ndarray:
        if isinstance(activations, np.ndarray):
            if activations.ndim != 2 or activations.shape[1] != sum(self.widths):
                raise ValueError(
                    f"expected an array (row, {sum(self.widths)}), the neurons of {', '.join(self.sites)}, got"
                    f" {activations.shape}"
                )
            return activations[:, part]
        address = LayerSite.parse(site)
        name = f"{address.stack}.{address.site}" if address.stack else address.site
        if name not in activations.values or address.layer not in activations.layers[name]:
            raise ValueError(f"the probe reads {site}, which is not among {activations!r}")
        values = activations[name][activations.layers[name].index(address.layer)]
        if values.shape[1] != width:
            raise ValueError(f"{site} has {values.shape[1]} neurons here, the probe was trained on {width}")
        return values if self.pool is None else pool_texts(values, activations.tokens_for(name), self.pool)
