"""Where hooks go and how they hold a value: modules to hook, the place of a tensor among arguments and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from transformers.utils.generic import ModelOutput

from neurowidget.models.context import is_entry


def entries_around(root: nn.Module, modules: Iterable[nn.Module]) -> list[nn.Module]:
    """The root and the modules around `modules` that take tokens and a mask, outermost first."""
    wanted = {id(module) for module in modules}
    names = [name for name, module in root.named_modules(remove_duplicate=False) if id(module) in wanted]
    parts = [name.split(".") for name in names]
    around = sorted({".".join(path[:depth]) for path in parts for depth in range(1, len(path) + 1)}, key=len)
    return [root, *{id(m): m for m in map(root.get_submodule, around) if is_entry(m)}.values()]


def refuse_compiled(root: nn.Module, modules: Iterable[nn.Module]) -> None:
    """Raise RuntimeError when one of `modules` lies within a compiled module, whose graph ignores new hooks."""
    wanted = {id(module) for module in modules}
    for name, module in root.named_modules():
        compiled = (
            hasattr(module, "_orig_mod")
            or getattr(module, "_compiled_call_impl", None) is not None
            or hasattr(vars(module).get("forward"), "_torchdynamo_orig_callable")
        )
        if compiled and any(id(inner) in wanted for inner in module.modules()):
            raise RuntimeError(
                f"{name or 'the model'} is compiled (torch.compile), and hooks added afterwards are ignored. Load the "
                "module as it was before: `compiled._orig_mod`, or a copy on which `.compile()` was not called."
            )


def argument_place(where: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int | str:
    """The place of the value among the arguments of a call: `where`, or the first tensor if it is passed otherwise."""
    if (where < len(args)) if isinstance(where, int) else (where in kwargs):
        return where
    places: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
    return next(place for place, value in places if isinstance(value, Tensor) and value.is_floating_point())


def first_tensor(output: Any) -> Tensor:
    """The hidden states in what a module gives: a tensor, or the first tensor of a tuple or mapping."""
    if isinstance(output, Tensor):
        return output
    values = output.values() if isinstance(output, Mapping) else output
    return next(value for value in values if isinstance(value, Tensor))


def with_first(output: Any, value: Tensor) -> Any:
    """`output`, of the same type, with its first tensor replaced."""
    if isinstance(output, Tensor):
        return value
    old = first_tensor(output)
    if isinstance(output, Mapping):
        items = {key: value if item is old else item for key, item in output.items()}
        make: Any = type(output)
        return make(**items) if isinstance(output, ModelOutput) else make(items)
    parts = [value if item is old else item for item in output]
    return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)
