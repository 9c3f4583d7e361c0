"""Curves over one number that was varied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurowidget.results.base import Result, read_only


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class DoseResponse(Result):
    """The answer to one text while one neuron is set to each of `values`, at the same tokens each time.

    `target_values` are float32 (value,), `probabilities` float32 (value, label), empty for a model without classes or
    tokens to predict. `natural` is the neuron's own mean value there, `clean` the target with the neuron untouched.
    """

    neuron: str
    text: str
    target: str
    values: np.ndarray
    target_values: np.ndarray
    probabilities: np.ndarray
    labels: tuple[str, ...]
    natural: float
    clean: float

    def __post_init__(self) -> None:
        for name in ("values", "target_values", "probabilities"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float32))
        if self.target_values.shape != self.values.shape or self.probabilities.shape != (
            len(self.values),
            len(self.labels),
        ):
            raise ValueError(
                f"{len(self.values)} values and {len(self.labels)} labels do not fit target_values "
                f"{self.target_values.shape} and probabilities {self.probabilities.shape}"
            )

    def to_columns(self) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {"value": self.values.tolist(), "target": self.target_values.tolist()}
        for label, column in zip(self.labels, self.probabilities.T, strict=True):
            columns[f"probability of {label}"] = column.tolist()
        return columns
