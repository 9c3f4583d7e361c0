"""Made-up activations: arrays as a result over equally long texts."""

from __future__ import annotations

import numpy as np

from neurowidget.results.activations import Activations
from neurowidget.results.from_array import activations_from_array


def activations(values: np.ndarray, texts: int = 6) -> Activations:
    """(layer, token, neuron) or (token, neuron) as Activations over equally long texts."""
    rows = np.asarray(values).shape[-2]
    return activations_from_array(values, sentence_index=np.arange(rows) * texts // rows, site="mlp", model="made up")
