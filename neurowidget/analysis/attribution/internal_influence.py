"""Internal influence of the neurons of a site: the mean of dF/dy along the input path (Leino et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from captum.attr._utils.approximation_methods import approximation_parameters
from torch import Tensor

from neurowidget.analysis.attribution.asked import ask
from neurowidget.analysis.attribution.at_sites import AtSites, answer_neurons, path_points, summed
from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.conductance import one_baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.statistics.halving import halving
from neurowidget.analysis.statistics.site_gradients import layers_of_site
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def internal_influence(
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
    """One score per neuron, (layer, neuron): the sum over tokens of the integral of dF/dy over the path of embeddings.

    How much F would move with the neuron on the way from the baseline to the text, not how much the neuron moved: no
    sum is claimed. As Captum's InternalInfluence; here one pass serves all `layers`. Raises ValueError for NaN, an
    unusable baseline and a site or layer that the model has not.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps must be 1 or more, got {n_steps}")
    sites = layers_of_site(model, site, layers)
    asked = one_baseline(ask(model, text, target, position, of, target_text, should_stop), baseline)
    step_sizes, alphas = approximation_parameters("gausslegendre")
    ends = torch.tensor(alphas(n_steps), dtype=torch.float64)
    weights = torch.tensor(step_sizes(n_steps), dtype=torch.float64)[:, None, None]
    at = AtSites(asked, sites)

    def work(size: int) -> Tensor:
        total = torch.zeros(len(sites), model.width(site), dtype=torch.float64)
        for part, weight in zip(ends.split(size), weights.split(size), strict=True):
            found = at.values_and_gradients(path_points(asked, part.tolist()))
            total += torch.stack([summed(gradient.cpu().double() * weight) for _, gradient in found.values()])
        return total

    scores = halving(work, asked.rows(internal_batch_size))
    return answer_neurons(asked, "internal_influence", scores, sites, n_steps=n_steps)
