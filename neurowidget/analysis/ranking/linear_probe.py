"""Linear probe: which weights does a sparse linear classifier of the concept need?

Linguistic Correlation Analysis (Dalvi et al. 2019, "What Is One Grain of Sand in the Desert?"): minimise mean cross entropy
+ l1 |W|_1 + l2 |W|^2 over standardised activations. l1 = 0 is a ridge probe, l2 = 0 a lasso; labels that are numbers are
fitted by least squares. A class ranks neurons by |W|; overall a neuron comes as early as the smallest share p of weight
mass at which some class's top neurons, those that make up p of its mass, include it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurowidget.analysis.ranking.neuron_scores import NeuronScores
from neurowidget.analysis.statistics.labelled_rows import LabelledRows
from neurowidget.analysis.statistics.linear_probes import TOLERANCE, TrainingRows, choose_probe
from neurowidget.models.progress import StopFlag


def linear_probe(
    train: LabelledRows,
    dev: LabelledRows,
    *,
    seed: int = 0,
    l1: float | Sequence[float] = 5e-4,
    l2: float | Sequence[float] = 5e-4,
    tolerance: float = TOLERANCE,
    training: TrainingRows | None = None,
    should_stop: StopFlag | None = None,
) -> NeuronScores:
    """Rank by the weights of a probe on the training rows; several penalties: the pair with the best score on dev.

    The overall score is 1 - p with p as above, without the neuron's own mass, so that the first neuron of every class has 1;
    such ties go to the larger share of its class's mass.
    """
    training = TrainingRows.of(train) if training is None else training
    probe, tried = choose_probe(training, dev, l1, l2, tolerance=tolerance, should_stop=should_stop)
    overall, order = mass_order(np.abs(probe.weights))
    details = {"penalties tried (l1, l2, score on dev)": tried} if tried else {}
    return NeuronScores(
        "1 - weight mass before it", np.abs(probe.weights), np.sign(probe.weights), overall, order, details, probe
    )


def mass_order(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The score 1 - p (neuron,) and the order (neuron,) from |W| (class, neuron); neurons without weight score 0."""
    weights = weights.astype(np.float64)
    total = weights.sum(axis=1, keepdims=True)
    shares = weights / np.where(total > 0, total, 1.0)
    by_share = np.argsort(-shares, axis=1, kind="stable")
    sorted_shares = np.take_along_axis(shares, by_share, axis=1)
    before = np.empty_like(shares)
    np.put_along_axis(before, by_share, np.cumsum(sorted_shares, axis=1) - sorted_shares, axis=1)
    before[shares == 0] = 1.0
    earliest = np.clip(before.min(axis=0), 0.0, 1.0)
    overall = 1.0 - earliest
    return overall, np.lexsort((-shares.max(axis=0), earliest))
