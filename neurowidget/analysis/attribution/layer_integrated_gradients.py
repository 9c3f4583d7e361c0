"""Integrated gradients of the neurons of a layer: the path runs in their values (Sundararajan et al. 2017), by Captum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from captum.attr import LayerIntegratedGradients
from torch import Tensor

from neurowidget.analysis.attribution.asked import Remark, ask, few_steps
from neurowidget.analysis.attribution.at_sites import AtSites, answer_neurons, summed
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


def layer_integrated_gradients(
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
    """One score per neuron, (layer, neuron): (y - y') . integral of dF/dy from y', its values at the baseline, to y.

    The rest of the model sees the text, so the scores of a layer sum to F(x) - F(x with that layer as at the baseline),
    whether or not it is a cut, up to `completeness_error`. Each layer is a run of its own. Raises ValueError for NaN, an
    unusable baseline and a site or layer that the model has not.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps must be 1 or more, got {n_steps}")
    sites = layers_of_site(model, site, layers)
    asked = one_baseline(ask(model, text, target, position, of, target_text, should_stop), baseline)
    at, start = AtSites(asked, sites), asked.starts
    assert start is not None

    def integral(steps: int) -> Tensor:
        def work(size: int) -> Tensor:
            rows = []
            for layer in sites:
                captum = LayerIntegratedGradients(at, at.seams[layer])
                found = captum.attribute(asked.text, start, n_steps=steps, internal_batch_size=size)
                rows.append(summed(found))
            return torch.stack(rows)

        return halving(work, asked.rows(internal_batch_size))

    below = at.values(start)
    with torch.no_grad():
        expected = [asked.value - float(at.with_value(layer, below[layer], asked.text)) for layer in sites]
    wanted = torch.tensor(expected, dtype=torch.float64)

    def remarks(error: float) -> list[Remark]:
        def error_with(steps: int) -> float:
            return float(((integral(steps).sum(dim=1) - wanted).abs() / wanted.abs().clamp_min(1e-12)).max())

        return few_steps(error, n_steps, error_with)

    return answer_neurons(
        asked, "layer_integrated_gradients", integral(n_steps), sites, expected=expected, remarks=remarks,
        n_steps=n_steps,
    )  # fmt: skip
