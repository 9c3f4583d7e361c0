"""What one part of a model does to another, or to the answer, along the residual stream alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurowidget.results.base import Result, read_only


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class PathEffects(Result):
    """Effects of senders by the direct path, F(clean) - F(path changed), float32 (sender, receiver), means over texts.

    Without `receivers` there is one column: what the sender does to the target directly, every attention and mlp value
    after it held as it was. With receivers, only these read the change, and the rest follows from theirs;
    `activation_changes` (sender, receiver) is the receiver's mean clean value less the one that it then takes. `total`
    (sender,) is the effect of the sender by all paths; `by_text` is (text, sender, receiver or 1).
    """

    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    target: str
    change: str  # what the senders take instead: "their value in <text>", "zero", "mean over ..."
    texts: tuple[str, ...]
    clean: np.ndarray  # float32 (text,)
    by_text: np.ndarray
    total: np.ndarray
    activation_changes: np.ndarray | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.texts), len(self.senders), max(1, len(self.receivers)))
        wanted = {"clean": shape[:1], "by_text": shape, "total": shape[1:2], "activation_changes": shape[1:]}
        for name, expected in wanted.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, read_only(getattr(self, name), np.float32))
                if getattr(self, name).shape != expected:
                    raise ValueError(f"{name} {getattr(self, name).shape} does not fit: expected {expected}")

    @property
    def values(self) -> np.ndarray:
        return np.asarray(self.by_text.mean(axis=0))

    def to_columns(self) -> dict[str, list[Any]]:
        sender, receiver = np.indices(self.values.shape).reshape(2, -1)
        columns: dict[str, list[Any]] = {
            "sender": [self.senders[i] for i in sender],
            "receiver": [self.receivers[i] if self.receivers else self.target for i in receiver],
            "effect": self.values.ravel().tolist(),
            "total": self.total[sender].tolist(),
        }
        if self.activation_changes is not None:
            columns["activation_change"] = self.activation_changes.ravel().tolist()
        return columns
