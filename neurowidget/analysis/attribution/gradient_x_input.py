"""Gradient x input of tokens (Shrikumar et al. 2016), by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from captum.attr import LayerGradientXActivation
from torch import Tensor

from neurowidget.analysis.attribution.asked import answer, ask
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def gradient_x_input(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    group: Groups | None = None,
) -> Attribution:
    """One score per token: x . dF/dx at the text, over the word embedding (Captum's InputXGradient).

    First-order and without a baseline, so it claims no sum: `completeness_error` is None, and special tokens have
    scores too. Raises ValueError for NaN and a model without word embeddings.
    """
    asked = ask(model, text, target, position, of, target_text)
    captum = LayerGradientXActivation(asked.explained, asked.explained.seam)
    found: Tensor = captum.attribute(torch.ones(1))
    return answer(asked, "gradient_x_input", found[0].cpu().double().sum(dim=-1), group=group)
