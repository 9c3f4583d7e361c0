"""What changes when neurons are changed: ablated, exchanged between prompts, or steered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurowidget.analysis.intervention.ablation_effects import ablation_effects as _ablation_effects
from neurowidget.analysis.intervention.knowledge_neurons import knowledge_neurons as _knowledge_neurons
from neurowidget.analysis.intervention.logit_lens import logit_lens as _logit_lens
from neurowidget.analysis.intervention.mediation_effects import mediation_effects as _mediation_effects
from neurowidget.analysis.intervention.patching_effects import patching_effects as _patching_effects
from neurowidget.analysis.intervention.path_effects import path_effects as _path_effects
from neurowidget.analysis.intervention.promoted_tokens import promoted_tokens as _promoted_tokens
from neurowidget.analysis.intervention.steering_sweep import steering_sweep as _steering_sweep
from neurowidget.analysis.intervention.steering_vector import steering_vector as _steering_vector

METHODS: dict[str, Callable[..., Any]] = {
    "ablation_effects": _ablation_effects,
    "knowledge_neurons": _knowledge_neurons,
    "logit_lens": _logit_lens,
    "mediation_effects": _mediation_effects,
    "patching_effects": _patching_effects,
    "path_effects": _path_effects,
    "promoted_tokens": _promoted_tokens,
    "steering_sweep": _steering_sweep,
    "steering_vector": _steering_vector,
}

__all__ = ["METHODS"]
