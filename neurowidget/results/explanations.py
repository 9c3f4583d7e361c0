"""What a neuron stands for, in statements, with the score that they reach on texts they were not made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurowidget.results.base import Result, read_only

_SIGNS = {1: "+", -1: "-", 0: " "}


@dataclass(frozen=True)
class Statement:
    """One part of an explanation: a word, an n-gram, a formula, a concept or a text, with the number that ranks it.

    `sign` is 1 where it goes with high activations, -1 with low ones, 0 where it is there for comparison. `count` says in
    how many places of the first half of the texts it was seen. `details` are further numbers by name.
    """

    text: str
    score: float
    sign: int = 1
    count: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Explanation(Result):
    """Statements about one neuron, best first, made on one half of the sentences and scored on the other.

    `statement_score` says what `Statement.score` is. `held_out_score` is what `score_name` says, higher is better, between
    the ends of `score_range`; `chance` is what an explanation that says nothing gets. `control_scores` (control,) are the
    same for random neurons of the same layer, each explained by the same method: an explanation that is no better than
    `control_95` tells nothing about this neuron in particular. NaN stands for a score that does not exist.
    """

    neuron: str
    method: str
    statements: tuple[Statement, ...]
    statement_score: str
    held_out_score: float
    score_name: str
    score_range: tuple[float, float]
    chance: float = 0.0
    control_scores: np.ndarray = field(default_factory=lambda: np.zeros(0))
    control_neurons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "control_scores", read_only(self.control_scores, np.float32))
        if self.control_scores.shape != (len(self.control_neurons),):
            raise ValueError(
                f"control_scores {self.control_scores.shape} needs one score for each of the {len(self.control_neurons)}"
                " control neurons"
            )

    @property
    def control_mean(self) -> float:
        """The mean score of the random neurons; NaN without any."""
        return float(np.mean(self._known())) if len(self._known()) else float("nan")

    @property
    def control_95(self) -> float:
        """The 95th percentile of the scores of the random neurons; NaN without any."""
        return float(np.percentile(self._known(), 95)) if len(self._known()) else float("nan")

    def _known(self) -> np.ndarray:
        return self.control_scores[np.isfinite(self.control_scores)]

    def __repr__(self) -> str:
        shown = "; ".join(f"{_SIGNS.get(s.sign, '')}{s.text!r} {s.score:.3g}" for s in self.statements[:5])
        more = "; ..." if len(self.statements) > 5 else ""
        return f"Explanation({self.neuron}, {self.method}: {shown}{more} | {self._score_line()})"

    def __str__(self) -> str:
        lines = [f"{self.neuron} by {self.method} ({self.statement_score})"]
        width = max((len(s.text) for s in self.statements), default=0)
        for s in self.statements:
            lines.append(
                f"  {_SIGNS.get(s.sign, ' ')} {s.text:<{min(width, 60)}}  {s.score:8.3f}"
                + f"  ×{s.count}" * (s.count > 0)
            )
        return "\n".join([*lines, self._score_line(), *(f"! {warning}" for warning in self.warnings)])

    def _score_line(self) -> str:
        line = f"{self.score_name} {self.held_out_score:.3f}"
        if not len(self.control_scores):
            return f"{line}, no random neurons beside it"
        return (
            f"{line}, {len(self.control_scores)} random neurons {self.control_mean:.3f} on average, {self.control_95:.3f} at"
            " the 95th percentile"
        )

    def to_columns(self) -> dict[str, list[Any]]:
        """One row per statement; a detail that a statement lacks is None."""
        details = dict.fromkeys(name for statement in self.statements for name in statement.details)
        columns: dict[str, list[Any]] = {
            "neuron": [self.neuron] * len(self.statements),
            "statement": [s.text for s in self.statements],
            "sign": [s.sign for s in self.statements],
            "score": [s.score for s in self.statements],
            "count": [s.count for s in self.statements],
        }
        return columns | {name: [s.details.get(name) for s in self.statements] for name in details}
