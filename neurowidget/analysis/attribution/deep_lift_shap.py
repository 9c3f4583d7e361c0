"""DeepLIFT-SHAP: DeepLIFT meaned over a set of baselines (Lundberg and Lee 2017), by Captum's DeepLift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurowidget.analysis.attribution.asked import ask, from_baseline
from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.deep_lift import lifted
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def deep_lift_shap(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    baseline: Baseline = "corpus",
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    group: Groups | None = None,
    seed: int = 0,
) -> Attribution:
    """One score per token: the mean of `deep_lift` over a set of baselines, by default 8 texts of drawn tokens.

    One baseline at a time, so memory does not grow with the set. Badges and errors as in `deep_lift`.
    """
    asked = from_baseline(ask(model, text, target, position, of, target_text), baseline, seed)
    return lifted(asked, "deep_lift_shap", group, seed)
