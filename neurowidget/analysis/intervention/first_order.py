"""How far first-order effects can be trusted: which neurons are run again, and how both numbers compare."""

from __future__ import annotations

import numpy as np

CHECKED = 50  # random neurons, and neurons that are moved farthest, beside the largest estimates
TOP = 20


def to_verify(estimates: np.ndarray, moved: np.ndarray, verify: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The neurons to run again and, among them, the uniform sample, both bool (layer, neuron).

    The `verify` largest |estimate|, 50 at random, and the 50 that the ablation moves farthest: first order is worst
    there. None when `verify` is 0. Neurons whose estimate is NaN are not candidates.
    """
    chosen, uniform = np.zeros(estimates.shape, dtype=bool), np.zeros(estimates.shape, dtype=bool)
    candidates = np.flatnonzero(~np.isnan(estimates))
    if verify > 0 and len(candidates):
        drawn = np.random.default_rng(seed).permutation(candidates)[:CHECKED]
        uniform.flat[drawn] = True
        chosen.flat[_largest(estimates, candidates, verify)] = True
        chosen.flat[_largest(moved, candidates, CHECKED)] = True
    return chosen | uniform, uniform


def agreement(
    estimates: np.ndarray, exact_values: np.ndarray, exact: np.ndarray, uniform: np.ndarray
) -> dict[str, float] | None:
    """The estimates against the exact effects of the neurons that were run again, None when there are under three.

    `spearman` over all of them, `spearman_uniform` over the random ones alone (NaN when one side is constant),
    `top_overlap` the share of the `top` largest exact |effects| that are also among the largest estimates,
    `worst_error` the largest |estimate - exact|, `neurons` how many.
    """
    first, second = estimates[exact], exact_values[exact]
    if len(first) < 3:
        return None
    top = min(TOP, len(first) // 2)
    shared = np.intersect1d(np.argsort(-np.abs(first))[:top], np.argsort(-np.abs(second))[:top])
    return {
        "neurons": float(len(first)),
        "spearman": _spearman(first, second),
        "spearman_uniform": _spearman(estimates[uniform], exact_values[uniform]),
        "top": float(top),
        "top_overlap": len(shared) / top,
        "worst_error": float(np.abs(first - second).max()),
    }


def _largest(values: np.ndarray, candidates: np.ndarray, count: int) -> np.ndarray:
    order = np.argsort(-np.abs(values.ravel()[candidates]), kind="stable")
    return np.asarray(candidates[order[:count]])


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
    from scipy.stats import spearmanr

    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first, second).statistic)
