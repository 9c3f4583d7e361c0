"""Which neurons carry a concept: every method ranks all neurons from the same labelled rows.

A method is a function (train, dev, *, seed, **options) of two LabelledRows that returns NeuronScores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurowidget.analysis.ranking.average_precision import average_precision as _average_precision
from neurowidget.analysis.ranking.class_selectivity import class_selectivity as _class_selectivity
from neurowidget.analysis.ranking.gaussian_probe import gaussian_probe as _gaussian_probe
from neurowidget.analysis.ranking.iou import iou as _iou
from neurowidget.analysis.ranking.k_sparse_probe import k_sparse_probe as _k_sparse_probe
from neurowidget.analysis.ranking.linear_probe import linear_probe as _linear_probe
from neurowidget.analysis.ranking.mean_difference import mean_difference as _mean_difference
from neurowidget.analysis.ranking.mutual_information import mutual_information as _mutual_information
from neurowidget.analysis.ranking.probeless import probeless as _probeless
from neurowidget.analysis.ranking.random import random as _random

METHODS: dict[str, Callable[..., Any]] = {
    "linear_probe": _linear_probe,
    "gaussian_probe": _gaussian_probe,
    "probeless": _probeless,
    "mean_difference": _mean_difference,
    "class_selectivity": _class_selectivity,
    "iou": _iou,
    "average_precision": _average_precision,
    "k_sparse_probe": _k_sparse_probe,
    "mutual_information": _mutual_information,
    "random": _random,
}

__all__ = ["METHODS"]
