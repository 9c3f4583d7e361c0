"""How far several rankings of the same neurons agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurowidget.results.base import Result, read_only


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class RankingAgreement(Result):
    """Rankings by `names`, in pairs and each against all others; all numbers 1 = the same, float32.

    `spearman` and `rank_biased_overlap` are (ranking, ranking), over all neurons. `overlap` (size, ranking, ranking) is the
    Jaccard overlap of the top `sizes[i]` neurons, `average_overlap` (size, ranking) its mean over the other rankings, and
    `neuron_vote` (size, ranking) the overlap with what the other rankings vote for. `chance` (size,) is that of random sets.
    """

    names: tuple[str, ...]
    neurons: int
    sizes: np.ndarray
    spearman: np.ndarray
    rank_biased_overlap: np.ndarray
    overlap: np.ndarray
    average_overlap: np.ndarray
    neuron_vote: np.ndarray
    chance: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", read_only(self.sizes, np.int64))
        count, sizes = len(self.names), len(self.sizes)
        shapes = {
            "spearman": (count, count), "rank_biased_overlap": (count, count), "overlap": (sizes, count, count),
            "average_overlap": (sizes, count), "neuron_vote": (sizes, count), "chance": (sizes,),
        }  # fmt: skip
        for name, shape in shapes.items():
            object.__setattr__(self, name, read_only(getattr(self, name), np.float32))
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} {getattr(self, name).shape} does not fit: expected {shape}")

    def __repr__(self) -> str:
        return (
            f"RankingAgreement({', '.join(self.names)}; {self.neurons} neurons, top {', '.join(map(str, self.sizes))})"
        )

    def to_columns(self) -> dict[str, list[Any]]:
        """One row per ranking and size."""
        rows = [(i, j) for j in range(len(self.names)) for i in range(len(self.sizes))]
        return {
            "ranking": [self.names[j] for _, j in rows],
            "top": [int(self.sizes[i]) for i, _ in rows],
            "average_overlap": [float(self.average_overlap[i, j]) for i, j in rows],
            "neuron_vote": [float(self.neuron_vote[i, j]) for i, j in rows],
            "chance": [float(self.chance[i]) for i, _ in rows],
        }
