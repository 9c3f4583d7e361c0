"""Class selectivity: what share of a neuron's range lies between the class and everything else?

score_n(c) = |mean over the class - mean over the rest| / (largest - smallest activation) (Fan, Dalvi, Durrani and Sajjad
2023, "Evaluating Neuron Interpretation Methods of NLP Models"). Not the selectivity of a probe (Hewitt and Liang).
"""

from __future__ import annotations

import numpy as np

from neurowidget.analysis.ranking.neuron_scores import NeuronScores, require_classes, strongest_class
from neurowidget.analysis.statistics.class_moments import class_moments
from neurowidget.analysis.statistics.labelled_rows import LabelledRows


def class_selectivity(train: LabelledRows, dev: LabelledRows, *, seed: int = 0) -> NeuronScores:
    """The share on the training rows, 0 to 1; overall that of the class with the largest one."""
    require_classes(train, "class_selectivity")
    moments = class_moments(train)
    reach = np.where(moments.constant, 1.0, moments.highest - moments.lowest)
    return strongest_class("class selectivity", moments.differences() / reach, moments.directions())
