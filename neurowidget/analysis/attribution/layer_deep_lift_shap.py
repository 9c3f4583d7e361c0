"""DeepLIFT-SHAP of the neurons of a layer (Lundberg and Lee 2017), by Captum's LayerDeepLift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurowidget.analysis.attribution.asked import ask, from_baseline
from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.layer_deep_lift import lifted_layers
from neurowidget.analysis.statistics.site_gradients import layers_of_site
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def layer_deep_lift_shap(
    model: NeuronModel,
    text: Text,
    *,
    site: str = "mlp",
    target: Any = None,
    baseline: Baseline = "corpus",
    position: int | None = None,
    of: Neuron | str | None = None,
    layers: Sequence[int] | None = None,
    target_text: Text | None = None,
    seed: int = 0,
) -> Attribution:
    """One score per neuron, (layer, neuron): the mean of `layer_deep_lift` over a set of baselines.

    Badges and errors as in `layer_deep_lift`.
    """
    asked = from_baseline(ask(model, text, target, position, of, target_text), baseline, seed)
    return lifted_layers(asked, "layer_deep_lift_shap", layers_of_site(model, site, layers), seed)
