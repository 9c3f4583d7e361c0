"""Sites that the user names: `sites={"residual": "blocks.{layer}", "mlp": "blocks.{layer}.down", ...}`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Literal

from torch import nn

from neurowidget.models.architectures import SITES, ArchitectureNotFound, Layer, Stack, as_hidden, location
from neurowidget.models.probing_forward import Call, Trace


def apply_named_sites(
    module: nn.Module, trace: Trace, found: Mapping[str | None, Stack], named_sites: Mapping[str, str]
) -> dict[str | None, Stack]:
    """`found` with the named sites put in; a stack that was not found is made from the names alone.

    Keys are sites, with a stack for seq2seq models ("decoder.mlp"). Values name modules, with `{layer}` for the
    layer number from 0; a name without it is one shared module whose calls are the layers. `residual` is the output
    of the module, every other site its input. Raises ArchitectureNotFound when a name leads to no module that ran.
    """
    stacks = dict(found)
    by_stack: dict[str | None, dict[str, str]] = {}
    for key, pattern in named_sites.items():
        stack, _, site = key.rpartition(".")
        if site not in SITES:
            raise ValueError(f"sites={{{key!r}: ...}}: expected one of {', '.join(SITES)}, with 'decoder.' before it")
        name = stack or (None if None in trace.tokens else "encoder")
        if name not in trace.tokens:
            raise ValueError(f"sites={{{key!r}: ...}}: this model has no stack {stack!r}")
        by_stack.setdefault(name, {})[site] = pattern
    for name, patterns in by_stack.items():
        calls = {site: _calls(module, trace, site, pattern) for site, pattern in patterns.items()}
        stacks[name] = _merge(trace, stacks.get(name), calls, patterns)
    return {name: stacks[name] for name in trace.tokens if name in stacks}


def _calls(module: nn.Module, trace: Trace, site: str, pattern: str) -> list[Call]:
    modules = dict(module.named_modules(remove_duplicate=False))
    if "{layer}" not in pattern or site == "embed":
        name = pattern.format(layer=0)
        calls = trace.of(modules[name]) if name in modules else []
    else:
        numbered = (pattern.format(layer=layer) for layer in itertools.count())
        present = [modules[name] for name in itertools.takewhile(modules.__contains__, numbered)]
        calls = [c for part in dict.fromkeys(present) for c in trace.of(part)]
        if len(calls) < len(present):
            calls = []
    if not calls:
        ran = list(dict.fromkeys(c.name for c in trace.calls if c.name))
        raise ArchitectureNotFound(
            f"sites={{{site!r}: {pattern!r}}} names no module that ran in a forward. Modules that ran:"
            f" {', '.join(ran[:60])}{' ...' if len(ran) > 60 else ''}"
        )
    return calls


def _merge(trace: Trace, stack: Stack | None, calls: dict[str, list[Call]], patterns: dict[str, str]) -> Stack:
    sizes = {site: len(found) for site, found in calls.items() if site != "embed"}
    if "residual" not in calls and stack is None:
        raise ArchitectureNotFound(f"no blocks were found, so name 'residual' beside {', '.join(map(repr, calls))}")
    count = sizes.get("residual", len(stack.layers) if stack else 0)
    if wrong := {patterns[site]: size for site, size in sizes.items() if size != count}:
        raise ArchitectureNotFound(f"the residual has {count} layers, but these names give other numbers: {wrong}")
    layers = []
    for number in range(count):
        old = stack.layers[number] if stack and number < len(stack.layers) else None
        sites = dict(old.sites) if old else {}
        widths = dict(old.widths) if old else {}
        missing = dict(old.missing) if old else dict.fromkeys(SITES, "it was not named in sites={...}")
        for site, found in calls.items():
            if site == "embed" and number > 0:
                continue
            call = found[number]
            side: Literal["input", "output"] = "output" if site == "residual" else "input"
            key = next((k for k, v in call.inputs.items() if v.ndim in (2, 3)), 0)
            value = call.output if side == "output" else call.inputs.get(key)
            hidden = as_hidden(value, patterns[site], batch=1)
            sites[site], widths[site] = location(trace, call, side, key), hidden.shape[-1]
            missing.pop(site, None)
        name, finished = (old.name, old.finished) if old else ("", 0)
        if "residual" in calls:
            name, finished = calls["residual"][number].name, calls["residual"][number].finished
        layers.append(Layer(name, finished, sites, widths, missing))
    return Stack(tuple(layers), layers[0].widths["residual"])
