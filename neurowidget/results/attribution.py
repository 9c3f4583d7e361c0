"""How much each input token, or each neuron, contributes to a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurowidget.results.base import Result, read_only
from neurowidget.results.tokens import Tokens


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Attribution(Result):
    """Scores of one text: (token,) for input attribution, (layer, neuron) for neuron attribution.

    `target` says in words what was explained, larger = more of it. `completeness_error` is
    |sum - (F(x) - F(x'))| / max(|F(x) - F(x')|, floor), None where the method makes no such claim.
    """

    scores: np.ndarray
    tokens: Tokens
    target: str
    baseline: str | None = None
    value: float = float("nan")  # F(x)
    baseline_value: float = float("nan")  # F(x')
    completeness_error: float | None = None
    completeness_absolute: float | None = None
    layers: tuple[int, ...] | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", read_only(self.scores, np.float32))
        expected = (len(self.tokens),) if self.layers is None else (len(self.layers),)
        if self.scores.shape[: len(expected)] != expected:
            raise ValueError(f"scores {self.scores.shape} do not fit {expected} (tokens, or layers of neurons)")

    def to_columns(self) -> dict[str, list[Any]]:
        if self.layers is None:
            t = self.tokens
            return {
                "token": list(t.pieces),
                "id": t.ids.tolist(),
                "special": t.special.tolist(),
                "score": self.scores.tolist(),
            }
        layer, neuron = np.indices(self.scores.shape)
        numbers = np.asarray(self.layers)[layer]
        return {
            "layer": numbers.ravel().tolist(),
            "neuron": neuron.ravel().tolist(),
            "score": self.scores.ravel().tolist(),
        }
