"""GradCAM on a layer of tokens: neurons weighted by their mean gradient (Selvaraju et al. 2017), by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from captum.attr import LayerGradCam

from neurowidget.analysis.attribution.asked import answer, ask
from neurowidget.analysis.attribution.at_sites import AtSites
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.statistics.site_gradients import layers_of_site
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def grad_cam(
    model: NeuronModel,
    text: Text,
    *,
    site: str = "residual",
    layer: int | None = None,
    target: Any = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    relu: bool = False,
    group: Groups | None = None,
) -> Attribution:
    """One score per token: the sum over neurons of activation x that neuron's gradient, meaned over the tokens.

    The tokens are places and the neurons channels, as pixels and filters in an image (Captum takes the second axis for
    the channels, which here are tokens: the values are transposed for it). `layer` None is the middle one: at the last,
    a model that reads one token has a gradient at that token alone. `relu` keeps what speaks for the target. The
    encoder's, or the only, stack. Raises ValueError for NaN and a site or layer that the model has not.
    """
    number = model.num_layers // 2 if layer is None else layer
    (address,) = layers_of_site(model, site, [number])
    asked = ask(model, text, target, position, of, target_text)
    if address.stack == "decoder" and model.has_decoder:
        raise ValueError("grad_cam scores the tokens of the text, which are the encoder's: take an encoder site")
    at = AtSites(asked, [address], channels_first=True)
    found = LayerGradCam(at, at.seams[address]).attribute(asked.text.clone().requires_grad_(), relu_attributions=relu)
    scores: torch.Tensor = found[0, 0].detach().cpu().double()
    return answer(asked, "grad_cam", scores, group=group, layer=number, relu=relu)
