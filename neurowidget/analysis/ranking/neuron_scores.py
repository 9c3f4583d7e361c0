"""What every ranking method returns, and how scores become an order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurowidget.analysis.statistics.labelled_rows import LabelledRows
from neurowidget.results.probe import LinearProbe


@dataclass(frozen=True, eq=False)
class NeuronScores:
    """Scores of all neurons; larger = carries more.

    `of_classes` and `signs` are (class, neuron), `overall` (neuron,). `order` (neuron,) is given where it says more than
    the overall score does; otherwise neurons are ordered by that, ties by place.
    """

    name: str
    of_classes: np.ndarray
    signs: np.ndarray
    overall: np.ndarray
    order: np.ndarray | None = None
    details: dict[str, Any] = field(default_factory=dict)
    probe: LinearProbe | None = None


def strongest_class(name: str, of_classes: np.ndarray, signs: np.ndarray, **more: Any) -> NeuronScores:
    """Scores whose overall score is that of the class the neuron carries most."""
    return NeuronScores(name, of_classes, signs, of_classes.max(axis=0), **more)


def require_classes(rows: LabelledRows, method: str) -> None:
    """Raise ValueError when the labels are numbers and the method compares classes."""
    if not rows.classes:
        raise ValueError(f"{method} compares classes; labels that are numbers go with linear_probe or random")


def require_options(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError for an option outside [low, high]."""
    if not low <= value <= high:
        raise ValueError(f"{name}={value}: expected {low:g} to {high:g}")
