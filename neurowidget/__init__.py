"""neurowidget: the notebook workbench for neurons and causes in NLP models.

The public names are resolved when first used, so that `import neurowidget` is quick and loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "Neuron": "neurowidget.neuron",
    "LayerSite": "neurowidget.neuron",
    "load_model": "neurowidget.models.loading",
    "NeuronModel": "neurowidget.models.loading",
    "Ablate": "neurowidget.models.interventions",
    "Set": "neurowidget.models.interventions",
    "Scale": "neurowidget.models.interventions",
    "Add": "neurowidget.models.interventions",
    "Clamp": "neurowidget.models.interventions",
    "Patch": "neurowidget.models.interventions",
    "Corpus": "neurowidget.extraction.corpus",
    "extract": "neurowidget.extraction.activations",
    "open_store": "neurowidget.extraction.store",
    "ActivationStore": "neurowidget.extraction.store",
    "import_neurox": "neurowidget.extraction.neurox_files",
    "to_neurox": "neurowidget.extraction.neurox_files",
    "attribute": "neurowidget.analysis.attribution.attribute",
    "ablation_effects": "neurowidget.analysis.intervention.ablation_effects",
    "path_effects": "neurowidget.analysis.intervention.path_effects",
    "promoted_tokens": "neurowidget.analysis.intervention.promoted_tokens",
    "logit_lens": "neurowidget.analysis.intervention.logit_lens",
    "knowledge_neurons": "neurowidget.analysis.intervention.knowledge_neurons",
    "typical_values": "neurowidget.analysis.intervention.typical_values",
    "steering_sweep": "neurowidget.analysis.intervention.steering_sweep",
    "steering_vector": "neurowidget.analysis.intervention.steering_vector",
    "mediation_effects": "neurowidget.analysis.intervention.mediation_effects",
    "patching_effects": "neurowidget.analysis.intervention.patching_effects",
    "top_examples": "neurowidget.analysis.examples.top_examples",
    "rank_neurons": "neurowidget.analysis.ranking.rank_neurons",
    "untrained": "neurowidget.analysis.statistics.untrained",
    "activations_from_array": "neurowidget.results.from_array",
    "attribution_from_array": "neurowidget.results.from_array",
    "effects_from_array": "neurowidget.results.from_array",
    "ranking_from_array": "neurowidget.results.from_array",
    "explain_neuron": "neurowidget.analysis.examples.explain_neuron",
    "group_neurons": "neurowidget.analysis.grouping.group_neurons",
    "match_neurons": "neurowidget.analysis.grouping.match_neurons",
    "layer_similarity": "neurowidget.analysis.grouping.layer_similarity",
    "evaluate": "neurowidget.analysis.evaluation.evaluate",
    "load": "neurowidget.results.storage",
    "show": "neurowidget.widgets.showing",
    "TokenStrip": "neurowidget.widgets.token_strip",
    "NeuronHeatmap": "neurowidget.widgets.neuron_heatmap",
    "EffectPanel": "neurowidget.widgets.effect_panel",
    "NeuronExplorer": "neurowidget.explorers.neuron_explorer",
    "NeuronCard": "neurowidget.widgets.neuron_card",
    "firing_neurons": "neurowidget.analysis.examples.firing_neurons",
    "Notes": "neurowidget.results.notes",
    "report": "neurowidget.export.report",
    "page": "neurowidget.export.html",
}
_MODULES = {"targets": "neurowidget.models.targets"}

__all__ = [
    "Ablate",
    "ActivationStore",
    "Add",
    "Clamp",
    "Corpus",
    "EffectPanel",
    "LayerSite",
    "Neuron",
    "NeuronCard",
    "NeuronExplorer",
    "NeuronHeatmap",
    "NeuronModel",
    "Notes",
    "Patch",
    "Scale",
    "Set",
    "TokenStrip",
    "__version__",
    "ablation_effects",
    "activations_from_array",
    "attribute",
    "attribution_from_array",
    "effects_from_array",
    "evaluate",
    "explain_neuron",
    "extract",
    "firing_neurons",
    "group_neurons",
    "import_neurox",
    "knowledge_neurons",
    "layer_similarity",
    "load",
    "load_model",
    "logit_lens",
    "match_neurons",
    "mediation_effects",
    "open_store",
    "page",
    "patching_effects",
    "path_effects",
    "promoted_tokens",
    "rank_neurons",
    "ranking_from_array",
    "report",
    "show",
    "steering_sweep",
    "steering_vector",
    "targets",
    "to_neurox",
    "top_examples",
    "typical_values",
    "untrained",
]

if TYPE_CHECKING:
    from neurowidget.analysis.attribution.attribute import attribute
    from neurowidget.analysis.evaluation.evaluate import evaluate
    from neurowidget.analysis.examples.explain_neuron import explain_neuron
    from neurowidget.analysis.examples.firing_neurons import firing_neurons
    from neurowidget.analysis.examples.top_examples import top_examples
    from neurowidget.analysis.grouping.group_neurons import group_neurons
    from neurowidget.analysis.grouping.layer_similarity import layer_similarity
    from neurowidget.analysis.grouping.match_neurons import match_neurons
    from neurowidget.analysis.intervention.ablation_effects import ablation_effects
    from neurowidget.analysis.intervention.knowledge_neurons import knowledge_neurons
    from neurowidget.analysis.intervention.logit_lens import logit_lens
    from neurowidget.analysis.intervention.mediation_effects import mediation_effects
    from neurowidget.analysis.intervention.patching_effects import patching_effects
    from neurowidget.analysis.intervention.path_effects import path_effects
    from neurowidget.analysis.intervention.promoted_tokens import promoted_tokens
    from neurowidget.analysis.intervention.steering_sweep import steering_sweep
    from neurowidget.analysis.intervention.steering_vector import steering_vector
    from neurowidget.analysis.intervention.typical_values import typical_values
    from neurowidget.analysis.ranking.rank_neurons import rank_neurons
    from neurowidget.analysis.statistics.untrained import untrained
    from neurowidget.explorers.neuron_explorer import NeuronExplorer
    from neurowidget.export.html import page
    from neurowidget.export.report import report
    from neurowidget.extraction.activations import extract
    from neurowidget.extraction.corpus import Corpus
    from neurowidget.extraction.neurox_files import import_neurox, to_neurox
    from neurowidget.extraction.store import ActivationStore, open_store
    from neurowidget.models import targets
    from neurowidget.models.interventions import Ablate, Add, Clamp, Patch, Scale, Set
    from neurowidget.models.loading import NeuronModel, load_model
    from neurowidget.neuron import LayerSite, Neuron
    from neurowidget.results.from_array import (
        activations_from_array,
        attribution_from_array,
        effects_from_array,
        ranking_from_array,
    )
    from neurowidget.results.notes import Notes
    from neurowidget.results.storage import load
    from neurowidget.widgets.effect_panel import EffectPanel
    from neurowidget.widgets.neuron_card import NeuronCard
    from neurowidget.widgets.neuron_heatmap import NeuronHeatmap
    from neurowidget.widgets.showing import show
    from neurowidget.widgets.token_strip import TokenStrip


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(_MODULES[name])
    else:
        raise AttributeError(f"module 'neurowidget' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _show_in_a_cell(result: Any) -> Any:
    from neurowidget.widgets.showing import view_of

    return view_of(result)


def _fill_show_hook() -> None:
    from neurowidget.results.base import Result

    Result.show_hook = staticmethod(_show_in_a_cell)


_fill_show_hook()
