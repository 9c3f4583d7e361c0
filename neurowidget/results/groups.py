"""Neurons that belong together, within a model and across models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from neurowidget.neuron import Neuron
from neurowidget.results.base import Result, read_only
from neurowidget.results.neuron_axis import OverNeurons, neuron_at


class _Checked(OverNeurons):
    """Arrays that are frozen and must have their shape."""

    def _check(self, name: str, dtype: Any, shape: tuple[int | None, ...]) -> None:
        array = read_only(getattr(self, name), dtype)
        object.__setattr__(self, name, array)
        if array.ndim != len(shape) or any(b is not None and a != b for a, b in zip(array.shape, shape, strict=True)):
            raise ValueError(f"{name} has the shape {array.shape}, expected {shape}")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class NeuronGroups(_Checked):
    """Groups of neurons. `labels` int32 (neuron,) is the group of each, -1 for a neuron that is constant.

    Groups are numbered in the order of their first neurons. `representatives` int64 (group,) is the place of the neuron
    that stands for each group, `closeness` float32 (neuron,) the |correlation| of each neuron with it (NaN without one).
    """

    labels: np.ndarray
    representatives: np.ndarray
    closeness: np.ndarray
    threshold: float
    tokens: int  # how many rows of activations this was computed from

    signed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._check("labels", np.int32, (self.count,))
        self._check("closeness", np.float32, (self.count,))
        self._check("representatives", np.int64, (None,))

    def __len__(self) -> int:
        return len(self.representatives)

    def __repr__(self) -> str:
        shared = int((self.sizes > 1).sum())
        return (
            f"NeuronGroups({len(self)} groups of {self.count} neurons, {shared} of them with several;"
            f" largest {int(self.sizes.max(initial=0))})"
        )

    @cached_property
    def sizes(self) -> np.ndarray:
        """Neurons in each group, int64 (group,)."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self))

    def group(self, index: int) -> tuple[Neuron, ...]:
        """The neurons of one group."""
        if not 0 <= index < len(self):
            raise IndexError(f"there are groups 0 to {len(self) - 1}, no group {index}")
        return tuple(self.neuron_at(int(place)) for place in np.flatnonzero(self.labels == index))

    def group_of(self, neuron: Neuron | str) -> int:
        """The group of a neuron, -1 when it is constant."""
        return int(self.labels[self.place_of(neuron)])

    @property
    def independent(self) -> tuple[Neuron, ...]:
        """One neuron of each group: what is left when redundant ones are taken away (Dalvi et al. 2020)."""
        return tuple(self.neuron_at(int(place)) for place in self.representatives)

    @property
    def redundancy(self) -> float:
        """The share of neurons that another one stands for: 1 - groups / neurons that are not constant."""
        varying = int((self.labels >= 0).sum())
        return 1 - len(self) / varying if varying else float("nan")

    def to_columns(self) -> dict[str, list[Any]]:
        representative = np.zeros(self.count, bool)
        representative[self.representatives] = True
        return {
            "neuron": [str(self.neuron_at(place)) for place in range(self.count)],
            "group": self.labels.tolist(),
            "closeness": self.closeness.tolist(),
            "representative": representative.tolist(),
        }


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class NeuronFactors(_Checked):
    """Factors of non-negative activations: max(a, 0) ~ token_weights @ loadings.

    `loadings` float32 (factor, neuron), `token_weights` float32 (token, factor), factors by falling share of what they
    rebuild; `error` is |A - WH| / |A| (Frobenius).
    """

    loadings: np.ndarray
    token_weights: np.ndarray
    pieces: tuple[str, ...]
    error: float

    signed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._check("loadings", np.float32, (None, self.count))
        self._check("token_weights", np.float32, (len(self.pieces), len(self.loadings)))

    def __repr__(self) -> str:
        return f"NeuronFactors({len(self.loadings)} factors of {self.count} neurons, error {self.error:.3f})"

    def top(self, factor: int, k: int = 20) -> list[tuple[Neuron, float]]:
        """The k neurons with the largest loadings on a factor."""
        loadings = self.loadings[factor]
        return [(self.neuron_at(int(i)), float(loadings[i])) for i in np.argsort(-loadings, kind="stable")[:k]]

    def to_columns(self) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {"neuron": [str(self.neuron_at(place)) for place in range(self.count)]}
        return columns | {f"factor {i}": row.tolist() for i, row in enumerate(self.loadings)}


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class NeuronMatches(_Checked):
    """How well each neuron of the first model is found again in the others.

    `scores` float32 (neuron,) is the score of the method (`score_name`); `found` float32 (model, neuron) the same for
    each other model, and `partners` int64 (model, neuron) the best single neuron there, a place on that model's axis of
    `other_sites` and `other_widths` (-1 where the method has none).
    """

    scores: np.ndarray
    found: np.ndarray
    partners: np.ndarray
    other_sites: tuple[tuple[str, ...], ...]
    other_widths: tuple[tuple[int, ...], ...]
    score_name: str
    tokens: int

    signed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._check("scores", np.float32, (self.count,))
        self._check("found", np.float32, (len(self.other_sites), self.count))
        self._check("partners", np.int64, (len(self.other_sites), self.count))

    def __repr__(self) -> str:
        return f"NeuronMatches({self.score_name} of {self.count} neurons in {len(self.other_sites)} other models)"

    def top(self, k: int = 20) -> list[tuple[Neuron, float]]:
        """The k neurons that are found again best, ties by place."""
        order = np.argsort(-np.nan_to_num(self.scores, nan=-np.inf), kind="stable")[:k]
        return [(self.neuron_at(int(i)), float(self.scores[i])) for i in order]

    def partner(self, neuron: Neuron | str, model: int = 0) -> Neuron | None:
        """The neuron of another model that is most like this one; None where the method compares no single neurons."""
        place = int(self.partners[model, self.place_of(neuron)])
        if place < 0:
            return None
        return neuron_at(self.other_sites[model], self.other_widths[model], place)

    def to_columns(self) -> dict[str, list[Any]]:
        return {
            "neuron": [str(self.neuron_at(place)) for place in range(self.count)],
            self.score_name: self.scores.tolist(),
        }


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class LayerSimilarity(Result):
    """How alike the activations of layers are, float32 (layer of the first, layer of the second), 0 to 1."""

    values: np.ndarray
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    method: str
    tokens: int

    signed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", read_only(self.values, np.float32))
        if self.values.shape != (len(self.rows), len(self.columns)):
            raise ValueError(
                f"values {self.values.shape} do not fit {len(self.rows)} rows, {len(self.columns)} columns"
            )

    def __repr__(self) -> str:
        return f"LayerSimilarity({self.method}, {len(self.rows)} x {len(self.columns)} layers, {self.tokens} tokens)"

    def to_columns(self) -> dict[str, list[Any]]:
        row, column = (index.ravel() for index in np.indices(self.values.shape))
        return {
            "first": [self.rows[i] for i in row],
            "second": [self.columns[i] for i in column],
            self.method: self.values.ravel().tolist(),
        }


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class NeuronMap(_Checked):
    """A place on a plane for each neuron, float32 (neuron, 2); near neurons fire on the same tokens."""

    places: np.ndarray
    explained: tuple[float, ...]  # share of variance of each axis; empty where a method has none

    def __post_init__(self) -> None:
        self._check("places", np.float32, (self.count, 2))

    def to_columns(self) -> dict[str, list[Any]]:
        return {
            "neuron": [str(self.neuron_at(place)) for place in range(self.count)],
            "x": self.places[:, 0].tolist(),
            "y": self.places[:, 1].tolist(),
        }
