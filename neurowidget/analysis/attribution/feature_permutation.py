"""Permutation: each token replaced by tokens that other texts have there (Breiman 2001; Fisher et al. 2019), by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from captum.attr import FeaturePermutation
from torch import Tensor

from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.presence import players
from neurowidget.analysis.statistics.halving import halving
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def feature_permutation(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    baseline: Baseline = "corpus",
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    group: Groups | None = None,
    perturbations_per_eval: int | None = None,
    seed: int = 0,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per token, or group: the mean of F(x) - F(x with the token that another text has there).

    The other texts are the set `baseline`: Captum permutes over a batch, here the batch is the text and those. A token is
    replaced by real words, so the text stays nearer to text than with a pad token. Raises ValueError for NaN.
    """
    question = players(model, text, target, baseline, position, of, target_text, group, seed, should_stop)
    asked = question.asked
    assert asked.starts is not None
    sources = torch.cat([asked.text, asked.starts])  # 0 is the text itself
    others = 1 + torch.arange(max(2, len(asked.starts))) % len(asked.starts)  # Captum skips a batch of one

    def forward(source: Tensor) -> Tensor:
        """F of texts whose players come from the sources (row, player)."""
        with_own = torch.cat([source.long(), torch.zeros(len(source), 1, dtype=torch.long)], dim=1)
        chosen = with_own[:, question.player].to(sources.device)
        with torch.no_grad():
            return asked.explained.of(sources[chosen, torch.arange(chosen.shape[1])]).cpu().double()

    def method(rows: int) -> Tensor:
        captum = FeaturePermutation(lambda source: torch.cat([forward(part) for part in source.split(rows)]), replaced)
        found: Tensor = captum.attribute(torch.zeros(len(others), question.count, dtype=torch.long))
        return found.double().mean(dim=0)

    def replaced(source: Tensor, mask: Tensor) -> Tensor:
        """Row r gets the players of `mask` from another text."""
        return torch.where(mask.bool(), others[:, None], source)

    scores = halving(method, perturbations_per_eval or 64)
    return question.answer("feature_permutation", scores, seed=seed)
