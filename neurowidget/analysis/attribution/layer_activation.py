"""Layer activation: how active each neuron of a site is, whatever it is good for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from neurowidget.analysis.attribution.explained_text import Text, encoded
from neurowidget.analysis.statistics.site_gradients import layers_of_site
from neurowidget.models import hooks
from neurowidget.models.display import tokens_of
from neurowidget.models.readout import stack_context
from neurowidget.results.attribution import Attribution

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def layer_activation(
    model: NeuronModel,
    text: Text,
    *,
    site: str = "mlp",
    position: int | None = None,
    layers: Sequence[int] | None = None,
    target_text: Text | None = None,
) -> Attribution:
    """One score per neuron, (layer, neuron): its activation at token `position`, or its mean over all tokens.

    The control that attributions of neurons are compared with: no target enters. Raises ValueError for a site, layer or
    token that is not there, and for NaN.
    """
    sites = layers_of_site(model, site, layers)
    batch = encoded(model, text, target_text)
    found = hooks.record_values(model, batch, list(sites))
    chosen = stack_context(batch, sites[0].stack).selected(None if position is None else [position])[0]
    if not bool(chosen.any()):
        raise ValueError(f"position {position} is outside the text, which has {len(chosen)} tokens")
    scores = torch.stack([found[layer][0].cpu().double()[chosen.cpu()].mean(dim=0) for layer in sites])
    if not bool(scores.isfinite().all()):
        raise ValueError(f"layer_activation: {int((~scores.isfinite()).sum())} activations are NaN or infinite")
    name = "mean activation over the tokens" if position is None else f"activation at token {position}"
    return Attribution(
        scores=scores.float().numpy(),
        tokens=tokens_of(model, batch),
        target=name,
        layers=tuple(layer.layer for layer in sites),
        provenance=model.provenance("layer_activation", site=site, target=name),
    )
