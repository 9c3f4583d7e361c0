"""Call a module as it is: with the arguments that it takes, in eval mode, and put back exactly as it was."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Every submodule in eval mode inside the block, each with its own flag again after it.

    The flags are set one by one: `module.eval()` may be overridden (merged adapters) and `module.train()` afterwards
    would also put frozen parts, such as a normalisation in eval mode, into training mode.
    """
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


def accepted_arguments(module: nn.Module) -> frozenset[str]:
    """The names of the arguments that `module.forward` takes, through wrappers that pass `**kwargs` on."""
    names: set[str] = set()
    current: Any = module
    for _ in range(4):
        parameters = inspect.signature(current.forward).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        passes_on = any(p.kind is p.VAR_KEYWORD for p in parameters)
        inner = getattr(current, "_orig_mod", None)  # torch.compile
        if inner is None and hasattr(current, "peft_config") and hasattr(current, "get_base_model"):
            inner = current.get_base_model()
        if not isinstance(inner, nn.Module) or not passes_on:
            break
        current = inner
    if isinstance(current, PreTrainedModel) and passes_on:
        names.add("return_dict")
    return frozenset(names)


def call(module: nn.Module, arguments: Mapping[str, Any]) -> ModelOutput:
    """Run `module` on those of the `arguments` that it takes, without a KV cache; its answer as a ModelOutput.

    What a plain module returns, a tensor or a tuple with one first, is called `logits`.
    """
    accepted = accepted_arguments(module)
    fixed = {"use_cache": False, "return_dict": True}
    chosen = {name: value for name, value in {**arguments, **fixed}.items() if name in accepted and value is not None}
    return as_model_output(module(**chosen))


def as_model_output(output: Any) -> ModelOutput:
    """`output` as a ModelOutput; raises TypeError when it holds no tensor."""
    if isinstance(output, ModelOutput):
        return output
    if isinstance(output, Mapping):
        return ModelOutput(**output)
    first = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(first, torch.Tensor):
        raise TypeError(f"the module returned {type(output).__name__}; expected a tensor, a tuple or a ModelOutput")
    return ModelOutput(logits=first)
