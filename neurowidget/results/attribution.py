"""How much each input token, or each neuron, contributes to a target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neurowidget.results.base import Result, read_only
from neurowidget.results.token_groups import Groups, group_numbers, merged
from neurowidget.results.tokens import Tokens


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Attribution(Result):
    """Scores of one text: (token,) for input attribution, (layer, neuron) for neuron attribution.

    `target` says in words what was explained, larger = more of it. What each neuron of one layer takes from each input
    token has the axes (token, neuron). `completeness_error` is |sum - (F(x) - F(x'))| / max(|F(x) - F(x')|, floor), the
    worst of the layers, None where the method makes no such claim. `warnings` are sentences, and `badges` their names:
    "incomplete", "few_steps", "no_cut", "collapsed", "partial_rules", "saturated", "own_baseline", "all_zero",
    "few_samples" (one for each warning, or none at all).
    """

    scores: np.ndarray
    tokens: Tokens
    target: str
    baseline: str | None = None
    value: float = float("nan")  # F(x)
    baseline_value: float = float("nan")  # F(x')
    completeness_error: float | None = None
    completeness_absolute: float | None = None
    layers: tuple[int, ...] | None = None
    warnings: tuple[str, ...] = ()
    badges: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", read_only(self.scores, np.float32))
        expected = (len(self.tokens),) if self.layers is None else (len(self.layers),)
        if self.scores.shape[: len(expected)] != expected:
            raise ValueError(f"scores {self.scores.shape} do not fit {expected} (tokens, or layers of neurons)")
        if self.badges and len(self.badges) != len(self.warnings):
            raise ValueError(f"{len(self.badges)} badges for {len(self.warnings)} warnings: give each one, or none")

    def grouped(self, groups: Groups = "words") -> Attribution:
        """The scores of words, or of lists of neighbouring positions, each the sum of its tokens: the total is kept.

        Groups may be grouped again: `attr.grouped("words").grouped([[2, 3]])`. Raises ValueError for neurons.
        """
        if self.layers is not None:
            raise ValueError("these are scores of neurons: only scores of tokens can be grouped")
        numbers = group_numbers(self.tokens, groups)
        sums = np.zeros((int(numbers[-1]) + 1, *self.scores.shape[1:]))
        np.add.at(sums, numbers, self.scores.astype(np.float64))
        return replace(self, scores=sums, tokens=merged(self.tokens, numbers))

    def to_columns(self) -> dict[str, list[Any]]:
        if self.layers is None:
            t = self.tokens
            token, *rest = np.indices(self.scores.shape)
            which = token.ravel()
            columns = {
                "token": [t.pieces[i] for i in which],
                "id": t.ids[which].tolist(),
                "special": t.special[which].tolist(),
            }
            if rest:
                columns["neuron"] = rest[0].ravel().tolist()
            return {**columns, "score": self.scores.ravel().tolist()}
        layer, neuron = np.indices(self.scores.shape)
        numbers = np.asarray(self.layers)[layer]
        return {
            "layer": numbers.ravel().tolist(),
            "neuron": neuron.ravel().tolist(),
            "score": self.scores.ravel().tolist(),
        }
