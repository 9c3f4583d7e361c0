"""Probeless: how far apart do the classes' mean activations lie?

r_n(z) = sum over z' of |q_n(z) - q_n(z')|, overall the sum over pairs, where q_n(z) is the mean activation of the neuron
over rows of class z (Antverg and Belinkov 2022, "On the Pitfalls of Analyzing Individual Neurons in Language Models").
"""

from __future__ import annotations

import numpy as np

from neurowidget.analysis.ranking.neuron_scores import NeuronScores, require_classes
from neurowidget.analysis.statistics.class_moments import class_moments
from neurowidget.analysis.statistics.labelled_rows import LabelledRows


def probeless(train: LabelledRows, dev: LabelledRows, *, seed: int = 0, standardize: bool = True) -> NeuronScores:
    """Distances of class means on the training rows, in standard deviations of the neuron.

    `standardize=False` is the paper's own form, in which a neuron of large values ranks high whatever it carries.
    """
    require_classes(train, "probeless")
    moments = class_moments(train)
    means = moments.class_means[moments.counts > 0] / (moments.scales if standardize else 1.0)
    there = np.flatnonzero(moments.counts > 0)
    of_classes = np.zeros(moments.class_means.shape)
    for number, mean in zip(there, means, strict=True):
        of_classes[number] = np.abs(means - mean).sum(axis=0)
    return NeuronScores("distance of class means", of_classes, moments.directions(), of_classes.sum(axis=0) / 2)
