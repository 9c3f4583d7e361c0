"""GradientSHAP, expected gradients: integrated gradients over a set of baselines by sampling (Lundberg & Lee 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from neurowidget.analysis.attribution.asked import answer, ask, from_baseline, incomplete
from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def gradient_shap(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    baseline: Baseline = "corpus",
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    n_samples: int = 50,
    group: Groups | None = None,
    seed: int = 0,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per token: the mean of (x - x') . dF/dx at random points between random baselines x' and the text x.

    The scores sum to F(x) minus the mean of F(x') in expectation: `completeness_error` says how far `n_samples` points
    are from that. The draws are those of Captum's GradientShap without noise after `numpy.random.seed(seed)`, whatever
    the number of points in one forward. Raises ValueError for NaN and an unusable baseline.
    """
    if n_samples < 1:
        raise ValueError(f"n_samples must be 1 or more, got {n_samples}")
    asked = from_baseline(ask(model, text, target, position, of, target_text, should_stop), baseline, seed)
    starts, at = sampled_path(asked.starts, n_samples, seed)
    difference = asked.text - starts
    scores = (asked.gradients(starts + at * difference) * difference.cpu().double()).sum(dim=-1).mean(dim=0)
    return answer(
        asked, "gradient_shap", scores, complete=True, group=group, seed=seed, n_samples=n_samples,
        remarks=incomplete(asked, scores, f"{n_samples} random points are a rough mean, more of them come closer"),
    )  # fmt: skip


def sampled_path(starts: Tensor | None, n_samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """A random baseline, (sample, token, width), and a random point on its path, (sample, 1, 1), for each sample."""
    assert starts is not None
    draws = np.random.RandomState(seed)
    which = draws.choice(len(starts), n_samples).tolist()
    at = torch.tensor(draws.uniform(0.0, 1.0, n_samples)).to(starts)
    return starts[which], at[:, None, None]
