"""Mutual information: how many bits about the class does the neuron's activation, cut into bins, hold?

I = sum over bins and classes of p(b, z) log2 p(b, z) / (p(b) p(z)), bins of equal counts on the training rows (equal
activations stay together), less the bias of such estimates, (B - 1)(Z - 1) / 2n nats when all cells are filled (Miller
1955; Madow's correction of each entropy by its filled cells).
"""

from __future__ import annotations

import numpy as np

from neurowidget.analysis.ranking.neuron_scores import NeuronScores, require_classes
from neurowidget.analysis.ranking.sorted_labels import sorted_labels
from neurowidget.analysis.statistics.class_moments import class_moments
from neurowidget.analysis.statistics.labelled_rows import LabelledRows


def mutual_information(
    train: LabelledRows, dev: LabelledRows, *, seed: int = 0, bins: int = 10, correction: bool = True
) -> NeuronScores:
    """Bits on the training rows: overall about all classes, for a class about that class against the rest.

    Not below 0. `correction=False` leaves the bias in. Signs are those of the difference of means.
    """
    require_classes(train, "mutual_information")
    if not 2 <= bins <= len(train):
        raise ValueError(f"bins={bins}: expected 2 to {len(train)}, the number of training rows")
    classes, total = len(train.classes), len(train)
    of_classes, overall = np.zeros((classes, train.width)), np.zeros(train.width)
    by_place = np.arange(total) * bins // total
    for neurons, ordered in sorted_labels(train):
        width = len(neurons)
        bin_of = by_place[None] if ordered.first is None else by_place[ordered.first]
        cells = bin_of * classes + ordered.labels + (np.arange(width) * bins * classes)[:, None]
        joint = np.bincount(cells.ravel(), minlength=width * bins * classes).reshape(width, bins, classes)
        overall[neurons] = _bits(joint, correction)
        rest = joint.sum(axis=2, keepdims=True) - joint
        for label in range(classes):
            of_classes[label, neurons] = _bits(np.stack([joint[..., label], rest[..., label]], axis=-1), correction)
    return NeuronScores("bits", of_classes, class_moments(train).directions(), overall, details={"bins": bins})


def _bits(joint: np.ndarray, correction: bool) -> np.ndarray:
    """Bits (neuron,) from counts (neuron, bin, class)."""
    total = joint[0].sum()
    of_bins, of_classes = joint.sum(axis=2), joint.sum(axis=1)
    nats = _entropy(of_bins, total) + _entropy(of_classes, total) - _entropy(joint.reshape(len(joint), -1), total)
    if correction:
        filled = (of_bins > 0).sum(axis=1) + (of_classes > 0).sum(axis=1) - (joint > 0).sum(axis=(1, 2)) - 1
        nats = nats + filled / (2 * total)
    return np.maximum(nats, 0) / np.log(2)


def _entropy(counts: np.ndarray, total: int) -> np.ndarray:
    share = counts / total
    return -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)
