"""Neurons set to what they usually are on a concept (Bau et al. 2019; Suau et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurowidget.models.edits import Neurons, parse_neurons
from neurowidget.models.interventions import Set
from neurowidget.neuron import Neuron
from neurowidget.results.activations import Activations

STATISTICS: dict[str, Callable[[np.ndarray], Any]] = {"mean": np.mean, "median": np.median}


def typical_values(
    activations: Activations, neurons: Neurons, concept: Any, labels: str | None = None, statistic: str = "mean"
) -> Set:
    """`Set` of `neurons` to their mean (Bau et al. 2019) or median on the rows that are labelled `concept`.

    `labels` names the labels among those of `activations`, where there are several. `Set.value` has one number for each
    neuron. Raises ValueError when no row has the label, naming those that there are.
    """
    if statistic not in STATISTICS:
        raise ValueError(f"no statistic {statistic!r}: expected 'mean' or 'median'")
    parsed = [address for address in parse_neurons(neurons) if isinstance(address, Neuron)]
    if not parsed or len(parsed) != len(parse_neurons(neurons)):
        raise ValueError(f"expected neurons such as 'L5.mlp[131]', got {neurons!r}"[:200])
    found = activations.row_labels(labels)
    rows = np.array([label == concept for label in found])
    if not rows.any():
        known = sorted({str(label) for label in found if label is not None})
        raise ValueError(f"no token is labelled {concept!r}: there are {', '.join(known[:20]) or 'no labels'}")
    values = [float(STATISTICS[statistic](activations.neuron(neuron)[rows])) for neuron in parsed]
    return Set(parsed, values)
