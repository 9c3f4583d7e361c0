"""Bootstrap intervals of a mean over texts: texts are resampled, never tokens."""

from __future__ import annotations

import numpy as np

MINIMUM_TEXTS = 6  # under six texts a bootstrap interval means nothing
_COLUMNS = 2048  # how many means are resampled at a time: bounds memory at resamples x 2048 float64


def bootstrap_interval(
    values: np.ndarray,
    *,
    level: float = 0.95,
    method: str = "bca",
    resamples: int = 2000,
    seed: int = 0,
) -> np.ndarray | None:
    """The bootstrap confidence interval of the mean of `values` over its first axis, the texts.

    `values` is (text, ...), the answer float64 (2, ...): low, high. None under six texts, NaN where a value
    is NaN. `method` is "bca" (bias-corrected and accelerated; Efron 1987, as in scipy.stats.bootstrap) or
    "percentile". Where all texts agree, low = high = that value. Every entry sees the same resampled texts,
    so the intervals of one call can be compared. Raises ValueError for an unknown method or a level outside
    (0, 1).
    """
    if method not in ("bca", "percentile"):
        raise ValueError(f"method must be 'bca' or 'percentile', got {method!r}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")
    values = np.asarray(values, dtype=np.float64)
    texts = len(values)
    if texts < MINIMUM_TEXTS:
        return None
    flat = values.reshape(texts, -1)
    drawn = np.random.default_rng(seed).integers(0, texts, size=(resamples, texts))
    counts = np.zeros((resamples, texts))
    np.add.at(counts, (np.arange(resamples)[:, None], drawn), 1.0)
    weights = counts / texts
    tail = (1 - level) / 2
    interval = np.full((2, flat.shape[1]), np.nan)
    known = np.flatnonzero(~np.isnan(flat).any(axis=0))
    for first in range(0, len(known), _COLUMNS):
        columns = known[first : first + _COLUMNS]
        interval[:, columns] = _interval(flat[:, columns], weights, tail, method)
    return interval.reshape(2, *values.shape[1:])


def _interval(values: np.ndarray, weights: np.ndarray, tail: float, method: str) -> np.ndarray:
    """(text, column) and (resample, text) to (2, column)."""
    means = np.sort(weights @ values, axis=0)
    wanted = np.array([tail, 1 - tail])[:, None]
    if method == "bca":
        wanted = _bca_levels(values, means, wanted)
    else:
        wanted = np.repeat(wanted, values.shape[1], axis=1)
    place = wanted * (len(means) - 1)
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, len(means) - 1)
    low, high = np.take_along_axis(means, below, axis=0), np.take_along_axis(means, above, axis=0)
    interval = low + (high - low) * (place - below)
    constant = values.min(axis=0) == values.max(axis=0)
    interval[:, constant] = values[0, constant]
    return interval


def _bca_levels(values: np.ndarray, means: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which quantiles of the resampled means are read (Efron and Tibshirani 1993, equations 14.10 and 14.14)."""
    from scipy.special import ndtr, ndtri

    observed = values.mean(axis=0)
    rounding = 1e-12 * np.abs(values).max(axis=0)  # ties stay ties, whatever the order of summation
    below = ((means < observed - rounding).mean(axis=0) + (means <= observed + rounding).mean(axis=0)) / 2
    bias = ndtri(np.clip(below, 0.5 / len(means), 1 - 0.5 / len(means)))
    # Leaving text i out moves the mean by (mean - value_i) / (n - 1): the jackknife needs no loop.
    moved = values - observed
    spread = (moved**2).sum(axis=0)
    safe = np.where(spread > 0, spread, 1.0)
    acceleration = np.where(spread > 0, (moved**3).sum(axis=0) / (6 * safe**1.5), 0.0)
    shifted = bias + ndtri(wanted)
    return np.asarray(ndtr(bias + shifted / (1 - acceleration * shifted)))
