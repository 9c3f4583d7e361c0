"""What a model answers for one text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from neurowidget.results.base import Result, read_only
from neurowidget.results.tokens import Tokens


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Prediction(Result):
    """Classes with probabilities, or the most probable next tokens, most probable first.

    `kind` is "classes", "next_token" (causal and seq2seq language models), "masked_token" or "token_classes".
    `all_logits` holds every class or the whole vocabulary, so that two predictions can be compared token by token.
    """

    kind: str
    text: str
    tokens: Tokens
    position: int  # the token position that is read, -1 for a whole-text class
    labels: tuple[str, ...]
    ids: np.ndarray  # int64 (label,): class number or token id
    probabilities: np.ndarray  # float32 (label,)
    all_logits: np.ndarray  # float32 (class or vocabulary,)
    interventions: tuple[str, ...] = ()

    signed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", read_only(self.ids, np.int64))
        object.__setattr__(self, "probabilities", read_only(self.probabilities, np.float32))
        object.__setattr__(self, "all_logits", read_only(self.all_logits, np.float32))
        if not len(self.labels) == len(self.ids) == len(self.probabilities):
            raise ValueError(f"{len(self.labels)} labels, {len(self.ids)} ids, {len(self.probabilities)} probabilities")

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.labels[0]

    @property
    def probability(self) -> float:
        """The probability of the most probable label."""
        return float(self.probabilities[0])

    def __getitem__(self, label: str) -> float:
        """The probability of a label; raises KeyError naming the labels that are here."""
        if label not in self.labels:
            raise KeyError(f"no label {label!r} here; there are {', '.join(map(repr, self.labels))}")
        return float(self.probabilities[self.labels.index(label)])

    def to_columns(self) -> dict[str, list[Any]]:
        return {
            "label": list(self.labels),
            "id": self.ids.tolist(),
            "probability": self.probabilities.tolist(),
        }

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{label!r} {p:.3f}" for label, p in zip(self.labels[:5], self.probabilities[:5], strict=True)
        )
        more = ", ..." if len(self.labels) > 5 else ""
        changed = f" with {'; '.join(self.interventions)}" if self.interventions else ""
        return f"Prediction({self.text[:60]!r}: {shown}{more}{changed})"
