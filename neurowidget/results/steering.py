"""Directions that change what a model writes, and what else they change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurowidget.results.base import Result, read_only


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SteeringVector(Result):
    """A direction at one site from negative to positive texts; `nw.Add(vector, strength=0.5)` adds it.

    `vector` is float32 (width,) and as long as `unit`, the mean norm of the site at ordinary tokens of the texts: a
    strength of 0.5 adds half of what is there. `distance` is how far the means of both classes lie apart along it, in
    units, and `held_out_auc` how well it sorts texts that it was not made from (5 folds): 0.5 is chance.
    """

    vector: np.ndarray
    layer: int
    site: str
    unit: float
    distance: float
    held_out_auc: float
    method: str
    tokens: str  # which tokens of a text were averaged: mean (all ordinary ones) or last
    positive_texts: tuple[str, ...]
    negative_texts: tuple[str, ...]
    stack: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "vector", read_only(self.vector, np.float32))
        if self.vector.ndim != 1 or not np.isfinite(self.vector).all() or not self.unit > 0:
            raise ValueError(f"expected a finite vector (width,) and unit > 0, got {self.vector.shape} and {self.unit}")

    def to_columns(self) -> dict[str, list[Any]]:
        return {"neuron": list(range(len(self.vector))), "value": self.vector.tolist()}


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SteeringSweep(Result):
    """What a model writes at each strength, and what that costs; arrays are float32 (strength,) unless said otherwise.

    `target_values` are (strength, prompt), before anything is written. `perplexity` is on neutral texts,
    `kl` the mean KL(unsteered || steered) in nats per token of them, `repetition` the share of 4-grams in the written
    tokens that stood there before (Welleck et al. 2020, seq-rep-4), `rates` for each concept the share of written words
    that are its words.
    """

    strengths: np.ndarray
    intervention: str  # at strength 1, readable
    prompts: tuple[str, ...]
    written: tuple[tuple[str, ...], ...]  # (strength, prompt): what follows the prompt
    target: str
    target_values: np.ndarray
    perplexity: np.ndarray
    kl: np.ndarray
    repetition: np.ndarray
    neutral: str  # name of the neutral texts
    rates: dict[str, np.ndarray]

    def __post_init__(self) -> None:
        count = len(self.strengths)
        for name in ("strengths", "perplexity", "kl", "repetition"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float32))
        object.__setattr__(self, "target_values", read_only(self.target_values, np.float32))
        object.__setattr__(self, "rates", {name: read_only(rate, np.float32) for name, rate in self.rates.items()})
        lengths = {len(getattr(self, name)) for name in ("perplexity", "kl", "repetition", "written")}
        lengths |= {len(rate) for rate in self.rates.values()}
        if lengths != {count} or self.target_values.shape != (count, len(self.prompts)):
            raise ValueError(f"every field needs one entry for each of {count} strengths, and targets one per prompt")

    def to_columns(self) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {"strength": self.strengths.tolist()}
        columns["target"] = self.target_values.mean(axis=1).tolist()
        for name in ("perplexity", "kl", "repetition"):
            columns[name] = getattr(self, name).tolist()
        return columns | {f"rate of {name}": rate.tolist() for name, rate in self.rates.items()}
