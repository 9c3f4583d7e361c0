"""Occlusion: F without each window of neighbouring tokens (Zeiler and Fergus 2014), by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from captum.attr import Occlusion
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


def occlusion(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    baseline: Baseline = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    window: int = 3,
    stride: int = 1,
    group: Groups | None = None,
    perturbations_per_eval: int | None = None,
    seed: int = 0,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per token: the mean of F(x) - F(x without a window) over the windows of `window` tokens around it.

    Windows run over the tokens, or groups, that are not special, every `stride` of them; one that is longer than the
    text is as long as the text. Raises ValueError for NaN and an unusable baseline.
    """
    question = players(model, text, target, baseline, position, of, target_text, group, seed, should_stop)
    size = min(window, question.count)
    if size < 1 or not 1 <= stride <= size:
        raise ValueError(f"window must be 1 or more and stride 1 to window, got window={window} and stride={stride}")

    def method(presence: Presence, rows: int) -> Tensor:
        found: Tensor = Occlusion(presence).attribute(
            presence.everyone, (size,), (stride,), torch.zeros(1, presence.count), perturbations_per_eval=rows
        )
        return found[0].double()

    scores = question.scores(method, perturbations_per_eval)
    return question.answer("occlusion", scores, window=size, stride=stride)
