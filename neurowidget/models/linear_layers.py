"""What counts as a linear layer, and its weight in one orientation: value @ weight + bias == output."""

from __future__ import annotations

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D


def is_linear(module: nn.Module) -> bool:
    """Whether `module` is an affine map of its last axis: nn.Linear, Conv1D, quantised and adapted linear layers.

    Recognised by what it declares, not by class: `in_features` and `out_features` with weights of its own (a quantised
    layer may call them `qweight`), or a 2-D weight with `nf` columns.
    """
    if isinstance(module, nn.Linear | Conv1D):
        return True
    weight = getattr(module, "weight", None)
    sizes = (getattr(module, "in_features", None), getattr(module, "out_features", None))
    if all(isinstance(size, int) for size in sizes):
        return weight is not None or hasattr(module, "qweight")
    return isinstance(weight, torch.Tensor) and weight.ndim == 2 and weight.shape[1] == getattr(module, "nf", None)


def oriented_weight(module: nn.Module, width: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight (neuron, residual) and bias (residual,) or None of a linear layer with `width` inputs.

    nn.Linear and Conv1D give their own parameters, detached and not copied. Anything else (quantised, adapted) is
    asked by running it on the identity, which is exact for an affine map.
    """
    weight = getattr(module, "weight", None)
    bias = getattr(module, "bias", None)
    if isinstance(weight, torch.Tensor) and weight.is_floating_point() and not list(module.children()):
        offset = bias.detach() if isinstance(bias, torch.Tensor) else None
        if isinstance(module, nn.Linear) and weight.shape == (module.out_features, width):
            return weight.detach().T, offset
        if isinstance(module, Conv1D):
            return weight.detach(), offset
    return _weight_by_running(module, width)


def _weight_by_running(module: nn.Module, width: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    floating = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(0))
    identity = torch.eye(width, device=floating.device, dtype=floating.dtype)
    with torch.no_grad():  # `forward`, not a call: hooks on this layer are about tokens
        offset = module.forward(torch.zeros_like(identity[:1]))[0]
        weight = module.forward(identity) - offset
    return weight, offset if bool(offset.any()) else None
