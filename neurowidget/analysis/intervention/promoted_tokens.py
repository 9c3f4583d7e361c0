"""The tokens that a neuron's output weight promotes (Geva et al. 2022): its weight, read by the model's own head.

The head is run on +w and -w, and half the difference taken: the bias of the final norm and of the head drop out, and what
is left is the head's linear map of the normed weight, the direction in which the logits move when the scale of the final
norm is frozen. Where the head has a layer with a non-linearity (BERT's), the same difference is an approximation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from neurowidget.analysis.intervention.head_reading import last_residual, read_by_head
from neurowidget.models import hooks
from neurowidget.models.edits import columns_by_site
from neurowidget.models.readout import token_text
from neurowidget.neuron import Neuron, as_neuron
from neurowidget.results.steering import SteeringVector
from neurowidget.results.vocabulary import PromotedTokens

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

LINEAR = 1e-3  # of the size of the scores: how far they may change when the weight is doubled


def promoted_tokens(model: NeuronModel, direction: Neuron | str | SteeringVector | Any, k: int = 20) -> PromotedTokens:
    """The k tokens whose logits a neuron raises most when it fires, and the k that it lowers most.

    `direction` is a neuron (of the mlp or attention by its output weight, of the residual stream by itself), a
    SteeringVector, or an array (width,) of the residual stream. Only what the head reads directly counts, not what later
    layers make of it. Raises ValueError for a model without a language-model head.
    """
    last = last_residual(model)
    name, weight = _weight(model, direction)
    width = model.width("residual", last.stack)
    if weight.shape != (width,):
        raise ValueError(f"expected a direction of the residual stream ({width},), got {tuple(weight.shape)}")
    norm = float(weight.norm())
    if not norm > 0:
        raise ValueError(f"{name} writes nothing: its output weight is 0")
    unit = weight * (width**0.5 / norm)  # of the size of normed states, so that a norm's epsilon does not matter
    states = torch.stack([unit, -unit, 2 * unit, -2 * unit])[:, None]
    batch = model.encode([[0]]).take([0] * 4)
    columns = batch.decoder_input_ids if last.stack == "decoder" else batch.input_ids
    assert columns is not None
    with hooks.suspended(model):
        logits = read_by_head(model, batch, states.expand(-1, columns.shape[1], -1))[:, -1].double().cpu()
    scores, doubled = (logits[0] - logits[1]) / 2, (logits[2] - logits[3]) / 2
    size = float(scores.abs().max())
    normed = bool((doubled - scores).abs().max() <= LINEAR * size)
    linear = bool((doubled - 2 * scores).abs().max() <= LINEAR * size)
    order = scores.argsort(descending=True, stable=True)
    ids = torch.cat([order[:k], order.flip(0)[:k]])
    return PromotedTokens(
        name=name,
        tokens=tuple(token_text(model, number) for number in ids.tolist()),
        ids=ids.numpy(),
        scores=scores[ids].numpy(),
        frozen_norm="the final norm's weight, its scale that of the direction" if normed else "none",
        approximate=not (normed or linear),
        weight_norm=norm,
        provenance=model.provenance("promoted_tokens", site=str(last), direction=name),
    )


def _weight(model: NeuronModel, direction: Any) -> tuple[str, Tensor]:
    """What to call a direction, and the direction itself, float32 (width,)."""
    if isinstance(direction, SteeringVector):
        if direction.site != "residual":
            raise ValueError(f"a direction of the residual stream is expected, the vector is one of {direction.site}")
        return f"{direction.method} at layer {direction.layer}", torch.from_numpy(direction.vector.copy())
    if not isinstance(direction, Neuron | str):
        vector = torch.as_tensor(direction).detach().float().cpu()
        return "a given direction", vector
    neuron = as_neuron(direction)
    columns_by_site(model, [neuron])
    if neuron.site in ("residual", "embed"):
        width = model.width("residual", neuron.stack)
        return str(neuron), torch.nn.functional.one_hot(torch.tensor(neuron.index), width).float()
    weight, _ = model.output_projection(neuron.address)
    return str(neuron), weight[neuron.index].float().cpu()
