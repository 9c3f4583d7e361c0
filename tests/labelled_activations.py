"""Activations of words with labels, in which it is known which neurons carry which class."""

from __future__ import annotations

import numpy as np

from neurowidget.results.activations import Activations
from neurowidget.results.from_array import activations_from_array

CARRIERS = {"A": 4, "B": 11, "C": 7}  # neuron 11 is low for B, the others high for their class
SIGNS = {"A": 1, "B": -1, "C": 1}
CONSTANT, LARGE = 19, 15


def words_of(count: int, seed: int = 0, types: int = 40) -> list[str]:
    """Words drawn with falling frequencies."""
    shares = 1 / np.arange(2, types + 2)
    return [f"w{i}" for i in np.random.default_rng(seed).choice(types, size=count, p=shares / shares.sum())]


def labelled(
    texts: int = 90, length: int = 10, width: int = 20, strength: float = 3.0, seed: int = 0, scale: float = 1.0
) -> Activations:
    """One layer of noise in which three neurons carry a class each; neuron 15 is noise times `scale`, neuron 19 constant."""
    generator = np.random.default_rng(seed)
    count = texts * length
    labels = generator.choice(["A", "B", "C"], size=count, p=[0.5, 0.3, 0.2])
    values = generator.standard_normal((count, width))
    for label, neuron in CARRIERS.items():
        values[:, neuron] += strength * SIGNS[label] * (labels == label)
    values[:, LARGE] *= scale
    values[:, CONSTANT] = 0.1
    return activations_from_array(
        values, labels.tolist(), np.repeat(np.arange(texts), length), words_of(count, seed), site="mlp", model="made up"
    )
