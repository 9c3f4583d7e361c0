"""What changes when neurons are changed: F(clean) - F(ablated), and the answer over the values of a neuron."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurowidget.analysis.intervention.ablation_effects import ablation_effects as _ablation_effects

METHODS: dict[str, Callable[..., Any]] = {"ablation_effects": _ablation_effects}

__all__ = ["METHODS"]
