"""Predictions before and after an intervention, side by side."""

from __future__ import annotations

from typing import ClassVar

import traitlets as t

from neurowidget.results import Prediction
from neurowidget.widgets import wire
from neurowidget.widgets.base import View


class EffectPanel(View):
    """One prediction, or two on the same scale: before and after an intervention."""

    stem: ClassVar[str] = "effect-panel"
    height: ClassVar[int] = 260

    _before = t.Dict().tag(sync=True)
    _after = t.Dict(None, allow_none=True).tag(sync=True)

    def __init__(self, before: Prediction, after: Prediction | None = None) -> None:
        for value in (before, after):
            if value is not None and not isinstance(value, Prediction):
                raise TypeError(f"EffectPanel shows Predictions, got {type(value).__name__}")
        if after is not None and (after.kind != before.kind or len(after.all_logits) != len(before.all_logits)):
            raise ValueError(f"the predictions are of different kinds: {before.kind} and {after.kind}")
        super().__init__(_before=wire.prediction(before), _after=None if after is None else wire.prediction(after))
