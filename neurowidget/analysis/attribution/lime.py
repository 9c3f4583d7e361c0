"""LIME: a sparse linear model of F around the text (Ribeiro et al. 2016), by Captum."""

from __future__ import annotations

from math import exp, sqrt
from typing import TYPE_CHECKING, Any

import torch
from captum._utils.models.linear_model import SkLearnLasso
from captum.attr import Lime
from torch import Tensor

from neurowidget.analysis.attribution.asked import Remark
from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.presence import Presence, drawing, players
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def lime(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    baseline: Baseline = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    n_samples: int = 200,
    alpha: float = 0.01,
    kernel_width: float = 1.0,
    group: Groups | None = None,
    perturbations_per_eval: int | None = None,
    seed: int = 0,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per token, or group: its coefficient in a Lasso (penalty `alpha`) fitted to F of random subsets.

    Each token is left out with probability 1/2 in each of `n_samples` copies. A copy counts exp(-d^2 / 2 kernel_width^2),
    where d is 1 minus the cosine between what is there and the whole text, over tokens (on ids, which is what Captum's
    default would compare, it would mean nothing). Raises ValueError for NaN and an unusable baseline.
    """
    question = players(model, text, target, baseline, position, of, target_text, group, seed, should_stop)

    def method(presence: Presence, rows: int) -> Tensor:
        captum = Lime(presence, SkLearnLasso(alpha=alpha), mask_similarity(kernel_width))
        with drawing(seed):
            found: Tensor = captum.attribute(
                presence.everyone, torch.zeros(1, presence.count), n_samples=n_samples, perturbations_per_eval=rows
            )
        return found[0].double()

    scores = question.scores(method, perturbations_per_eval)
    remarks = few_samples(question.count, n_samples)
    if not bool(scores.any()):
        remarks.append(
            ("all_zero", f"All scores are 0: the penalty alpha={alpha:g} is too large for so small changes of F.")
        )
    return question.answer(
        "lime", scores, remarks=remarks, seed=seed, n_samples=n_samples, alpha=alpha,
        kernel_width=kernel_width,
    )  # fmt: skip


def mask_similarity(kernel_width: float) -> Any:
    """How much a perturbed copy counts, from the mask of what is there: the cosine to a mask of ones is sqrt(kept share)."""

    def similarity(original: Tensor, perturbed: Tensor, mask: Tensor, **_: Any) -> float:
        distance = 1 - sqrt(float(mask.float().mean()))
        return exp(-(distance**2) / (2 * kernel_width**2))

    return similarity


def few_samples(count: int, n_samples: int) -> list[Remark]:
    """The remark on a regression with fewer samples than twice its coefficients."""
    if n_samples >= 2 * count:
        return []
    sentence = (
        f"{n_samples} samples for {count} coefficients leave them undetermined: take n_samples={4 * count} or more."
    )
    return [("few_samples", sentence)]
