"""What counts as a linear layer, and its weight in one orientation: value @ weight + bias == output."""

from __future__ import annotations

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D


def is_linear(module: nn.Module) -> bool:
    """Whether `module` is an affine map of its last axis: nn.Linear, Conv1D, quantised and adapted linear layers.

    Recognised by what it declares, not by class: `in_features` and `out_features`, or a 2-D weight with `nx`/`nf`.
    """
    if isinstance(module, nn.Linear | Conv1D):
        return True
    sizes = (getattr(module, "in_features", None), getattr(module, "out_features", None))
    if all(isinstance(size, int) for size in sizes):
        return not isinstance(module, nn.Bilinear)
    weight = getattr(module, "weight", None)
    return isinstance(weight, torch.Tensor) and weight.ndim == 2 and weight.shape[1] == getattr(module, "nf", None)


def oriented_weight(module: nn.Module, width: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight (neuron, residual) and bias (residual,) or None of a linear layer with `width` inputs.

    Plain layers give their own parameters, detached and not copied. Anything else (quantised, adapted) is asked by
    running it on the identity, which is exact for an affine map.
    """
    weight = getattr(module, "weight", None)
    bias = getattr(module, "bias", None)
    plain = isinstance(weight, torch.Tensor) and weight.is_floating_point() and not any(True for _ in module.children())
    if plain and isinstance(module, nn.Linear) and weight.shape == (module.out_features, width):
        return weight.detach().T, bias.detach() if isinstance(bias, torch.Tensor) else None
    if plain and isinstance(module, Conv1D):
        return weight.detach(), bias.detach() if isinstance(bias, torch.Tensor) else None
    return _weight_by_running(module, width)


def _weight_by_running(module: nn.Module, width: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    floating = [p for p in module.parameters() if p.is_floating_point()]
    device = floating[0].device if floating else torch.device("cpu")
    dtype = floating[0].dtype if floating else torch.float32
    with torch.no_grad():
        offset = module(torch.zeros(1, width, device=device, dtype=dtype))[0]
        weight = module(torch.eye(width, device=device, dtype=dtype)) - offset
    return weight, offset if bool(offset.any()) else None
