"""Guided backpropagation (Springenberg et al. 2015), by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captum.attr import Deconvolution, GuidedBackprop
from torch import Tensor

from neurowidget.analysis.attribution.asked import answer, ask
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.hooked_module import HookedModule, collapsed, ruled
from neurowidget.analysis.attribution.saliency import token_norm
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def guided_backprop(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    group: Groups | None = None,
) -> Attribution:
    """One score per token, never negative: the length of the gradient that only positive signals of ReLUs pass on.

    Where no module is an `nn.ReLU`, as in most Transformers, that is `saliency`, and a badge says "collapsed". Raises
    ValueError for NaN and a model without word embeddings.
    """
    return modified_relu(GuidedBackprop, "guided_backprop", model, text, target, position, of, target_text, group)


def modified_relu(
    kind: type[GuidedBackprop] | type[Deconvolution],
    method: str,
    model: NeuronModel,
    text: Text,
    target: Any,
    position: int | None,
    of: Neuron | str | None,
    target_text: Text | None,
    group: Groups | None,
) -> Attribution:
    """The result of one of Captum's methods that change the backward pass of ReLU modules."""
    asked = ask(model, text, target, position, of, target_text)
    with ruled(model):
        found: Tensor = kind(HookedModule(model, asked.explained.of)).attribute(
            asked.text.detach().clone().requires_grad_()
        )
    gradient = found[0].detach().cpu().double()
    remarks = collapsed(
        asked, method, gradient, lambda: asked.gradients(asked.text)[0], "the plain gradient (saliency)"
    )
    return answer(asked, method, token_norm(gradient), remarks=remarks, group=group)
