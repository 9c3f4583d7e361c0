"""How much of the effect of a change to the text passes through each part of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurowidget.results.base import Result, read_only


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class MediationEffects(Result):
    """Total, direct and indirect effects of swapping prompts x for x', float32 (layer, part), means over the prompts.

    `total` (prompt,) is F(x') - F(x); `indirect` is F(x; a<-a(x')) - F(x), what the part alone carries; `direct` is
    F(x'; a<-a(x)) - F(x), what is left without it; `reverse_indirect` is F(x'; a<-a(x)) - F(x'), the indirect effect of
    the swap back, so that total = direct - reverse_indirect. A part is a neuron, a head, or a whole layer (one column);
    NaN where it was not asked for. With `scale="vig"` the effects are y'/y(x) - 1 where F = log y, and
    `reverse_indirect`, whose base would be another, is None. `indirect_by_prompt` is (prompt, layer, part); intervals are
    95 % bootstrap over prompts, float32 (2, layer, part), None under 6 prompts.
    """

    layers: tuple[int, ...]
    site: str  # neurons, heads, residual, attention or mlp
    part: str  # neuron, head or layer
    scale: str  # log_odds or vig
    target: str
    prompts: tuple[str, ...]
    swapped: tuple[str, ...]
    total: np.ndarray
    direct_by_prompt: np.ndarray
    indirect_by_prompt: np.ndarray
    reverse_indirect_by_prompt: np.ndarray | None = None
    indirect_interval: np.ndarray | None = None
    direct_interval: np.ndarray | None = None
    stack: str | None = None

    def __post_init__(self) -> None:
        prompts, (_, *shape) = len(self.prompts), np.shape(self.direct_by_prompt)
        wanted: dict[str, tuple[int, ...]] = {"total": (prompts,)}
        for name in ("direct", "indirect", "reverse_indirect"):
            wanted[f"{name}_by_prompt"] = (prompts, *shape)
        for name in ("direct_interval", "indirect_interval"):
            wanted[name] = (2, *shape)
        for name, expected in wanted.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, read_only(getattr(self, name), np.float32))
                if getattr(self, name).shape != expected:
                    raise ValueError(f"{name} {getattr(self, name).shape} does not fit: expected {expected}")
        if len(shape) != 2 or shape[0] != len(self.layers):
            raise ValueError(
                f"expected effects (prompt, layer, part) for layers {self.layers}, got {(prompts, *shape)}"
            )

    @property
    def direct(self) -> np.ndarray:
        return np.asarray(self.direct_by_prompt.mean(axis=0))

    @property
    def indirect(self) -> np.ndarray:
        return np.asarray(self.indirect_by_prompt.mean(axis=0))

    @property
    def reverse_indirect(self) -> np.ndarray | None:
        values = self.reverse_indirect_by_prompt
        return None if values is None else np.asarray(values.mean(axis=0))

    def top(self, k: int = 20) -> list[tuple[int, int, float]]:
        """The k parts with the largest |indirect effect|: layer, number of the part, effect; ties by layer and part."""
        values = self.indirect
        order = np.argsort(-np.nan_to_num(np.abs(values), nan=-1.0).ravel(), kind="stable")[:k]
        layer, part = np.unravel_index(order, values.shape)
        found = [(self.layers[a], int(b), float(values[a, b])) for a, b in zip(layer, part, strict=True)]
        return [entry for entry in found if not np.isnan(entry[2])]

    def to_columns(self) -> dict[str, list[Any]]:
        layer, part = np.nonzero(~np.isnan(self.indirect))
        columns: dict[str, list[Any]] = {"layer": np.asarray(self.layers)[layer].tolist(), self.part: part.tolist()}
        for name in ("indirect", "direct", "reverse_indirect"):
            values = getattr(self, name)
            if values is not None:
                columns[name] = values[layer, part].tolist()
        if self.indirect_interval is not None:
            columns["low"], columns["high"] = self.indirect_interval[:, layer, part].tolist()
        return columns
