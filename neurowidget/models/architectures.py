"""Where the neurons of a transformer are, found by inspection: no list of checkpoints or class names.

One probing forward (`probing_forward.py`) is recorded, and these rules are read off it.

* **Blocks** are the items of the outermost `nn.ModuleList` (or `nn.Sequential`) that ran, map a (1, token, width)
  tensor to one of the same shape and contain linear layers that ran. A list inside these items is taken instead when
  each of its own items holds a whole attention (ALBERT's inner groups), not when they are parts (T5's sublayers).
  A layer is one *call*: ALBERT runs one module N times and has N layers. Lists that follow each other are one stack;
  a seq2seq model has two, told apart by the number of tokens that each was given.
* **residual** is the output of a block, **embed** what enters the first one.
* **attention** is the input of the one linear layer that ran under a submodule with `attn` or `attention` in its
  name and gives the residual width. Layers that read the attention's own input, or an input that another linear layer
  reads too (query, key, value), are no output projections. **cross_attention** is the same under an attention that
  reads, in a decoder, the other states that its block was given: the encoder's.
* **mlp** is the input of the one linear layer that ran outside attention and gives the residual width from an input
  of its own, where at least two linear layers ran outside attention; of just two such layers it is the second. A block
  with a mixture of experts has no single one.

What breaks them: attention without such a name (then `mlp` is refused too, for nothing says which layer is which), a
kernel that uses the weights of a linear layer without running it, more linear layers of the residual width in a row
(bottleneck adapters, RWKV), feed-forward chunking. A site that is not found is never guessed: it raises and says how
to name it with `load_model(..., sites={...})`, which also overrides what these rules find.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import nn

from neurowidget.models.linear_layers import is_linear
from neurowidget.models.probing_forward import Call, Trace, same_tensor

SITES = ("embed", "residual", "attention", "cross_attention", "mlp")
ATTENTION_NAME = re.compile(r"attn|attention", re.IGNORECASE)


class ArchitectureNotFound(ValueError):  # noqa: N818  reads as what happened
    """A part of a model was looked for and not found; the message says how to name it."""


@dataclass(frozen=True)
class Location:
    """What to hook: a module, its input or output, and which call of it in one forward (None: it runs once).

    `argument` is the position or keyword of the input that holds the value. `flat` says that the value is
    (batch * token, width) there, as in OPT's feed-forward layers.
    """

    module: nn.Module
    side: Literal["input", "output"]
    call: int | None = None
    argument: int | str = 0
    flat: bool = False
    name: str = ""


@dataclass(frozen=True)
class Layer:
    """One block call: its sites, their widths, why a site is not there, and when it ended in the probing forward."""

    name: str
    finished: int
    sites: Mapping[str, Location]
    widths: Mapping[str, int]
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stack:
    """The layers of one stack in the order in which they run."""

    layers: tuple[Layer, ...]
    width: int  # of the residual stream

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites that every layer has; `embed` where layer 0 has it."""
        everywhere = [s for s in SITES if s != "embed" and all(s in layer.sites for layer in self.layers)]
        return (*(["embed"] if "embed" in self.layers[0].sites else []), *everywhere)


@dataclass(frozen=True)
class Architecture:
    """The stacks of a model (None, or "encoder" and "decoder"), its input embeddings and its head."""

    stacks: Mapping[str | None, Stack]
    embeddings: nn.Module | None
    head: nn.Module | None


def as_hidden(value: Any, what: str = "a block", batch: int | None = None) -> torch.Tensor:
    """The (batch, token, width) tensor in what a block gives: a tensor, the first of a tuple, or a ModelOutput.

    With `batch`, a flat (batch * token, width) tensor is viewed as (batch, token, width). Raises ValueError for
    anything else.
    """
    hidden = value
    if isinstance(hidden, Mapping):
        hidden = hidden.get("last_hidden_state", hidden.get("hidden_states", next(iter(hidden.values()), None)))
    if isinstance(hidden, tuple | list) and hidden:
        hidden = hidden[0]
    if isinstance(hidden, torch.Tensor) and hidden.ndim == 2 and batch is not None and hidden.shape[0] % batch == 0:
        hidden = hidden.view(batch, -1, hidden.shape[-1])
    if not isinstance(hidden, torch.Tensor) or hidden.ndim != 3:
        got = tuple(hidden.shape) if isinstance(hidden, torch.Tensor) else type(hidden).__name__
        raise ValueError(f"expected a tensor (batch, token, width) from {what}, got {got}")
    return hidden


def find_architecture(module: nn.Module, trace: Trace, named_sites: Mapping[str, str] | None = None) -> Architecture:
    """The stacks, sites, embeddings and head of `module`, from the trace of one probing forward.

    `named_sites` maps a site, or "decoder.mlp", to a module name with `{layer}` in it and overrides what is found.
    Raises ArchitectureNotFound with what was looked for, what there is and how to name it.
    """
    from neurowidget.models.naming_sites import apply_named_sites

    groups = _block_calls(module, trace)
    stacks: dict[str | None, Stack] = {}
    for name, blocks in groups.items():
        width = _hidden_shape(blocks[0].output)[2]
        layers = [_layer(trace, block, width, trace.tokens[name], name == "decoder") for block in blocks]
        layers[0] = _with_embed(trace, layers[0], blocks[0], width)
        stacks[name] = Stack(tuple(layers), width)
    if named_sites:
        stacks = apply_named_sites(module, trace, stacks, named_sites)
    if not stacks:
        raise ArchitectureNotFound(_no_blocks(module, trace))
    return Architecture(stacks, _embeddings(module, trace), _head(module, trace, stacks))


def location(trace: Trace, call: Call, side: Literal["input", "output"], key: int | str = 0) -> Location:
    """Where the value of one traced call is; the call number only for a module that runs more than once."""
    number = call.number if trace.counts[call.module] > 1 else None
    value = call.inputs[key] if side == "input" else call.output
    flat = isinstance(value, torch.Tensor) and value.ndim == 2
    return Location(call.module, side, number, key, flat, call.name)


def _hidden_shape(value: Any) -> tuple[int, ...]:
    try:
        return tuple(as_hidden(value).shape)
    except ValueError:
        return ()


def _hidden_input(call: Call) -> int | str | None:
    """The argument of a block call that has the shape of its output."""
    shape = _hidden_shape(call.output)
    return next((key for key, value in call.inputs.items() if shape and tuple(value.shape) == shape), None)


def _linear_calls(trace: Trace, outer: Call) -> list[Call]:
    """The outermost linear layers that ran inside a call, in the order in which they ended."""
    found = [c for c in trace.within(outer) if is_linear(c.module) and c.inputs and isinstance(c.output, torch.Tensor)]
    return [c for c in found if not any(c.inside(other) for other in found)]


def _block_calls(module: nn.Module, trace: Trace) -> dict[str | None, list[Call]]:
    """The block calls of each stack, in order."""
    lists: list[list[Call]] = []
    for part in module.modules():
        if not isinstance(part, nn.ModuleList | nn.Sequential):
            continue
        items = set(part)
        calls = [c for c in trace.calls if c.module in items]
        if calls and all(_hidden_input(c) is not None and len(_linear_calls(trace, c)) > 1 for c in calls):
            lists.append(calls)
    outermost = [one for one in lists if not any(one[0].inside(c) for other in lists for c in other)]
    chosen: list[list[Call]] = []
    for outer in outermost:
        inner = [one for one in lists if one is not outer and any(one[0].inside(c) for c in outer)]
        whole = [c for one in inner for c in one if _attention_roots(trace, c)]
        is_whole = bool(inner) and len(whole) == sum(len(one) for one in inner)
        chosen.append(whole if is_whole else outer)
    chosen.sort(key=lambda one: one[0].order)
    alike = len(set(trace.tokens.values())) < len(trace.tokens)
    groups: dict[str | None, list[Call]] = {}
    for name, tokens in trace.tokens.items():
        fitting = [one for one in chosen if _hidden_shape(one[0].output)[1] == tokens]
        if alike:  # both stacks were given as many tokens: the encoder is what runs first
            fitting = fitting[:1] if name == "encoder" else fitting[1:]
        if fitting:
            width = _hidden_shape(max(fitting, key=len)[0].output)[2]
            blocks = {id(c): c for one in fitting for c in one if _hidden_shape(c.output)[2] == width}
            groups[name] = sorted(blocks.values(), key=lambda c: c.order)
    return groups


def _relative(name: str, block: Call) -> str:
    return name.removeprefix(block.name + ".")


def _attention_root(name: str, block: Call) -> str | None:
    """The path, up to the outermost component that is named like attention, of a module inside a block."""
    parts = _relative(name, block).split(".")
    for depth, part in enumerate(parts[:-1]):
        if ATTENTION_NAME.search(part):
            return ".".join([block.name, *parts[: depth + 1]])
    return None


def _attention_roots(trace: Trace, block: Call) -> list[str]:
    """The outermost parts of the block that are named like attention and ran, or that hold something that ran."""
    inside = sorted(trace.within(block), key=lambda c: c.order)
    roots = (_attention_root(c.name + (".it" if next(c.module.children(), None) else ""), block) for c in inside)
    return list(dict.fromkeys(root for root in roots if root))


def _idle(trace: Trace, root: str, attention: bool = True) -> str:
    """Which linear layers under `root` exist but did not run as modules, in words."""
    modules = trace.root.get_submodule(root).named_modules(prefix=root)
    wanted = [(n, m) for n, m in modules if attention or not ATTENTION_NAME.search(n.removeprefix(root))]
    idle = [name for name, part in wanted if is_linear(part) and not trace.counts[part]]
    return f" ({', '.join(idle)} did not run as a module)" if idle else ""


def _maps_to_residual(call: Call, width: int, tokens: int) -> bool:
    value = next(iter(call.inputs.values()))
    rows = value.shape[:-1].numel()
    return call.output.shape[-1] == width and rows == tokens and call.output.shape[:-1].numel() == tokens


def _layer(trace: Trace, block: Call, width: int, tokens: int, has_encoder: bool) -> Layer:
    linear = _linear_calls(trace, block)
    sites = {"residual": location(trace, block, "output")}
    widths = {"residual": width}
    missing: dict[str, str] = {"embed": "only layer 0 has it: it is what enters the first block"}
    by_root: dict[str, list[Call]] = {root: [] for root in _attention_roots(trace, block)}
    for c in linear:
        if root := _attention_root(c.name, block):
            by_root[root].append(c)
    for root, calls in by_root.items():
        site = "cross_attention" if has_encoder and _reads_beside(block, calls) else "attention"
        projections = _attention_projections(trace, block, root, calls, width, tokens)
        if len(projections) > 1:
            missing[site] = _ambiguous(block, projections)
        elif not projections:
            missing[site] = f"no linear layer that gives {width} numbers from the heads ran in {root}" + _idle(
                trace, root
            )
        else:
            key, value = next(iter(projections[0].inputs.items()))
            sites[site], widths[site] = location(trace, projections[0], "input", key), value.shape[-1]
    if "attention" not in sites:
        missing.setdefault("attention", f"no part of {block.name} that is named like attention ran")
    if "cross_attention" not in sites:
        missing.setdefault("cross_attention", "no attention in this block reads another stack")
    projection_or_reason = _mlp_projection(trace, block, linear, bool(by_root), width, tokens)
    if isinstance(projection_or_reason, str):
        missing["mlp"] = projection_or_reason
    else:
        key, value = next(iter(projection_or_reason.inputs.items()))
        sites["mlp"], widths["mlp"] = location(trace, projection_or_reason, "input", key), value.shape[-1]
    return Layer(
        block.name, block.finished, sites, widths, {site: why for site, why in missing.items() if site not in sites}
    )


def _reads_beside(block: Call, calls: list[Call]) -> bool:
    """Whether one of the linear layers reads another tensor that the block was given: the states of the encoder."""
    beside = [value for key, value in block.inputs.items() if key != _hidden_input(block)]
    return any(same_tensor(mine, value) for c in calls for mine in c.inputs.values() for value in beside)


def _shares_input(call: Call, others: list[Call]) -> bool:
    mine = next(iter(call.inputs.values()))
    return any(same_tensor(mine, v) for other in others if other is not call for v in other.inputs.values())


def _ambiguous(block: Call, calls: list[Call]) -> str:
    names = ", ".join(_relative(c.name, block) for c in calls)
    return f"several linear layers in {block.name} may be the output projection: {names}"


def _attention_projections(
    trace: Trace, block: Call, root: str, calls: list[Call], width: int, tokens: int
) -> list[Call]:
    entered = [v for c in trace.within(block) if c.name == root for v in c.inputs.values()]
    return [
        c
        for c in calls
        if _maps_to_residual(c, width, tokens)
        and not _shares_input(c, calls)
        and not any(same_tensor(next(iter(c.inputs.values())), v) for v in entered)
    ]


def _mlp_projection(
    trace: Trace, block: Call, linear: list[Call], has_attention: bool, width: int, tokens: int
) -> Call | str:
    if expert := _experts(block):
        return f"{expert} holds several MLPs, as a mixture of experts does: no one down projection has all neurons of the layer"
    if not has_attention:
        return f"nothing that ran in {block.name} is named like attention, so its linear layers cannot be told apart"
    outside = [c for c in linear if _attention_root(c.name, block) is None]
    fitting = [c for c in outside if _maps_to_residual(c, width, tokens) and not _shares_input(c, outside)]
    if len(outside) < 2 or not fitting:
        ran = ", ".join(_relative(c.name, block) for c in outside) or "none"
        why = f"no linear layer outside attention in {block.name} is a down projection to {width} (these ran: {ran})"
        return why + _idle(trace, block.name, attention=False)
    if len(fitting) > 1 and len(outside) > 2:
        return _ambiguous(block, fitting)
    if sum(c.module is fitting[-1].module for c in linear) > 1:
        return f"{fitting[-1].name} runs several times in one call of {block.name} (chunked feed-forward)"
    return fitting[-1]


def _experts(block: Call) -> str | None:
    """The name of a part of the block that holds several MLPs side by side."""
    for name, part in block.module.named_modules(prefix=block.name):
        if name != block.name and _attention_root(name + ".x", block):
            continue
        convolution = isinstance(part, nn.modules.conv._ConvNd)
        if not convolution and any(p.ndim == 3 and p.shape[0] > 1 for p in part.parameters(recurse=False)):
            return f"{name} ({type(part).__name__})"
        if isinstance(part, nn.ModuleList) and len(part) > 1:
            full = [item for item in part if sum(is_linear(m) for m in item.modules()) > 1]
            same = len({type(item) for item in full}) == 1
            named = [n for n, _ in block.module.named_modules() if ATTENTION_NAME.search(n)]
            inside = any(n.startswith(_relative(name, block) + ".") for n in named)
            if len(full) == len(part) and same and not inside:
                return f"{name} ({len(part)} x {type(part[0]).__name__})"
    return None


def _with_embed(trace: Trace, layer: Layer, block: Call, width: int) -> Layer:
    key = _hidden_input(block)
    if key is None:
        return layer
    place = location(trace, block, "input", key)
    missing = {site: why for site, why in layer.missing.items() if site != "embed"}
    return replace(
        layer, sites={**layer.sites, "embed": place}, widths={**layer.widths, "embed": width}, missing=missing
    )


def _embeddings(module: nn.Module, trace: Trace) -> nn.Module | None:
    """The token embedding: what the module itself says, else the first embedding that ran on the ids of the text."""
    try:
        declared = module.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError, TypeError):
        declared = None
    if isinstance(declared, nn.Module):
        return declared
    embeddings = [c for c in trace.calls if isinstance(c.module, nn.Embedding)]
    return next((c.module for c in embeddings if any(torch.equal(i, trace.input_ids) for i in c.ids)), None)


def _head(module: nn.Module, trace: Trace, stacks: Mapping[str | None, Stack]) -> nn.Module | None:
    """The layer that gives the logits: the last linear layer that ran outside the blocks, after them."""
    end = max(layer.finished for stack in stacks.values() for layer in stack.layers)
    after = [c for c in trace.calls if c.order > end and is_linear(c.module) and isinstance(c.output, torch.Tensor)]
    logits = trace.output.get("logits")
    fitting = [c for c in after if isinstance(logits, torch.Tensor) and c.output.shape[-1] == logits.shape[-1]]
    return fitting[-1].module if fitting else None


def _no_blocks(module: nn.Module, trace: Trace) -> str:
    lists = [n for n, part in module.named_modules() if isinstance(part, nn.ModuleList | nn.Sequential) and len(part)]
    ran = list(dict.fromkeys(c.name for c in trace.calls if c.name))
    return (
        f"no transformer blocks were found in {type(module).__name__}: looked for an nn.ModuleList whose items run, map"
        f" (1, token, width) to the same shape and contain linear layers. Lists here: {', '.join(lists) or 'none'}."
        f" Modules that ran: {', '.join(ran[:40])}{' ...' if len(ran) > 40 else ''}."
        " Name them: load_model(module, tokenizer, sites={'residual': 'blocks.{layer}', 'mlp': 'blocks.{layer}.down',"
        " 'attention': 'blocks.{layer}.attn.out', 'embed': 'blocks.0'})"
    )
