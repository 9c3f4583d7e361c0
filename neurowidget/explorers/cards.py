"""The card of a neuron: where its value stands, what it fires on, and what happens without it or at another value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurowidget.analysis.intervention.ablation_effects import ablation_effects
from neurowidget.analysis.intervention.dose_response import dose_response
from neurowidget.analysis.intervention.position_effects import position_effects
from neurowidget.explorers.corpus_sample import CorpusSample
from neurowidget.explorers.targets import ExplorerTarget
from neurowidget.export.neuron_cards import card_of
from neurowidget.models.interventions import Ablate
from neurowidget.models.loading import NeuronModel
from neurowidget.neuron import Neuron
from neurowidget.results import Activations
from neurowidget.results.examples import Examples, NeuronExamples
from neurowidget.results.explanations import Explanation
from neurowidget.widgets import wire

Card = dict[str, Any]
DOSES = 9
MOST_TOKENS = 64  # of a text whose tokens are ablated one by one
NO_SAMPLE = "the corpus sample is still being read"
NO_TARGET = "this model has no head: pass target='L5.mlp[3]' or a callable"


@dataclass(frozen=True)
class Evidence:
    """What is known of the neurons from corpora: a small sample, and Examples and Explanations where they were given."""

    sample: CorpusSample
    examples: Examples | None = None
    explanations: Mapping[str, tuple[Explanation, ...]] = field(default_factory=dict)

    def of(self, neuron: Neuron) -> NeuronExamples | None:
        """The examples of a neuron, if there are any."""
        if self.examples is None:
            return None
        try:
            return self.examples.for_neuron(neuron)
        except IndexError:
            return None

    def card(self, neuron: Neuron, activation: np.ndarray) -> Card:
        """The corpus part of a card; its `missing` says what there is not."""
        explanations = self.explanations.get(str(neuron), ())
        if self.of(neuron) is not None:
            return card_of(self.examples, neuron, explanations, activation)
        card = card_of(None, neuron, explanations) | {"missing": {}}
        if not (self.sample.ready and self.sample.token_count):
            return card | {"missing": {"corpus": NO_SAMPLE, "examples": NO_SAMPLE}}
        return card | {"corpus": self.sample.density(neuron, activation), "examples": self.sample.examples(neuron)}

    def observed(self, neuron: Neuron) -> np.ndarray:
        """Values of a neuron that span what it reached in the corpus; empty where nothing is known."""
        found = self.of(neuron)
        if found is not None:
            return np.array([found.minimum, found.maximum], dtype=np.float32)
        known = self.sample.ready and self.sample.token_count
        return self.sample.values(neuron) if known else np.zeros(0, np.float32)


@dataclass(frozen=True)
class CardMaker:
    """Makes the cards of one text; every number is exact unless it says otherwise."""

    model: NeuronModel
    text: str
    activations: Activations
    target: ExplorerTarget | None
    evidence: Evidence
    reference: Sequence[str] | None
    held_out: int

    def quick(self, neuron: Neuron) -> Card:
        """What needs no forward pass: the activations, the density, the examples and the explanations."""
        activation = self.activations.neuron(neuron)
        card = self.evidence.card(neuron, activation)
        waiting = "computing" if self.target else NO_TARGET
        missing = {"effect": waiting, "dose": waiting, "held_out": waiting, **card["missing"]}
        if "corpus" in card["missing"]:
            missing["held_out"] = card["missing"]["corpus"]
        nothing: Card = {"effect": None, "held_out": None, "dose": None, "off": None, "toward": []}
        return card | nothing | {"activation": wire.numbers(activation), "missing": missing}

    def complete(self, card: Card, should_stop: Callable[[], bool]) -> Card:
        """The card with what takes forward passes: effect, held-out effect, dose-response and the prediction without it."""
        if self.target is None:
            return card
        neuron = Neuron.parse(card["neuron"])
        done = dict(card, effect=self.effect(neuron, should_stop), dose=self.dose(neuron), off=self.off(neuron))
        missing = {part: why for part, why in card["missing"].items() if part not in ("effect", "dose")}
        if done["corpus"] is not None:
            done["held_out"] = self.held_out_effect(neuron, should_stop)
            missing.pop("held_out", None)
            if done["held_out"] is None:
                missing["held_out"] = "the sample has no other text: give corpus= with at least 6 texts"
        return done | {"missing": missing}

    def effect(self, neuron: Neuron, should_stop: Callable[[], bool]) -> dict[str, Any]:
        """Effect of removing the neuron everywhere in this text and, for texts that are not long, at each token alone."""
        assert self.target is not None
        options: dict[str, Any] = {"target": self.target.own, "reference": self.reference, "should_stop": should_stop}
        effects = ablation_effects(self.model, [self.text], neurons=[neuron], progress=False, **options)
        short = len(self.activations.tokens) <= MOST_TOKENS
        at_token = position_effects(self.model, self.text, neuron, **options) if short else np.zeros(0)
        return {
            "value": wire.number(effects.for_neuron(neuron)),
            "target": effects.target,
            "ablation": effects.ablation,
            "at_token": wire.numbers(at_token),
        }

    def held_out_effect(self, neuron: Neuron, should_stop: Callable[[], bool]) -> dict[str, Any] | None:
        """The same effect on other texts of the sample, with a bootstrap interval over texts."""
        assert self.target is not None
        texts = [text for text in self.evidence.sample.texts if text != self.text][: self.held_out]
        if not texts:
            return None
        effects = ablation_effects(
            self.model,
            texts,
            neurons=[neuron],
            target=self.target.others,
            reference=self.reference,
            progress=False,
            should_stop=should_stop,
        )
        place = (effects.layers.index(neuron.layer), neuron.index)
        interval = None if effects.interval is None else effects.interval[:, place[0], place[1]]
        return {
            "mean": wire.number(effects.values[place]),
            "low": None if interval is None else wire.number(interval[0]),
            "high": None if interval is None else wire.number(interval[1]),
            "texts": len(texts),
            "name": self.evidence.sample.name,
            "values": [] if effects.per_text is None else wire.numbers(effects.per_text[:, place[0], place[1]]),
        }

    def dose(self, neuron: Neuron) -> dict[str, Any]:
        """Target and probabilities with the neuron set, at every token, to values over its observed range."""
        assert self.target is not None
        activation = self.activations.neuron(neuron)[~self.activations.tokens.special]
        span = np.concatenate([self.evidence.observed(neuron), activation])
        low, high = float(span.min(initial=0)), float(span.max(initial=0))
        natural = float(activation.mean()) if len(activation) else 0.0
        grid = np.linspace(low, high if high > low else low + 1, DOSES)
        curve = dose_response(self.model, self.text, neuron, grid, target=self.target.own)
        return {
            "x": wire.numbers(curve.values),
            "target": wire.numbers(curve.target_values),
            "probabilities": [wire.numbers(row) for row in curve.probabilities],
            "labels": list(curve.labels),
            "natural": natural,
            "low": low,
            "high": high,
        }

    def off(self, neuron: Neuron) -> dict[str, Any]:
        """The prediction with the neuron at its mean."""
        assert self.target is not None
        with self.model.intervene(Ablate(neuron, "mean", reference=self.reference)):
            after = self.model.predict(self.text, top=50)
            value = self.target.value(self.model, self.text)
        return wire.prediction(after, (self.target.name, value))
