"""The natural widget of a result."""

from __future__ import annotations

from typing import Any

from neurowidget.results import Activations, Attribution, Effects, Examples, Prediction
from neurowidget.results.explanations import Explanation
from neurowidget.widgets.base import View


def show(result: Any) -> View:
    """The widget that shows `result`; raises TypeError naming the kinds that have one."""
    view = view_of(result)
    if view is None:
        raise TypeError(
            f"there is no view for {type(result).__name__}; results that have one: "
            "Activations, Attribution, Effects, Examples, Explanation, Prediction"
        )
    return view


def view_of(result: Any) -> View | None:
    """The widget that shows `result`, None for what has no view of its own yet: it is printed."""
    from neurowidget.widgets.effect_panel import EffectPanel
    from neurowidget.widgets.neuron_card import NeuronCard
    from neurowidget.widgets.neuron_heatmap import NeuronHeatmap
    from neurowidget.widgets.token_strip import TokenStrip

    if isinstance(result, View):
        return result
    if isinstance(result, Attribution) and result.layers is None:
        return TokenStrip(result) if result.scores.ndim == 1 else None
    if isinstance(result, Activations | Effects | Attribution):
        return NeuronHeatmap(result)
    if isinstance(result, Prediction):
        return EffectPanel(result)
    if isinstance(result, Examples):
        return NeuronCard(result)
    if isinstance(result, Explanation):
        return NeuronCard(None, result.neuron, explanations=[result])
    return None
