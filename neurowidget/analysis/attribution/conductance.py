"""Conductance of the neurons of a site: what passes through each on the path (Dhamdhere et al. 2018, equation 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from captum.attr._utils.approximation_methods import approximation_parameters
from torch import Tensor

from neurowidget.analysis.attribution.asked import Asked, Remark, ask, few_steps, from_baseline
from neurowidget.analysis.attribution.at_sites import AtSites, answer_neurons, is_cut, no_cut, path_points, summed
from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.statistics.halving import halving
from neurowidget.analysis.statistics.site_gradients import layers_of_site
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import LayerSite, Neuron
from neurowidget.results.attribution import Attribution

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def conductance(
    model: NeuronModel,
    text: Text,
    *,
    site: str = "mlp",
    target: Any = None,
    baseline: Baseline = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    layers: Sequence[int] | None = None,
    target_text: Text | None = None,
    n_steps: int = 50,
    internal_batch_size: int | None = None,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per neuron, (layer, neuron): the sum over tokens of the integral of dF/dy dy/dalpha along the input path.

    The path runs over the word embeddings from the baseline to the text, and dy is the difference between neighbouring
    points, as in Captum's LayerConductance; here one pass serves all `layers`. Where a site is a cut (residual, embed)
    the scores of each layer sum to F(x) - F(x') up to `completeness_error`; elsewhere a badge says "no_cut". Raises
    ValueError for NaN, an unusable baseline and a site or layer that the model has not.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps must be 1 or more, got {n_steps}")
    sites = layers_of_site(model, site, layers)
    asked = one_baseline(ask(model, text, target, position, of, target_text, should_stop), baseline)
    rows = asked.rows(internal_batch_size)
    scores = _through(asked, sites, n_steps, rows)
    difference = asked.value - asked.baseline_value
    if not is_cut(asked, sites, of):
        remarks = [no_cut(sites, largest_share(scores, difference))]
        return answer_neurons(asked, "conductance", scores, sites, remarks=remarks, n_steps=n_steps)

    def error_with(steps: int) -> float:
        sums = _through(asked, sites, steps, rows).sum(dim=1)
        return float((sums - difference).abs().max()) / max(abs(difference), 1e-12)

    def remarks_for(error: float) -> list[Remark]:
        return few_steps(error, n_steps, error_with)

    return answer_neurons(
        asked, "conductance", scores, sites, expected=[difference] * len(sites), remarks=remarks_for, n_steps=n_steps
    )


def one_baseline(asked: Asked, baseline: Baseline, seed: int = 0) -> Asked:
    """The question with its one baseline; raises ValueError for a set."""
    asked = from_baseline(asked, baseline, seed)
    assert asked.starts is not None
    if len(asked.starts) != 1:
        raise ValueError(f"this method takes one baseline, got a set of {len(asked.starts)}: {asked.baseline}")
    return asked


def largest_share(scores: Tensor, difference: float) -> float:
    """The sum of the layer that comes nearest to F(x) - F(x'), as a share of it."""
    shares = scores.sum(dim=1) / (difference or float("nan"))
    return float(shares[(shares - 1).abs().argmin()])


def _through(asked: Asked, sites: Sequence[LayerSite], n_steps: int, rows: int) -> Tensor:
    """The scores, float64 (layer, neuron): each forward has so many steps and the first point of the next ones."""
    _, alphas = approximation_parameters("gausslegendre")
    ends = alphas(n_steps + 1)
    at = AtSites(asked, sites)

    def work(size: int) -> Tensor:
        total: list[Tensor] = []
        for first in range(0, n_steps, max(1, size - 1)):
            found = at.values_and_gradients(path_points(asked, ends[first : first + max(1, size - 1) + 1]))
            part = [summed(gradient[:-1] * (value[1:] - value[:-1])) for value, gradient in found.values()]
            total = part if not total else [old + new for old, new in zip(total, part, strict=True)]
        return torch.stack(total)

    return halving(work, rows)
