"""Gradient x input of tokens (Shrikumar et al. 2016), by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from captum.attr import LayerGradientXActivation
from torch import Tensor

from neurowidget.analysis.attribution.explained_text import Text, encoded, explained_target, numbers, saturation
from neurowidget.analysis.attribution.word_embeddings import Explained, WordEmbeddings
from neurowidget.models.display import tokens_of
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution

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
) -> Attribution:
    """One score per token: x . dF/dx at the text, over the word embedding.

    First-order and without a baseline, so it claims no sum: `completeness_error` is None, and special tokens have
    scores too. Raises ValueError for NaN and a model without word embeddings.
    """
    batch = encoded(model, text, target_text)
    chosen = explained_target(model, batch, target, position, of)
    explained = Explained(WordEmbeddings(model, batch), chosen)
    value = explained.value()
    found: Tensor = LayerGradientXActivation(explained, explained.seam).attribute(torch.ones(1))
    array = numbers(found[0].cpu().double().sum(dim=-1), "gradient_x_input", chosen, value)
    warnings = saturation(chosen, value)
    if not array.any():
        warnings.append(f"All scores are 0: at this text the {chosen.name} has no gradient.")
    return Attribution(
        scores=array,
        tokens=tokens_of(model, batch),
        target=chosen.name,
        value=value,
        warnings=tuple(warnings),
        provenance=model.provenance("gradient_x_input", site="word embeddings", target=chosen.name),
    )
