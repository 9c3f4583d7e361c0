"""Inner states read as tokens: what each layer would predict, and what a direction promotes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurowidget.results.base import Result, read_only
from neurowidget.results.tokens import Tokens


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class LogitLens(Result):
    """What the model's head reads from the residual stream after each layer, at each token of one text.

    `ids` int64 (layer, token, k) are the most probable tokens there, `probabilities` float32 the same shape;
    `answer_ids` int64 (token,) what the whole model predicts, `answer_probabilities` and `answer_ranks` (layer, token)
    how probable that is after each layer and how many tokens are more so, `kl` the KL(whole model || layer) in nats.
    """

    tokens: Tokens
    layers: tuple[int, ...]
    ids: np.ndarray
    probabilities: np.ndarray
    answer_ids: np.ndarray
    answer_probabilities: np.ndarray
    answer_ranks: np.ndarray
    kl: np.ndarray
    labels: dict[int, str]  # every id that occurs, as text
    stack: str | None = None

    def __post_init__(self) -> None:
        shape = (len(self.layers), len(self.tokens))
        wanted = {"ids": np.int64, "answer_ids": np.int64, "answer_ranks": np.int32}
        for name in ("ids", "probabilities", "answer_ids", "answer_probabilities", "answer_ranks", "kl"):
            object.__setattr__(self, name, read_only(getattr(self, name), wanted.get(name, np.float32)))
            array = getattr(self, name)
            expected = shape[1:] if name == "answer_ids" else shape
            if array.shape[: len(expected)] != expected:
                raise ValueError(f"{name} {array.shape} does not fit {shape[0]} layers and {shape[1]} tokens")

    def label(self, layer: int, token: int, rank: int = 0) -> str:
        """The token that is predicted at `token` after `layer`, the most probable one first."""
        return self.labels[int(self.ids[self.layers.index(layer), token, rank])]

    def to_columns(self) -> dict[str, list[Any]]:
        layer, token = np.indices(self.kl.shape).reshape(2, -1)
        return {
            "layer": np.asarray(self.layers)[layer].tolist(),
            "token": token.tolist(),
            "piece": [self.tokens.pieces[i] for i in token],
            "predicted": [self.labels[i] for i in self.ids[layer, token, 0].tolist()],
            "probability": self.probabilities[layer, token, 0].tolist(),
            "answer_probability": self.answer_probabilities[layer, token].tolist(),
            "answer_rank": self.answer_ranks[layer, token].tolist(),
            "kl": self.kl[layer, token].tolist(),
        }


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class PromotedTokens(Result):
    """The tokens whose logits a direction of the residual stream raises and lowers most, by the model's own head.

    `scores` float32 (2 * k,) are logits, the k highest first, then the k lowest, lowest first; they compare tokens, not
    neurons, since the final norm takes the length of the direction away (`frozen_norm` says how). `approximate` is
    True where the head is more than a norm and a linear layer.
    """

    name: str  # of the neuron, or what else the direction is
    tokens: tuple[str, ...]
    ids: np.ndarray
    scores: np.ndarray
    frozen_norm: str
    approximate: bool
    weight_norm: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", read_only(self.ids, np.int64))
        object.__setattr__(self, "scores", read_only(self.scores, np.float32))
        if not len(self.tokens) == len(self.ids) == len(self.scores):
            raise ValueError(f"{len(self.tokens)} tokens, {len(self.ids)} ids and {len(self.scores)} scores do not fit")

    @property
    def promoted(self) -> tuple[str, ...]:
        return self.tokens[: len(self.tokens) // 2]

    @property
    def suppressed(self) -> tuple[str, ...]:
        return self.tokens[len(self.tokens) // 2 :]

    def to_columns(self) -> dict[str, list[Any]]:
        return {"token": list(self.tokens), "id": self.ids.tolist(), "score": self.scores.tolist()}
