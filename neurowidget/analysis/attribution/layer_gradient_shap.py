"""GradientSHAP of the neurons of a site: gradients at random points between baselines and the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from neurowidget.analysis.attribution.asked import ask, from_baseline
from neurowidget.analysis.attribution.at_sites import AtSites, answer_neurons, summed
from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.gradient_shap import sampled_path
from neurowidget.analysis.statistics.halving import halving
from neurowidget.analysis.statistics.site_gradients import layers_of_site
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def layer_gradient_shap(
    model: NeuronModel,
    text: Text,
    *,
    site: str = "mlp",
    target: Any = None,
    baseline: Baseline = "corpus",
    position: int | None = None,
    of: Neuron | str | None = None,
    layers: Sequence[int] | None = None,
    target_text: Text | None = None,
    n_samples: int = 25,
    seed: int = 0,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per neuron, (layer, neuron): the mean of (y - y') . dF/dy at random points between a baseline and x.

    y and y' are the neuron's values at the text and at a random baseline of the set; the points lie on the path of word
    embeddings, as in Captum's LayerGradientShap, whose draws after `numpy.random.seed(seed)` these are (without noise).
    Raises ValueError for NaN, an unusable baseline and a site or layer that the model has not.
    """
    if n_samples < 1:
        raise ValueError(f"n_samples must be 1 or more, got {n_samples}")
    sites = layers_of_site(model, site, layers)
    asked = from_baseline(ask(model, text, target, position, of, target_text, should_stop), baseline, seed)
    starts, along = sampled_path(asked.starts, n_samples, seed)
    at = AtSites(asked, sites)
    own = at.values(asked.text)

    def work(size: int) -> Tensor:
        total = torch.zeros(len(sites), model.width(site), dtype=torch.float64)
        for part, where in zip(starts.split(size), along.split(size), strict=True):
            below = at.values(part)
            found = at.values_and_gradients(part + where * (asked.text - part))
            total += torch.stack([summed((own[layer] - below[layer]) * found[layer][1]) for layer in sites])
        return total / n_samples

    scores = halving(work, asked.rows())
    return answer_neurons(asked, "layer_gradient_shap", scores, sites, seed=seed, n_samples=n_samples)
