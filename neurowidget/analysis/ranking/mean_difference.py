"""Mean difference: how far does the class lie from everything else?

score_n(c) = |mean over the class - mean over the rest| / standard deviation over all rows.
"""

from __future__ import annotations

from neurowidget.analysis.ranking.neuron_scores import NeuronScores, require_classes, strongest_class
from neurowidget.analysis.statistics.class_moments import class_moments
from neurowidget.analysis.statistics.labelled_rows import LabelledRows


def mean_difference(train: LabelledRows, dev: LabelledRows, *, seed: int = 0, standardize: bool = True) -> NeuronScores:
    """The difference on the training rows, in standard deviations; overall that of the class with the largest one."""
    require_classes(train, "mean_difference")
    moments = class_moments(train)
    difference = moments.differences() / (moments.scales if standardize else 1.0)
    return strongest_class("difference of means", difference, moments.directions())
