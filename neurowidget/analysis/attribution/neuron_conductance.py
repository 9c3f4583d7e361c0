"""Conductance of input tokens through one neuron: token -> neuron -> answer (Shrikumar et al. 2018; Captum)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from captum.attr._utils.approximation_methods import approximation_parameters
from torch import Tensor

from neurowidget.analysis.attribution.asked import Remark, answer, ask
from neurowidget.analysis.attribution.at_sites import path_points
from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.conductance import one_baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.statistics.halving import halving
from neurowidget.models import hooks
from neurowidget.models.context import Context
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron, as_neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def neuron_conductance(
    model: NeuronModel,
    text: Text,
    *,
    of: Neuron | str,
    target: Any = None,
    baseline: Baseline = None,
    position: int | None = None,
    neuron_position: int | None = None,
    target_text: Text | None = None,
    n_steps: int = 50,
    internal_batch_size: int | None = None,
    group: Groups | None = None,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per token: (x - x') . integral of dF/dy dy/dx along the input path, y the neuron `of` and F the target.

    What reaches the answer from each token through that neuron alone, at its token `neuron_position` or summed over all
    tokens: the scores sum to the neuron's `conductance`. Captum's NeuronConductance by Gauss-Legendre quadrature, over
    all tokens in one backward pass. Raises ValueError for NaN, an unusable baseline and a neuron that the model has not.
    """
    neuron = as_neuron(of)
    if n_steps < 1:
        raise ValueError(f"n_steps must be 1 or more, got {n_steps}")
    if not 0 <= neuron.index < model.width(f"{neuron.stack}.{neuron.site}" if neuron.stack else neuron.site):
        raise ValueError(f"of={neuron}: that site has fewer neurons in {model.name}")
    asked = one_baseline(ask(model, text, target, position, None, target_text, should_stop), baseline)
    site = neuron.address
    step_sizes, alphas = approximation_parameters("gausslegendre")
    ends, weights = torch.tensor(alphas(n_steps), dtype=torch.float64), torch.tensor(step_sizes(n_steps)).double()

    def through(points: Tensor) -> Tensor:
        passed: list[Tensor] = []

        def edit(value: Tensor, context: Context) -> Tensor:
            passed.append(value.view_as(value))
            return passed[-1]

        with torch.enable_grad():
            start = points.detach().clone().requires_grad_()
            with hooks.editing(model, {site: edit}):
                total = asked.explained.of(start).sum()
            (value,) = passed
            (slope,) = torch.autograd.grad(total, value, retain_graph=True, materialize_grads=True)
            only = torch.zeros_like(slope)
            places = slice(None) if neuron_position is None else neuron_position
            only[:, places, neuron.index] = slope[:, places, neuron.index]
            found: Tensor = torch.autograd.grad(value, start, only, materialize_grads=True)[0]
        return found

    assert asked.starts is not None
    difference = (asked.text - asked.starts).cpu().double()

    def work(size: int) -> Tensor:
        total = torch.zeros_like(difference)
        for part, weight in zip(ends.split(size), weights.split(size), strict=True):
            found = through(path_points(asked, part.tolist())).cpu().double()
            total += (found * weight[:, None, None]).sum(dim=0, keepdim=True)
        return (difference * total)[0].sum(dim=-1)

    scores = halving(work, asked.rows(internal_batch_size))
    remarks: list[Remark] = []
    if not bool(scores.any()):
        remarks = [
            ("all_zero", f"All scores are 0: nothing reaches the {asked.target.name} from the text through {neuron}.")
        ]
    return answer(
        asked, "neuron_conductance", scores, remarks=remarks, group=group, n_steps=n_steps, through=str(neuron),
        neuron_position=neuron_position,
    )  # fmt: skip
