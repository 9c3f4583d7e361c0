"""Activations of sites and the gradient of a target with respect to them, in one forward and one backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from neurowidget.models import hooks
from neurowidget.models.context import Context
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel
    from neurowidget.models.targets import Target


def layers_of_site(model: NeuronModel, site: str, layers: Sequence[int] | None = None) -> tuple[LayerSite, ...]:
    """The given layers (None: all) of a site, "mlp" or "decoder.mlp"; raises ValueError for one that is not there."""
    stack, _, name = site.rpartition(".")
    everywhere = range(1 if name == "embed" else model.layers(stack or None))
    numbers = everywhere if layers is None else layers
    sites = tuple(LayerSite(int(layer), name, stack or None) for layer in dict.fromkeys(numbers))
    if not sites:
        raise ValueError("layers is empty: give layer numbers, or None for all layers")
    for address in sites:
        model.locate(address)
    model.width(site)  # the same in every layer
    return sites


def site_gradients(
    model: NeuronModel, batch: Batch, target: Target, sites: Sequence[LayerSite]
) -> tuple[Tensor, dict[LayerSite, tuple[Tensor, Tensor]]]:
    """F of each text, (text,), and for each site its values and dF/dvalue, both (text, token, width), detached.

    A site that the target does not depend on has gradient 0. Parameters get no gradient; frozen ones do not matter.
    """
    passed: dict[LayerSite, Tensor] = {}
    recorded: dict[LayerSite, Tensor] = {}

    def pass_on(site: LayerSite) -> hooks.Edit:
        def edit(value: Tensor, context: Context) -> Tensor:
            # An alias in the graph: the value itself may be seen through a view that the model does not use (OPT).
            passed[site] = value.view_as(value)
            if not value.requires_grad:  # no parameter below asks for a gradient
                passed[site].requires_grad_()
            return passed[site]

        return edit

    with hooks.editing(model, {site: pass_on(site) for site in sites}), _recording(model, target, recorded):
        output = model.forward(batch, grad=True)
    with torch.enable_grad():
        values = target(output, batch, recorded)
        total = values.sum()
    chosen = [passed[site] for site in sites]
    gradients: Sequence[Tensor | None] = [None] * len(chosen)
    if total.requires_grad:
        gradients = torch.autograd.grad(total, chosen, allow_unused=True)
    found = {
        site: (value.detach(), torch.zeros_like(value) if gradient is None else gradient)
        for site, value, gradient in zip(sites, chosen, gradients, strict=True)
    }
    return values.detach(), found


def _recording(model: NeuronModel, target: Target, recorded: dict[LayerSite, Tensor]) -> AbstractContextManager[object]:
    return hooks.recording(model, target.sites, recorded.__setitem__) if target.sites else nullcontext()
