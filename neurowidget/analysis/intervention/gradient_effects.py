"""Attribution patching (Nanda 2023; Syed et al. 2023): first-order effects of all neurons at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from neurowidget.analysis.intervention.replacements import Replacement
from neurowidget.analysis.statistics.site_gradients import site_gradients
from neurowidget.models.targets import Target
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel


def gradient_effects(
    model: NeuronModel,
    batch: Batch,
    target: Target,
    sites: Sequence[LayerSite],
    instead: Replacement,
    chosen: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """F(clean) (text,), estimated effects (text, layer, neuron) and how far the neurons are moved, all float64.

    The estimate is sum_t (a_t - ref_t) dF/da_t at the clean run over the tokens that are `chosen`, bool
    (text, token): exact where F is linear in the neuron. The distance is the largest |a_t - ref_t|.
    """
    value, found = site_gradients(model, batch, target, sites)
    estimates, moved = [], []
    for site, (activation, gradient) in found.items():
        draws = torch.stack([instead.at(site, batch, draw).double() for draw in range(instead.draws)])
        away = torch.where(chosen[..., None], activation.cpu().double() - draws.mean(dim=0), 0.0)
        estimates.append((away * gradient.cpu().double()).sum(dim=1))
        moved.append(away.abs().amax(dim=1))
    return value.cpu().double(), torch.stack(estimates, dim=1), torch.stack(moved, dim=1)
