"""KernelSHAP: Shapley values by a weighted regression over subsets (Lundberg and Lee 2017, theorem 2), by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from captum.attr import KernelShap
from torch import Tensor

from neurowidget.analysis.attribution.asked import incomplete
from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.lime import few_samples
from neurowidget.analysis.attribution.presence import Presence, drawing, players
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def kernel_shap(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    baseline: Baseline = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    n_samples: int = 200,
    group: Groups | None = None,
    perturbations_per_eval: int | None = None,
    seed: int = 0,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per token, or group: its Shapley value, estimated from `n_samples` random subsets.

    Subsets are drawn by Shapley's kernel (n - 1) / (|S| (n - |S|)), and the whole text and the baseline weigh 10^6 times as
    much as one, so the scores sum to F(x) - F(x') nearly. Raises ValueError for NaN and an unusable baseline.
    """
    question = players(model, text, target, baseline, position, of, target_text, group, seed, should_stop)

    def method(presence: Presence, rows: int) -> Tensor:
        if presence.count == 1:  # there is no subset between nothing and everything
            return presence(torch.ones(1, 1)) - presence(torch.zeros(1, 1))
        with drawing(seed):
            found: Tensor = KernelShap(presence).attribute(
                presence.everyone, torch.zeros(1, presence.count), n_samples=n_samples, perturbations_per_eval=rows
            )
        return found[0].double()

    scores = question.scores(method, perturbations_per_eval)
    remarks = few_samples(question.count, n_samples) or incomplete(question.asked, scores, "take more samples")
    return question.answer("kernel_shap", scores, complete=True, remarks=remarks, seed=seed, n_samples=n_samples)
