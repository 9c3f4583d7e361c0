"""A text whose tokens are coloured by a score."""

from __future__ import annotations

from typing import Any, ClassVar

import traitlets as t

from neurowidget.results import Attribution
from neurowidget.widgets import wire
from neurowidget.widgets.base import View


class TokenStrip(View):
    """The tokens of one text, coloured by their attribution; click one to select it."""

    stem: ClassVar[str] = "token-strip"
    height: ClassVar[int] = 220

    selected_token = t.Int(None, allow_none=True).tag(sync=True)
    """Index of the selected token, or None."""
    _tokens = t.Dict().tag(sync=True)
    _scores = t.Dict().tag(sync=True)
    _underline = t.Dict(None, allow_none=True).tag(sync=True)
    _detail: Any = t.List().tag(sync=True)
    _warnings = t.List(t.Unicode()).tag(sync=True)

    def __init__(self, attribution: Attribution) -> None:
        if not isinstance(attribution, Attribution) or attribution.layers is not None:
            raise TypeError(f"TokenStrip shows an Attribution with one score per token, got {attribution!r}")
        error = attribution.completeness_error
        detail = [
            {"label": "method", "value": attribution.provenance.method.replace("_", " ")},
            {"label": "target", "value": attribution.target},
            {"label": "baseline", "value": attribution.baseline or "none"},
            {"label": "completeness error", "value": "no claim" if error is None else f"{100 * error:.2g} %"},
            {"label": "model", "value": attribution.provenance.model},
        ]
        super().__init__(
            _tokens=wire.tokens(attribution.tokens),
            _scores=wire.scores(attribution),
            _detail=detail,
            _warnings=list(attribution.warnings),
        )

    @t.validate("selected_token")
    def _in_range(self, proposal: t.Bunch) -> int | None:
        return checked_token(proposal["value"], len(self._tokens.get("pieces", ())))


def checked_token(value: int | None, count: int) -> int | None:
    """A token index that exists, or None; raises TraitError otherwise."""
    if value is not None and not 0 <= value < count:
        raise t.TraitError(f"selected_token is {value}, the text has tokens 0 to {count - 1}")
    return value
