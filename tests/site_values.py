"""Read sites with plain PyTorch hooks, apart from `neurowidget.models.hooks`: only what `locate` says is used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from neurowidget.models.architectures import as_hidden
from neurowidget.models.batching import Batch
from neurowidget.models.loading import NeuronModel
from neurowidget.neuron import LayerSite


def all_sites(model: NeuronModel) -> list[LayerSite]:
    """Every site of every layer of every stack."""
    found = []
    for stack in model.stacks or (None,):
        for site in model.sites_of(stack):
            count = 1 if site == "embed" else model.layers(stack)
            found += [LayerSite(layer, site, stack) for layer in range(count)]
    return found


def calls_of(model: NeuronModel, batch: Batch, modules: Iterable[nn.Module]) -> tuple[dict[nn.Module, list[Any]], Any]:
    """The (args, kwargs, output) of each call of the modules in one forward, and the answer of the model."""
    calls: dict[nn.Module, list[Any]] = {module: [] for module in modules}
    handles = [
        module.register_forward_hook(lambda m, a, k, o: calls[m].append((a, k, o)), with_kwargs=True)
        for module in calls
    ]
    try:
        output = model.forward(batch)
    finally:
        for handle in handles:
            handle.remove()
    return calls, output


def site_values(
    model: NeuronModel, batch: Batch, sites: Iterable[LayerSite] | None = None
) -> tuple[dict[LayerSite, torch.Tensor], Any]:
    """(text, token, width) at each site in one forward, and the answer of the model."""
    places = {site: model.locate(site) for site in (all_sites(model) if sites is None else sites)}
    calls, output = calls_of(model, batch, {place.module for place in places.values()})
    values = {}
    for site, place in places.items():
        args, kwargs, result = calls[place.module][place.call or 0]
        given = args[place.argument] if isinstance(place.argument, int) else kwargs[place.argument]
        value = given if place.side == "input" else result
        values[site] = as_hidden(value, str(site), batch=len(batch))
    return values, output
