"""Neurons that a fact is recalled with, and what the model answers without them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurowidget.neuron import Neuron
from neurowidget.results.base import Result, read_only


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class KnowledgeNeurons(Result):
    """Knowledge neurons of one fact, from prompts that say it in different words.

    `neurons` are those that are kept, the most shared first; `scores` float32 (prompt, layer, neuron) are their
    attributions to P(answer), `shared` float32 (layer, neuron) the share of prompts in which a neuron reaches
    `threshold` of the prompt's largest, and `share` is what was asked of it in the end (it is moved until 2 to 5 are
    left). `probability` (prompt,) is P(answer); `suppressed` and `amplified` are P(answer) with the neurons set to 0 and
    doubled; `control_suppressed` and `control_amplified` the same for as many random neurons of the same layers.
    """

    neurons: tuple[Neuron, ...]
    prompts: tuple[str, ...]
    answer: str
    layers: tuple[int, ...]
    site: str
    threshold: float
    share: float
    scores: np.ndarray
    shared: np.ndarray
    probability: np.ndarray
    suppressed: np.ndarray
    amplified: np.ndarray
    control_neurons: tuple[Neuron, ...]
    control_suppressed: np.ndarray
    control_amplified: np.ndarray
    stack: str | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _PER_PROMPT:
            object.__setattr__(self, name, read_only(getattr(self, name), np.float32))
            if getattr(self, name).shape != (len(self.prompts),):
                raise ValueError(
                    f"{name} {getattr(self, name).shape} needs one number for each of {len(self.prompts)} prompts"
                )
        for name in ("scores", "shared"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float32))
        if self.scores.shape != (len(self.prompts), len(self.layers), self.shared.shape[-1]):
            raise ValueError(f"scores {self.scores.shape} should be (prompt, layer, neuron)")

    @property
    def suppression_effect(self) -> float:
        """The mean relative change of P(answer) when the neurons are silent: -0.3 is 30 % less."""
        return float((self.suppressed / self.probability - 1).mean())

    @property
    def amplification_effect(self) -> float:
        """The mean relative change of P(answer) when the neurons are doubled."""
        return float((self.amplified / self.probability - 1).mean())

    def to_columns(self) -> dict[str, list[Any]]:
        row = {layer: number for number, layer in enumerate(self.layers)}
        at = [(row[neuron.layer], neuron.index) for neuron in self.neurons]
        return {
            "neuron": [str(neuron) for neuron in self.neurons],
            "shared": [float(self.shared[place]) for place in at],
            "score": [float(self.scores[:, layer, index].mean()) for layer, index in at],
        }


_PER_PROMPT = ("probability", "suppressed", "amplified", "control_suppressed", "control_amplified")
