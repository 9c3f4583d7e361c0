"""Gradient x activation of the neurons of a site: the first-order effect of setting each of them to 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from neurowidget.analysis.attribution.explained_text import Text, encoded, explained_target, numbers, saturation
from neurowidget.analysis.statistics.site_gradients import layers_of_site, site_gradients
from neurowidget.models.display import tokens_of
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def gradient_x_activation(
    model: NeuronModel,
    text: Text,
    *,
    site: str = "mlp",
    target: Any = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    layers: Sequence[int] | None = None,
    target_text: Text | None = None,
) -> Attribution:
    """One score per neuron, (layer, neuron): the sum over the tokens of a dF/da, for all `layers` of a site at once.

    `site` is "mlp", "attention", "residual", or with its stack "decoder.mlp". One forward and one backward pass; the
    neuron form of gradient x input, and of attribution patching with 0 as reference. Raises ValueError for NaN and
    for a site or layer that the model has not.
    """
    sites = layers_of_site(model, site, layers)
    batch = encoded(model, text, target_text)
    chosen = explained_target(model, batch, target, position, of)
    values, found = site_gradients(model, batch, chosen, sites)
    scores = torch.stack(
        [(value.cpu().double() * gradient.cpu().double()).sum(dim=(0, 1)) for value, gradient in found.values()]
    )
    value = float(values[0])
    array = numbers(scores, "gradient_x_activation", chosen, value)
    remarks = saturation(chosen, value)
    if not array.any():
        remarks.append(("all_zero", f"All scores are 0: at this text the {chosen.name} does not depend on {site}."))
    return Attribution(
        scores=array,
        tokens=tokens_of(model, batch),
        target=chosen.name,
        value=value,
        layers=tuple(address.layer for address in sites),
        warnings=tuple(sentence for _, sentence in remarks),
        badges=tuple(badge for badge, _ in remarks),
        provenance=model.provenance("gradient_x_activation", site=site, target=chosen.name),
    )
