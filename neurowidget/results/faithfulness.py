"""Whether the tokens that an attribution puts first are those that the decision rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurowidget.results.base import Result, read_only


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Faithfulness(Result):
    """What happens to the target when the tokens of a text go, or stay, in the order of their scores.

    `shares` float32 (point,) are shares of the tokens; `values` float32 (text, point): for "comprehensiveness" and
    "sufficiency" effects, F(x) - F(changed text), for "deletion" and "insertion" F of the changed text. `scores` float32
    (text,) are the means of `values` over the points, `control` float32 (text, draw) the same for random orders.
    `interval` is a 95 % bootstrap interval of the mean of `scores` over texts, None under 6 texts.
    """

    method: str
    attribution: str  # the method that is judged
    larger_is_better: bool
    shares: np.ndarray
    values: np.ndarray
    scores: np.ndarray
    control: np.ndarray
    targets: tuple[str, ...]
    texts: tuple[str, ...]
    interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("shares", "values", "scores", "control"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float32))
        count = len(self.texts)
        if (
            self.values.shape != (count, len(self.shares))
            or self.scores.shape != (count,)
            or len(self.control) != count
        ):
            raise ValueError(
                f"values {self.values.shape}, scores {self.scores.shape} and control {self.control.shape} do not fit"
                f" {count} texts and {len(self.shares)} shares"
            )

    @property
    def score(self) -> float:
        """The mean over texts."""
        return float(self.scores.mean())

    @property
    def control_score(self) -> float:
        """What random orders get, the mean over texts and draws."""
        return float(self.control.mean())

    @property
    def better_than_random(self) -> np.ndarray:
        """For each text the share of random orders that do worse, ties half; float32 (text,)."""
        sign = 1 if self.larger_is_better else -1
        ahead = sign * (self.scores[:, None] - self.control)
        share: np.ndarray = ((ahead > 0) + 0.5 * (ahead == 0)).mean(axis=1)
        return share.astype(np.float32)

    def __repr__(self) -> str:
        better = "larger" if self.larger_is_better else "smaller"
        return (
            f"Faithfulness({self.method} of {self.attribution}: {self.score:.4g}, random {self.control_score:.4g},"
            f" {better} is better; {len(self.texts)} texts)"
        )

    def to_columns(self) -> dict[str, list[Any]]:
        text, point = (index.ravel() for index in np.indices(self.values.shape))
        return {
            "text": text.tolist(),
            "share": self.shares[point].tolist(),
            self.method: self.values.ravel().tolist(),
            "target": [self.targets[i] for i in text],
        }
