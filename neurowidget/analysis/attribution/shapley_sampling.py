"""Shapley values of tokens by sampling orders (Castro et al. 2009; Strumbelj and Kononenko 2010), by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from captum.attr import ShapleyValueSampling
from torch import Tensor

from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.presence import Presence, drawing, players
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def shapley_sampling(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    baseline: Baseline = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    n_samples: int = 25,
    group: Groups | None = None,
    perturbations_per_eval: int | None = None,
    seed: int = 0,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per token, or group: the mean of what it adds to F when tokens arrive in `n_samples` random orders.

    The scores sum to F(x) - F(x') exactly, whatever the number of orders; each costs one run per token. Raises
    ValueError for NaN and an unusable baseline.
    """
    question = players(model, text, target, baseline, position, of, target_text, group, seed, should_stop)

    def method(presence: Presence, rows: int) -> Tensor:
        with drawing(seed):
            found: Tensor = ShapleyValueSampling(presence).attribute(
                presence.everyone, torch.zeros(1, presence.count), n_samples=n_samples, perturbations_per_eval=rows
            )
        return found[0].double()

    scores = question.scores(method, perturbations_per_eval)
    return question.answer("shapley_sampling", scores, complete=True, seed=seed, n_samples=n_samples)
