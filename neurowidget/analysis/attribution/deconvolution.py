"""Deconvolution (Zeiler and Fergus 2014), by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captum.attr import Deconvolution

from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.guided_backprop import modified_relu
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def deconvolution(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    group: Groups | None = None,
) -> Attribution:
    """One score per token, never negative: the length of the gradient when ReLUs pass on positive gradients alone.

    Where no module is an `nn.ReLU`, as in most Transformers, that is `saliency`, and a badge says "collapsed". Raises
    ValueError for NaN and a model without word embeddings.
    """
    return modified_relu(Deconvolution, "deconvolution", model, text, target, position, of, target_text, group)
