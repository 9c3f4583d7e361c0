"""What a target does when activations are exchanged between two prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurowidget.results.base import Result, read_only


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class PatchingEffects(Result):
    """Activations of one prompt put into the run of another, float32 (layer, column), means over the pairs.

    A column is a position, a head or a neuron (`axis`), named in `labels`. `denoise` is F(corrupt; a<-clean) - F(corrupt):
    what the clean activation brings back; `noise` is F(clean) - F(clean; a<-corrupt): what is lost without it; None when
    not asked for. `total` (pair,) is F(clean) - F(corrupt). The shares are the same divided by the mean total, so that 1
    is all of it; NaN where its size is under `noise_floor`. `denoise_by_pair`, `noise_by_pair` are (pair, layer, column).
    For neurons `exact` marks those that were run; the others are first-order estimates, and `agreement` compares both.
    """

    layers: tuple[int, ...]
    site: str  # residual, attention, mlp, heads or neurons
    axis: str  # position, head or neuron
    labels: tuple[str, ...]
    corrupt_labels: tuple[str, ...]  # differs from labels where the axis is position and the tokens differ
    positions: np.ndarray  # int32 (place, 2): the positions that were exchanged, in clean and corrupt of the first pair
    target: str
    clean_texts: tuple[str, ...]
    corrupt_texts: tuple[str, ...]
    clean: np.ndarray  # float32 (pair,): F(clean)
    corrupt: np.ndarray
    denoise_by_pair: np.ndarray | None
    noise_by_pair: np.ndarray | None
    exact: np.ndarray  # bool (layer, column)
    noise_floor: float
    stack: str | None = None
    denoise_interval: np.ndarray | None = None  # float32 (2, layer, column), 95 % bootstrap over pairs; None under 6
    noise_interval: np.ndarray | None = None
    agreement: dict[str, float] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.layers), len(self.labels))
        pairs = len(self.clean_texts)
        object.__setattr__(self, "exact", read_only(self.exact, np.bool_))
        object.__setattr__(self, "positions", read_only(self.positions, np.int32))
        wanted: dict[str, tuple[int, ...]] = {"clean": (pairs,), "corrupt": (pairs,)}
        wanted |= dict.fromkeys(("denoise_by_pair", "noise_by_pair"), (pairs, *shape))
        wanted |= dict.fromkeys(("denoise_interval", "noise_interval"), (2, *shape))
        for name, expected in wanted.items():
            value = getattr(self, name)
            if value is None and name not in ("clean", "corrupt"):
                continue
            object.__setattr__(self, name, read_only(value, np.float32))
            if getattr(self, name).shape != expected:
                raise ValueError(f"{name} {getattr(self, name).shape} does not fit: expected {expected}")
        if self.exact.shape != shape or len(self.corrupt_labels) != shape[1]:
            raise ValueError(f"exact {self.exact.shape} and {len(self.corrupt_labels)} corrupt labels need {shape}")
        if self.denoise_by_pair is None and self.noise_by_pair is None:
            raise ValueError("expected denoise, noise, or both")

    @property
    def denoise(self) -> np.ndarray | None:
        return None if self.denoise_by_pair is None else self.denoise_by_pair.mean(axis=0)

    @property
    def noise(self) -> np.ndarray | None:
        return None if self.noise_by_pair is None else self.noise_by_pair.mean(axis=0)

    @property
    def total(self) -> np.ndarray:
        """F(clean) - F(corrupt) of each pair, float32 (pair,)."""
        return np.asarray(self.clean - self.corrupt)

    @property
    def denoise_share(self) -> np.ndarray | None:
        """`denoise` divided by the mean total effect."""
        return self._share(self.denoise)

    @property
    def noise_share(self) -> np.ndarray | None:
        """`noise` divided by the mean total effect."""
        return self._share(self.noise)

    def _share(self, values: np.ndarray | None) -> np.ndarray | None:
        total = float(self.total.mean())
        if values is None:
            return None
        return values / total if abs(total) >= self.noise_floor else np.full_like(values, np.nan)

    def top(self, k: int = 20, direction: str = "denoise") -> list[tuple[int, str, float]]:
        """The k cells with the largest |effect|: layer, label of the column, effect; ties by layer and column."""
        if direction not in ("denoise", "noise"):
            raise ValueError(f"direction is 'denoise' or 'noise', got {direction!r}")
        values = getattr(self, direction)
        if values is None:
            raise ValueError(f"{direction} was not asked for: patching_effects(..., how='both')")
        order = np.argsort(-np.abs(values).ravel(), kind="stable")[:k]
        width = values.shape[1]
        return [(self.layers[i // width], self.labels[i % width], float(values.flat[i])) for i in order]

    def to_columns(self) -> dict[str, list[Any]]:
        layer, column = np.indices(self.exact.shape).reshape(2, -1)
        columns: dict[str, list[Any]] = {
            "layer": np.asarray(self.layers)[layer].tolist(),
            self.axis: column.tolist() if self.axis != "position" else self.positions[column, 0].tolist(),
            "label": [self.labels[i] for i in column],
        }
        for name in ("denoise", "noise"):
            values, share = getattr(self, name), getattr(self, f"{name}_share")
            if values is not None:
                columns[name], columns[f"{name}_share"] = values.ravel().tolist(), share.ravel().tolist()
        columns["exact"] = self.exact.ravel().tolist()
        return columns
