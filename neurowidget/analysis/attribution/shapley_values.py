"""Exact Shapley values of the tokens of a short text (Shapley 1953), from all 2^n of its subsets."""

from __future__ import annotations

from itertools import product
from math import factorial
from typing import TYPE_CHECKING, Any

import torch
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

MOST = 12


def shapley_values(
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
    """One score per token, or group: sum over subsets S without i of |S|! (n - |S| - 1)! / n! [F(S and i) - F(S)].

    2^n runs for n tokens (Captum's ShapleyValues needs n! n). The scores sum to F(x) - F(x'). Raises ValueError for more
    than 12 tokens or groups, NaN and an unusable baseline.
    """
    question = players(model, text, target, baseline, position, of, target_text, group, seed, should_stop)
    n = question.count
    if n > MOST:
        raise ValueError(
            f"exact Shapley values of {n} tokens need 2^{n} runs, more than 2^{MOST}: join tokens (group='words', or "
            "lists of positions), or use shapley_sampling"
        )
    subsets = torch.tensor(list(product((0.0, 1.0), repeat=n)))  # row s has the bits of s, the first player's highest
    sizes = subsets.sum(dim=1).long()
    weights = torch.tensor([factorial(k) * factorial(n - k - 1) / factorial(n) for k in range(n)], dtype=torch.float64)

    def method(presence: Presence, rows: int) -> Tensor:
        values = torch.cat([presence(part) for part in subsets.split(rows)])
        scores = []
        for player in range(n):
            without = (subsets[:, player] == 0).nonzero()[:, 0]
            gained = values[without + 2 ** (n - 1 - player)] - values[without]
            scores.append((weights[sizes[without]] * gained).sum())
        return torch.stack(scores)

    return question.answer("shapley_values", question.scores(method, perturbations_per_eval), complete=True)
