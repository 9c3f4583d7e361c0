"""Ablation of the neurons of a layer, one at a time, by Captum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from captum.attr import LayerFeatureAblation
from torch import Tensor

from neurowidget.analysis.attribution.asked import ask
from neurowidget.analysis.attribution.at_sites import AtSites, answer_neurons
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.statistics.halving import halving
from neurowidget.analysis.statistics.site_gradients import layers_of_site
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def layer_feature_ablation(
    model: NeuronModel,
    text: Text,
    *,
    site: str = "mlp",
    target: Any = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    layers: Sequence[int] | None = None,
    target_text: Text | None = None,
    layer_baseline: Literal["zero"] = "zero",
    perturbations_per_eval: int | None = None,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per neuron, (layer, neuron): F - F with that neuron at 0 at every token; one run per neuron.

    `ablation_effects` does the same, and with mean or resampled values, faster and for many texts; this is Captum's
    method for comparison. Raises ValueError for NaN and a site or layer that the model has not.
    """
    if layer_baseline != "zero":
        raise ValueError(f"layer_baseline must be 'zero', got {layer_baseline!r}: ablation_effects knows others")
    sites = layers_of_site(model, site, layers)
    asked = ask(model, text, target, position, of, target_text, should_stop)
    at = AtSites(asked, sites)
    mask = torch.arange(model.width(site))[None, None]

    def work(size: int) -> Tensor:
        with torch.no_grad():
            found = [
                LayerFeatureAblation(at, at.seams[layer]).attribute(
                    asked.text, layer_mask=mask.expand(1, asked.text.shape[1], -1), perturbations_per_eval=size
                )
                for layer in sites
            ]
        return torch.stack([value[0, 0].cpu().double() for value in found])

    scores = halving(work, perturbations_per_eval or asked.rows())
    return answer_neurons(asked, "layer_feature_ablation", scores, sites)
