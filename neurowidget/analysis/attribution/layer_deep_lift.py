"""DeepLIFT of the neurons of a layer (Shrikumar et al. 2017), by Captum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from captum.attr import LayerDeepLift
from torch import Tensor

from neurowidget.analysis.attribution.asked import Asked, ask, from_baseline
from neurowidget.analysis.attribution.at_sites import AtSites, answer_neurons, summed
from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.hooked_module import HookedModule, collapsed, ruled
from neurowidget.analysis.statistics.site_gradients import layers_of_site
from neurowidget.neuron import LayerSite, Neuron
from neurowidget.results.attribution import Attribution

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def layer_deep_lift(
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
    seed: int = 0,
) -> Attribution:
    """One score per neuron, (layer, neuron): (y - y') . multipliers of the layer, summed over tokens.

    y and y' are its values at the text and at the baseline; for a set of baselines the mean (`layer_deep_lift_shap`). A
    badge says "collapsed" where no rule applies above the layer: then it is the gradient x (y - y'). Raises ValueError
    for NaN, an unusable baseline and a site or layer that the model has not.
    """
    asked = from_baseline(ask(model, text, target, position, of, target_text), baseline, seed)
    return lifted_layers(asked, "layer_deep_lift", layers_of_site(model, site, layers))


def lifted_layers(asked: Asked, method: str, sites: Sequence[LayerSite], seed: int | None = None) -> Attribution:
    """The result of DeepLIFT on each layer, the mean over the set of baselines."""
    at, starts = AtSites(asked, sites), asked.starts
    assert starts is not None
    module = HookedModule(asked.model, at)
    rows = []
    for layer in sites:
        parts = []
        for start in starts:
            with ruled(asked.model):
                captum = LayerDeepLift(module, at.seams[layer])
                parts.append(summed(captum.attribute(asked.text.detach().clone(), start[None].clone())))
        rows.append(torch.stack(parts).mean(dim=0))
    scores = torch.stack(rows)

    def plain() -> Tensor:
        found, below = at.values_and_gradients(asked.text), at.values(starts)
        return torch.stack(
            [summed((found[layer][0] - below[layer]) * found[layer][1]) / len(starts) for layer in sites]
        )

    what = "the gradient x the difference from the baseline"
    remarks = collapsed(asked, method, scores, plain, what, where=tuple(sites))
    return answer_neurons(asked, method, scores, sites, remarks=remarks, seed=seed)
