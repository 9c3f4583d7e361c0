"""`evaluate`: one door to every measure of whether a result is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurowidget.analysis.evaluation import METHODS


def evaluate(subject: Any, method: str | Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What `method`, a key of `METHODS` or a callable, says about `subject`, one result or a list of results.

    Attributions of tokens, with the model: `evaluate(attr, "comprehensiveness", model)`, likewise "sufficiency",
    "deletion" and "insertion". `arguments` and `options` go to the method. Raises ValueError for an unknown one.
    """
    chosen = METHODS.get(method) if isinstance(method, str) else method
    if chosen is None:
        raise ValueError(f"method={method!r}: expected one of {', '.join(map(repr, METHODS))}, or a callable")
    return chosen(subject, *arguments, **options)
