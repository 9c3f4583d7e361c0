"""Which neurons a text excites more than the corpus does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurowidget.results.base import Result, read_only


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class FiringNeurons(Result):
    """Neurons ranked by how far their activation in a text is above what they do in a corpus, the most unusual first.

    Entry i of every array is about `neurons[i]`, at its most unusual token among those looked at: `token` its position,
    `piece` its text, `activation` its value there, `z` = (activation - mean) / sd over the corpus, `percentile` the share
    of the corpus's tokens under it, in percent. `by` is what ranks.
    """

    neurons: tuple[str, ...]
    token: np.ndarray  # int32 (neuron,)
    pieces: tuple[str, ...]
    activation: np.ndarray  # float32 (neuron,)
    z: np.ndarray  # float32 (neuron,)
    percentile: np.ndarray  # float32 (neuron,)
    by: str
    text: str
    corpus: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "token", read_only(self.token, np.int32))
        for name in ("activation", "z", "percentile"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float32))
        sizes = {len(getattr(self, name)) for name in ("neurons", "pieces", "token", "activation", "z", "percentile")}
        if len(sizes) != 1:
            raise ValueError(f"every field needs one entry for each of the {len(self.neurons)} neurons, got {sizes}")

    def __len__(self) -> int:
        return len(self.neurons)

    def __repr__(self) -> str:
        return f"FiringNeurons({len(self)} neurons by {self.by}, against {self.corpus!r})"

    def __str__(self) -> str:
        lines = [repr(self)]
        lines += [
            f"  {name:<16} {self.activation[i]:8.3f} at {piece.strip()!r}: z {self.z[i]:.1f}, {self.percentile[i]:.1f} %"
            for i, (name, piece) in enumerate(zip(self.neurons[:10], self.pieces[:10], strict=True))
        ]
        return "\n".join([*lines, "  ..."] if len(self) > 10 else lines)

    def to_columns(self) -> dict[str, list[Any]]:
        return {
            "neuron": list(self.neurons),
            "token": self.token.tolist(),
            "piece": list(self.pieces),
            "activation": self.activation.tolist(),
            "z": self.z.tolist(),
            "percentile": self.percentile.tolist(),
        }
