"""The target of an explorer: one spec for the text that is looked at, one for the held-out texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurowidget.models import targets
from neurowidget.models.loading import NeuronModel
from neurowidget.results import Prediction


@dataclass(frozen=True)
class ExplorerTarget:
    """What is explained: `own` is frozen on the clean run of this text, `others` is asked of each held-out text."""

    key: str
    own: Any
    others: Any
    resolved: targets.Target

    @property
    def name(self) -> str:
        """The target in words."""
        return self.resolved.name

    def value(self, model: NeuronModel, text: str) -> float:
        """F(text) under the interventions that are active in this thread."""
        return float(targets.evaluate_target(model, model.encode([text]), self.resolved)[0])


def choose(model: NeuronModel, text: str, key: str, clean: Prediction | None) -> ExplorerTarget | None:
    """The target that `key` names: "auto", a class or token, "A - B" for a contrast, or a neuron; None without a head."""
    if key == "auto" and clean is None:
        return None
    if key == "auto" and clean is not None:
        classes = clean.kind == "classes"
        own = targets.log_odds(clean.label) if classes and len(clean.all_logits) > 1 else None
        return ExplorerTarget(key, own, own, targets.resolve(model, model.encode([text]), own))
    spec = parse(model, key)
    return ExplorerTarget(key, spec, spec, targets.resolve(model, model.encode([text]), spec))


def parse(model: NeuronModel, key: str) -> Any:
    """The target spec that a key stands for."""
    if model.labels is not None and key in model.labels:
        return targets.log_odds(key)
    if key.startswith("L") and key.endswith("]"):
        return targets.neuron(key)
    first, separator, second = key.partition(" - ")
    if separator and first and second:
        return (first, second)
    return key


def offered(model: NeuronModel, current: str) -> list[dict[str, str]]:
    """The targets that a reader can choose from, the current one among them."""
    found = _usual(model)
    if current not in [item["key"] for item in found]:
        found.append({"key": current, "label": current})
    return found


def _usual(model: NeuronModel) -> list[dict[str, str]]:
    if model.kind == "encoder":
        return [{"key": "auto", "label": "none: the model has no head"}]
    if model.kind not in ("classifier", "token_classifier") or not model.labels:
        return [{"key": "auto", "label": "log-probability of the predicted token"}]
    labels = list(model.labels)
    found = [{"key": "auto", "label": "log-odds of the predicted class"}]
    found += [{"key": label, "label": f"log-odds of {label}"} for label in labels]
    if len(labels) == 2:
        found.append({"key": f"{labels[1]} - {labels[0]}", "label": f"logit of {labels[1]} - {labels[0]}"})
    return found
