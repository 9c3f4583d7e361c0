"""Which tokens and neurons a decision rests on: one module and one function per method."""

from __future__ import annotations

from collections.abc import Callable

from neurowidget.analysis.attribution.gradient_x_activation import gradient_x_activation as _gradient_x_activation
from neurowidget.analysis.attribution.gradient_x_input import gradient_x_input as _gradient_x_input
from neurowidget.analysis.attribution.integrated_gradients import integrated_gradients as _integrated_gradients
from neurowidget.results.attribution import Attribution

METHODS: dict[str, Callable[..., Attribution]] = {
    "integrated_gradients": _integrated_gradients,
    "gradient_x_input": _gradient_x_input,
    "gradient_x_activation": _gradient_x_activation,
}

__all__ = ["METHODS"]
