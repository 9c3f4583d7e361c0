"""Do values fit the annotations of a dataclass: what stands between a hostile file and a result."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

import numpy as np


def check_fields(kind: type, values: Mapping[Any, Any]) -> None:
    """Raise ValueError when `values` are not the fields of `kind`, by name and by annotated type."""
    hints = _hints(kind)
    if unknown := [str(name)[:40] for name in values if name not in hints]:
        raise ValueError(f"{kind.__name__} has no field {', '.join(unknown[:5])}")
    if missing := [name for name, (_, needed) in hints.items() if needed and name not in values]:
        raise ValueError(f"{kind.__name__} needs {', '.join(missing)}")
    for name, value in values.items():
        if not fits(value, hints[name][0]):
            raise ValueError(f"{kind.__name__}.{name} should be {hints[name][0]}, got {type(value).__name__}")


@cache
def _hints(kind: type) -> dict[str, tuple[Any, bool]]:
    hints = get_type_hints(kind)
    return {
        f.name: (hints[f.name], f.default is MISSING and f.default_factory is MISSING)
        for f in fields(kind)
        if get_origin(hints[f.name]) is not ClassVar
    }


def fits(value: Any, hint: Any) -> bool:
    """Whether `value` fits a type hint made of plain types, arrays, tuples, lists, mappings and unions of them.

    As in numpy code everywhere, a whole number is a float, a numpy scalar is a number, and a list is as good as a tuple.
    """
    value = value.item() if isinstance(value, np.generic) else value
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if hint is None or hint is types.NoneType:
        return value is None
    if origin in (Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if hint is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin in (tuple, list):
        if origin is list or arguments[-1] is Ellipsis:
            return isinstance(value, tuple | list) and _all_fit(value, arguments[0])
        return isinstance(value, tuple | list) and len(value) == len(arguments) and all(map(fits, value, arguments))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            return False
        return _all_fit(value, arguments[0]) and _all_fit(value.values(), arguments[1])
    if origin is np.ndarray:
        return isinstance(value, np.ndarray)
    return isinstance(value, hint)


def _all_fit(values: Iterable[Any], hint: Any) -> bool:
    if hint is str:
        return all(isinstance(value, str) for value in values)
    return all(fits(value, hint) for value in values)
