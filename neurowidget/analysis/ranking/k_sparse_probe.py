"""Sparse probe: what is the best classifier of the class that reads only k neurons?

k = 1 is solved exactly: every threshold of every neuron, both signs, is tried, and the neuron scores Youden's J = 2 balanced
accuracy - 1 of its best one. For k > 1 the choice is hard; as in Gurnee et al. (2023, "Finding Neurons in a Haystack"),
adaptive thresholding: a ridge probe of many neurons is fitted again and again, each time on the neurons of larger weight.
"""

from __future__ import annotations

import numpy as np
import torch

from neurowidget.analysis.ranking.neuron_scores import NeuronScores, require_classes
from neurowidget.analysis.ranking.sorted_labels import sorted_labels, tied_from, tied_until
from neurowidget.analysis.statistics.labelled_rows import LabelledRows
from neurowidget.analysis.statistics.probe_solver import one_block, solve

START = 16  # times k neurons, the best ones alone, that adaptive thresholding begins with


def k_sparse_probe(
    train: LabelledRows, dev: LabelledRows, *, seed: int = 0, k: int = 1, ridge: float = 1e-3
) -> NeuronScores:
    """Scores are J of single neurons on the training rows; overall that of the class with the largest one.

    With k > 1, `details["chosen"]` int (class, k) has the places of the neurons chosen for each class, largest weight
    first, and these come first in the overall order.
    """
    require_classes(train, "k_sparse_probe")
    if not 1 <= k <= train.width:
        raise ValueError(f"k={k}: expected 1 to {train.width} neurons")
    counts, total = train.counts(), len(train)
    of_classes = np.zeros((len(counts), train.width))
    signs = np.zeros((len(counts), train.width), dtype=np.int8)
    for neurons, ordered in sorted_labels(train):
        for label, count in enumerate(counts):
            if count in (0, total):
                continue
            first, last = ordered.places(label)
            others = total - count
            if first is last:
                above, below = np.arange(count, 0, -1), np.arange(1, count + 1)
            else:
                above, below = count - tied_from(first), tied_until(last)
            # J = on / count - others on / others, for a threshold just below a row of the class, or just above it.
            share = 1 / count + 1 / others
            best = (above * share + first / others).max(axis=1) - total / others
            worst = (below * share - last / others).max(axis=1) - 1 / others
            found = np.maximum(best, worst)
            of_classes[label, neurons] = np.where(found > 1e-12, found, 0.0)  # rounding is no score
            signs[label, neurons] = np.where(best >= worst, 1, -1)
    overall = of_classes.max(axis=0)
    if k == 1:
        return NeuronScores("Youden's J", of_classes, signs, overall, details={"k": 1})
    chosen = np.stack([_adaptive(train, of_classes[label], label, k, ridge) for label in range(len(counts))])
    among = np.isin(np.arange(train.width), chosen)
    return NeuronScores(
        "Youden's J", of_classes, signs, overall, np.lexsort((-overall, ~among)), {"k": k, "chosen": chosen}
    )


def _adaptive(train: LabelledRows, scores: np.ndarray, label: int, k: int, ridge: float) -> np.ndarray:
    """The places (k,) of the neurons that are left after halving their number down to k."""
    kept = np.sort(np.argsort(-scores, kind="stable")[: START * k])
    values = train.columns(kept)
    spread = values.std(axis=0)
    standardised = torch.from_numpy((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1))
    targets = torch.from_numpy((train.targets == label).astype(np.int64))
    while True:
        found = solve(one_block(standardised), targets, len(kept), 2, l1=0.0, l2=ridge, tolerance=1e-3)
        order = np.argsort(-np.abs(found.weights[1]), kind="stable")
        if len(kept) <= k:
            return kept[order]
        order = np.sort(order[: max(k, len(kept) // 2)])
        kept, standardised = kept[order], standardised[:, torch.from_numpy(order)]
