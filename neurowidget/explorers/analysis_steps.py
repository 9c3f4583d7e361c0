"""What an explorer computes for one text, in the order in which a reader wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neurowidget.analysis.attribution.attribute import attribute
from neurowidget.analysis.intervention.ablation_effects import ablation_effects
from neurowidget.explorers.cards import CardMaker, Evidence
from neurowidget.explorers.targets import ExplorerTarget, choose
from neurowidget.extraction.activations import extract
from neurowidget.models.loading import NeuronModel
from neurowidget.results import Activations, Attribution, Effects
from neurowidget.widgets import wire

ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Analysis:
    """Everything known about one text so far."""

    text: str
    activations: Activations
    before: dict[str, Any] | None
    target: ExplorerTarget | None
    cards: CardMaker
    attribution: Attribution | None = None
    effects: Effects | None = None
    notes: tuple[str, ...] = ()
    method: str = "activations"

    def effects_or_raise(self) -> Effects:
        """The effects; raises ValueError when there are none."""
        if self.effects is None:
            raise ValueError("there are no effects: the model has no head, or the work was stopped")
        return self.effects


def analyse(
    model: NeuronModel,
    text: str,
    site: str,
    layers: Sequence[int],
    evidence: Evidence,
    *,
    target: str,
    reference: Sequence[str] | None,
    held_out: int,
    should_stop: ShouldStop,
) -> Iterator[Analysis]:
    """Yield the analysis as it grows: activations and prediction, then estimated effects, attribution, exact effects."""
    activations = extract(model, [text], sites=[site], layers=layers, progress=False)
    clean = model.predict(text, top=50) if model.kind != "encoder" else None
    chosen = choose(model, text, target, clean)
    shown = None if chosen is None else (chosen.name, chosen.value(model, text))
    analysis = Analysis(
        text=text,
        activations=activations,
        before=None if clean is None else wire.prediction(clean, shown),
        target=chosen,
        cards=CardMaker(model, text, activations, chosen, evidence, reference, held_out),
    )
    yield analysis
    if chosen is None:
        return
    options: dict[str, Any] = {"site": site, "target": chosen.own, "reference": reference, "layers": layers}
    options |= {"progress": False, "should_stop": should_stop, "method": "gradient"}
    analysis = replace(analysis, effects=ablation_effects(model, [text], verify=0, **options), method="gradient")
    yield analysis
    attribution = attribute(model, text, method="integrated_gradients", target=chosen.own, should_stop=should_stop)
    analysis = replace(analysis, attribution=attribution, notes=attribution.warnings)
    yield analysis
    yield replace(
        analysis,
        effects=ablation_effects(model, [text], **options),
        method="gradient, the strongest 100 exact",
    )
