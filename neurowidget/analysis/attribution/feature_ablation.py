"""Leave one out: F without each token (Zeiler and Fergus 2014; Li et al. 2016), by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from captum.attr import FeatureAblation
from torch import Tensor

from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.presence import Presence, players
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def feature_ablation(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    baseline: Baseline = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    group: Groups | None = None,
    perturbations_per_eval: int | None = None,
    seed: int = 0,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per token, or group: F(x) - F(x with that token at its baseline).

    The effects need not sum to anything: tokens that stand in for one another have none alone. Special tokens stay,
    with score 0. A set of baselines is averaged. Raises ValueError for NaN and an unusable baseline.
    """
    question = players(model, text, target, baseline, position, of, target_text, group, seed, should_stop)

    def method(presence: Presence, rows: int) -> Tensor:
        found: Tensor = FeatureAblation(presence).attribute(
            presence.everyone, torch.zeros(1, presence.count), perturbations_per_eval=rows
        )
        return found[0].double()

    return question.answer("feature_ablation", question.scores(method, perturbations_per_eval))
