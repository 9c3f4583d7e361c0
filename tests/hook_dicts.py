"""All hooks of a module and its parts, to compare before and after."""

from __future__ import annotations

from typing import Any

from torch import nn

KINDS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)


def hook_dicts(module: nn.Module) -> list[Any]:
    """Every hook dictionary as a list, in order, so that two calls compare equal only when nothing was added or lost."""
    return [(name, kind, list(getattr(part, kind).items())) for name, part in module.named_modules() for kind in KINDS]
