"""The same architecture without what it learnt: the control for whatever is said about a trained model."""

from __future__ import annotations

import copy

import torch
from torch import nn

from neurowidget.models.loading import NeuronModel

_SPREAD = 0.02  # of matrices whose module does not say how it is initialised: that of BERT and GPT-2


def untrained(model: NeuronModel, seed: int = 0) -> NeuronModel:
    """A model of the same architecture, tokenizer and device with all weights drawn again; the given one is untouched.

    A Hugging Face module is built from its config, which initialises it as before training; in any other, each part that
    knows how (`reset_parameters`) initialises itself, and other matrices are drawn from a normal distribution of
    standard deviation 0.02. Raises RuntimeError when a matrix is the trained one after all, or all its numbers are equal.
    """
    old = model.module
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad():
        torch.manual_seed(seed)
        fresh = _from_config(old)
        new = _initialised(old) if fresh is None else fresh
    new = new.to(device=model.device, dtype=next(old.parameters()).dtype).train(old.training)
    learnt = {name for name, weight in new.named_parameters() if fresh is None or weight.requires_grad}
    _require_new(old, new, learnt)  # a fresh module does not learn its computed tables, such as sinusoidal positions
    return NeuronModel(new, model.tokenizer, name=f"{model.name}, untrained, seed {seed}", sites=model.given_sites)


def _from_config(module: nn.Module) -> nn.Module | None:
    from transformers import PreTrainedModel

    if not isinstance(module, PreTrainedModel):
        return None
    return type(module)(copy.deepcopy(module.config))


def _initialised(module: nn.Module) -> nn.Module:
    made = copy.deepcopy(module)
    for part in made.modules():
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
            continue
        for weight in part.parameters(recurse=False):
            if weight.ndim > 1:
                weight.normal_(std=_SPREAD)
    return made


def _require_new(old: nn.Module, new: nn.Module, learnt: set[str]) -> None:
    before = dict(old.named_parameters())
    for name, weight in new.named_parameters():
        if weight.ndim < 2 or weight.numel() < 2 or name not in learnt:
            continue
        trained = before.get(name)
        if trained is not None and trained.shape == weight.shape and torch.equal(trained, weight):
            raise RuntimeError(f"{name} still has the trained weights: {type(new).__name__} does not initialise it")
        if bool((weight == weight.reshape(-1)[0]).all()):
            raise RuntimeError(
                f"all of {name} is {weight.detach().reshape(-1)[0].item():g}: {type(new).__name__} left it unset"
            )
