"""Forwards in which the first layers are known: their blocks give what they gave before instead of computing it again.

Used where many runs differ in later layers only. A block that is skipped is still called, by whoever calls it, but its
`forward` is another for that time and that thread; it is put back after success, exception and KeyboardInterrupt. The
head can likewise be made to read one token of each text, where nothing else of the logits is asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from neurowidget.models import hooks
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel


@dataclass(frozen=True, eq=False)
class KnownLayers:
    """The residual stream after each layer, (text, token, width), of one batch of a model run clean."""

    blocks: tuple[nn.Module, ...]
    after: tuple[Tensor, ...]
    in_tuple: int  # how many things a block gives, the stream first and None else; 0: the stream by itself

    head: nn.Module | None

    @contextmanager
    def up_to(self, layer: int, rows: Sequence[int], read: Tensor | None = None) -> Iterator[None]:
        """A block in which the layers before `layer` are not computed, for copies of the texts at `rows`.

        With `read`, int64 (row,), the head computes the logits at that column of each row and gives them for all.
        """
        thread = threading.get_ident()
        instead: dict[nn.Module, Any] = {}
        if layer > 0:
            state = self.after[layer - 1]
            state = state.index_select(0, torch.tensor(list(rows), device=state.device))
            known: Any = (state, *[None] * (self.in_tuple - 1)) if self.in_tuple else state
            instead = dict.fromkeys(self.blocks[:layer], lambda original, *args, **kwargs: known)
        if read is not None and self.head is not None:
            instead[self.head] = partial(_read_one, read)

        def only_here(original: Any, other: Any) -> Any:
            def forward(*args: Any, **kwargs: Any) -> Any:
                here = threading.get_ident() == thread
                return other(original, *args, **kwargs) if here else original(*args, **kwargs)

            return forward

        try:
            for module, other in instead.items():
                module.__dict__["forward"] = only_here(module.forward, other)
            yield
        finally:
            for module in instead:
                module.__dict__.pop("forward", None)


def _read_one(read: Tensor, original: Any, states: Tensor) -> Tensor:
    """The head at one column of each row, seen as if it were at all of them."""
    if states.dim() != 3 or len(states) != len(read):
        return original(states)
    chosen = states[torch.arange(len(states), device=states.device), read.to(states.device)]
    logits: Tensor = original(chosen[:, None])
    return logits.expand(-1, states.shape[1], -1)


def known_layers(model: NeuronModel, batch: Batch) -> KnownLayers | None:
    """Run `batch` and keep what each layer gives; None where layers cannot be skipped without a trace.

    That is for two stacks, a module that is several layers, blocks that give more than the stream, hooks of anybody
    else, and while this thread has interventions open: a second pass of these would change what is known.
    """
    if set(model.architecture.stacks) != {None} or hooks.open_blocks(model):
        return None
    sites = [LayerSite(layer, "residual") for layer in range(model.num_layers)]
    places = [model.locate(site) for site in sites]
    blocks = tuple(place.module for place in places)
    if len(set(map(id, blocks))) < len(blocks) or any(
        p.side != "output" or p.call is not None or p.flat for p in places
    ):
        return None
    for part in model.module.modules():
        given = [*part._forward_hooks.values(), *part._forward_pre_hooks.values()]
        if any(map(_does_something, given)) or hasattr(part, "_hf_hook") or "forward" in part.__dict__:
            return None
    forms: list[int | None] = []
    handles = [block.register_forward_hook(lambda _, args, output: forms.append(_form(output))) for block in blocks]
    found: dict[LayerSite, Tensor] = {}
    try:
        with hooks.recording(model, sites, lambda site, value: found.__setitem__(site, value.clone())):
            model.forward(batch)
    finally:
        for handle in handles:
            handle.remove()
    if len(forms) != len(blocks) or None in forms or len(set(forms)) > 1:
        return None
    head = model.architecture.head
    head = head if isinstance(head, nn.Linear) and head not in blocks else None
    return KnownLayers(blocks, tuple(found[site] for site in sites), forms[0] or 0, head)


def _does_something(hook: Callable[..., Any]) -> bool:
    """Whether a hook may see or change a forward; those that Transformers leaves behind after a call with
    output_hidden_states only collect in another such call.
    """
    return getattr(hook, "__module__", None) != "transformers.utils.output_capturing"


def _form(output: Any) -> int | None:
    """0 for a tensor, the length of a tuple that holds one and else nothing, None for anything else."""
    if isinstance(output, Tensor):
        return 0
    if type(output) is tuple and isinstance(output[0], Tensor) and all(item is None for item in output[1:]):
        return len(output)
    return None
