"""Random: the control that is called like every other ranking."""

from __future__ import annotations

import numpy as np

from neurowidget.analysis.ranking.neuron_scores import NeuronScores
from neurowidget.analysis.statistics.labelled_rows import LabelledRows


def random(train: LabelledRows, dev: LabelledRows, *, seed: int = 0) -> NeuronScores:
    """Scores drawn from [0, 1), for each class and overall, without a look at the activations."""
    generator = np.random.default_rng(seed)
    shape = (max(len(train.classes), 1), train.width)
    return NeuronScores(
        "random number", generator.random(shape), np.ones(shape, dtype=np.int8), generator.random(train.width)
    )
