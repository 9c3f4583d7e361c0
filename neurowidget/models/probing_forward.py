"""One tiny recorded forward: which modules run, in what order, how often, on what and inside which others.

The modules of a transformer say what exists, not what happens: a shared block runs many times, a fused kernel
bypasses its own linear layer, an optional cross-attention never runs. So `architectures.py` reads this trace instead.
Encoder and decoder get different numbers of tokens, which tells apart the two stacks and, inside a decoder block,
the attention that reads the encoder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.utils.generic import ModelOutput

from neurowidget.models.calling import call, evaluating


@dataclass(eq=False)
class Call:
    """One call of one module. Tensors are kept, not copied: two calls that read the same tensor share it."""

    name: str
    module: nn.Module
    number: int  # how many calls of this module came before it
    parent: Call | None
    inputs: dict[int | str, torch.Tensor]  # the floating-point tensor arguments, by position or keyword
    ids: list[torch.Tensor]  # the integer ones
    order: int
    finished: int = -1
    output: Any = None

    def inside(self, other: Call) -> bool:
        """Whether this call happened within `other` (a call is not inside itself)."""
        parent = self.parent
        while parent is not None:
            if parent is other:
                return True
            parent = parent.parent
        return False


@dataclass
class Trace:
    """The calls of one forward, in the order in which they began."""

    root: nn.Module
    calls: list[Call]
    counts: Counter[nn.Module]
    output: ModelOutput
    input_ids: torch.Tensor
    tokens: dict[str | None, int]  # how many tokens each stack was given: {None: 5} or {"encoder": 5, "decoder": 3}

    def of(self, module: nn.Module) -> list[Call]:
        """The calls of one module, in order."""
        return [c for c in self.calls if c.module is module]

    def within(self, outer: Call) -> list[Call]:
        """The calls that happened inside `outer`, in the order in which they ended."""
        found = [c for c in self.calls if outer.order < c.order and c.finished <= outer.finished]
        return sorted(found, key=lambda c: c.finished)


def same_tensor(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors of one trace are the same memory read the same way, up to a view."""
    return one is other or (one.data_ptr() == other.data_ptr() and one.numel() == other.numel() and one.numel() > 0)


def record(module: nn.Module, arguments: Mapping[str, torch.Tensor]) -> Trace:
    """Run `module` once on `arguments` (each (1, tokens)) and return the trace.

    Eval mode, inference mode, no cache; all hooks and modes are put back, also after an error.
    """
    calls: list[Call] = []
    open_calls: list[Call] = []
    counts: Counter[nn.Module] = Counter()
    clock = 0

    def tick() -> int:
        nonlocal clock
        clock += 1
        return clock

    def begin(name: str) -> Any:
        def hook(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            given: dict[int | str, Any] = {**dict(enumerate(args)), **{str(k): v for k, v in kwargs.items()}}
            tensors = {k: v for k, v in given.items() if isinstance(v, torch.Tensor)}
            inputs = {k: v for k, v in tensors.items() if v.is_floating_point()}
            ids = [v for v in tensors.values() if not v.is_floating_point()]
            parent = open_calls[-1] if open_calls else None
            started = Call(name, part, counts[part], parent, inputs, ids, tick())
            counts[part] += 1
            calls.append(started)
            open_calls.append(started)

        return hook

    def end(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        while open_calls:  # a call that raised inside a model that caught it has no end of its own
            finished = open_calls.pop()
            finished.finished = tick()
            if finished.module is part:
                finished.output = output
                return

    handles = []
    try:
        for name, part in module.named_modules():
            if isinstance(part, torch.jit.ScriptModule):
                continue
            handles.append(part.register_forward_pre_hook(begin(name), with_kwargs=True, prepend=True))
            handles.append(part.register_forward_hook(end, with_kwargs=True))
        with evaluating(module), torch.inference_mode():
            output = call(module, arguments)
    finally:
        for handle in handles:
            handle.remove()
    tokens: dict[str | None, int] = {None: arguments["input_ids"].shape[1]}
    if "decoder_input_ids" in arguments:
        tokens = {"encoder": tokens[None], "decoder": arguments["decoder_input_ids"].shape[1]}
    return Trace(module, calls, counts, output, arguments["input_ids"], tokens)
