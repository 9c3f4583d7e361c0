"""What the head of a language model makes of any residual state: the rest of the model, run on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from neurowidget.models import hooks
from neurowidget.models.context import Context
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel


def last_residual(model: NeuronModel) -> LayerSite:
    """What a language model's final norm and head read; raises ValueError for a model without such a head."""
    if not model.kind.endswith("_lm"):
        raise ValueError(
            f"{model.name} ({model.kind}) has no language-model head, so inner states are not tokens: "
            "path_effects(...) gives the direct effect of a neuron on its classes"
        )
    stack = "decoder" if model.kind == "seq2seq_lm" else None
    return LayerSite(model.layers(stack) - 1, "residual", stack)


def read_by_head(model: NeuronModel, batch: Batch, states: Tensor) -> Tensor:
    """Logits (row, token, vocabulary) of residual states (row, token, width), put after the last layer of `batch`.

    The states are read as they are: whatever intervention is open on the last residual acts before.
    """

    def put(value: Tensor, context: Context) -> Tensor:
        return states.to(value)

    with hooks.editing(model, {last_residual(model): put}):
        logits: Tensor = model.forward(batch)["logits"]
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
