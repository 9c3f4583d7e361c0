"""Intersection over union: how well does "the neuron is on" coincide with the class?

IoU = |on and class| / |on or class| (network dissection; Mu and Andreas 2020). A neuron is on above the threshold that a share
of its training values exceeds: the base rate of the class, or a share that is given. For the other sign: below. Threshold
and sign come from the training rows, the score from the dev rows.
"""

from __future__ import annotations

import numpy as np

from neurowidget.analysis.ranking.neuron_scores import NeuronScores, require_classes, require_options, strongest_class
from neurowidget.analysis.statistics.labelled_rows import LabelledRows


def iou(train: LabelledRows, dev: LabelledRows, *, seed: int = 0, share: float | None = None) -> NeuronScores:
    """IoU on the dev rows; overall that of the class with the largest one.

    `share` replaces the base rate of the class (0.005 is usual). `details["thresholds"]` float32 (class, neuron).
    """
    require_classes(train, "iou")
    if share is not None:
        require_options("share", share, 1 / len(train), 1.0)
    if not len(dev):
        raise ValueError("iou is scored on dev rows, and there are none: leave dev above 0")
    counts, total = train.counts(), len(train)
    on = np.clip(np.round(counts if share is None else np.full(len(counts), share * total)), 1, total - 1).astype(int)
    shape = (len(counts), train.width)
    of_classes, signs, thresholds = np.zeros(shape), np.zeros(shape, dtype=np.int8), np.zeros(shape, dtype=np.float32)
    of_train = [np.flatnonzero(train.targets == label) for label in range(len(counts))]
    of_dev = [np.flatnonzero(dev.targets == label) for label in range(len(counts))]
    width = train.block_width(1 << 21)
    for (neurons, values), (_, held_out) in zip(train.neuron_blocks(width), dev.neuron_blocks(width), strict=True):
        ordered = np.sort(np.ascontiguousarray(values.T), axis=1)
        for label, count in enumerate(on):
            if not counts[label]:
                continue
            best: np.ndarray | None = None
            for sign in (1, -1):
                # The count-th value from the end, and strictly beyond it: ties switch a neuron off, not on.
                edge = ordered[:, total - count - 1] if sign == 1 else ordered[:, count]
                beyond = (
                    ordered[:, total - count :] > edge[:, None] if sign == 1 else ordered[:, :count] < edge[:, None]
                )
                on_train = _overlap(_on(values[of_train[label]], edge, sign), beyond.sum(axis=1), counts[label])
                better = on_train > best if best is not None else np.ones(len(edge), dtype=bool)
                best = on_train if best is None else np.maximum(best, on_train)
                on_dev = _on(held_out, edge, sign)
                found = _overlap(on_dev[of_dev[label]], on_dev.sum(axis=0), len(of_dev[label]))
                for array, value in ((of_classes, found), (signs, np.full(len(edge), sign)), (thresholds, edge)):
                    array[label, neurons] = np.where(better, value, array[label, neurons])
    return strongest_class("IoU", of_classes, signs, details={"thresholds": thresholds})


def _on(values: np.ndarray, edge: np.ndarray, sign: int) -> np.ndarray:
    return values > edge if sign == 1 else values < edge


def _overlap(inside: np.ndarray, on: np.ndarray, members: int) -> np.ndarray:
    """IoU (neuron,) from which rows of the class are on (row, neuron), and how many rows are on at all."""
    both = inside.sum(axis=0)
    return both / np.maximum(on + members - both, 1)
