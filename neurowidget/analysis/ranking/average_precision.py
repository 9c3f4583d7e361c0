"""Average precision: how purely do the largest (or the smallest) activations belong to the class?

The neuron is taken as a detector of the class (expert units: Suau, Zappella and Apostoloff 2020): the average over the
rows of the class of the precision at that row, rows in descending order of activation; rows of equal activation count
together. Both signs are tried. A neuron that
knows nothing has the class's base rate, a constant one 0.
"""

from __future__ import annotations

import numpy as np

from neurowidget.analysis.ranking.neuron_scores import NeuronScores, require_classes
from neurowidget.analysis.ranking.sorted_labels import sorted_labels, tied_from, tied_until
from neurowidget.analysis.statistics.labelled_rows import LabelledRows


def average_precision(train: LabelledRows, dev: LabelledRows, *, seed: int = 0) -> NeuronScores:
    """Average precision on the training rows for the better sign; `details["base rate"]` has one per class.

    Overall: the largest (AP - base rate) / (1 - base rate) over classes, so that rare and frequent classes compare.
    """
    require_classes(train, "average_precision")
    counts, total = train.counts(), len(train)
    of_classes = np.zeros((len(counts), train.width))
    signs = np.zeros((len(counts), train.width), dtype=np.int8)
    inverse = 1 / np.arange(1.0, total + 1)
    for neurons, ordered in sorted_labels(train):
        for label, count in enumerate(counts):
            if count == 0:
                continue
            first, last = ordered.places(label)
            if first is last:
                number = np.arange(1.0, count + 1)
                from_top = inverse[total - 1 - first] @ number[::-1] / count
                from_bottom = inverse[last] @ number / count
            else:
                from_top = ((count - tied_from(first)) / (total - first)).mean(axis=1)
                from_bottom = (tied_until(last) / (last + 1)).mean(axis=1)
            of_classes[label, neurons] = np.maximum(from_top, from_bottom)
            signs[label, neurons] = np.where(from_top >= from_bottom, 1, -1)
        if ordered.last is not None:
            constant = neurons[ordered.last[:, 0] == total - 1]
            of_classes[:, constant], signs[:, constant] = 0.0, 0
    base = counts / total
    above = (of_classes - base[:, None]) / np.maximum(1 - base, 1e-12)[:, None]
    return NeuronScores(
        "average precision", of_classes, signs, np.maximum(above, 0).max(axis=0), details={"base rate": base}
    )
