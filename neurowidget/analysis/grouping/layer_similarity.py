"""How alike layers are: linear CKA (Kornblith et al. 2019), SVCCA (Raghu et al. 2017), PWCCA (Morcos et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from neurowidget.analysis.grouping.columns import Columns, columns_of, provenance_of
from neurowidget.results.activations import Activations
from neurowidget.results.groups import LayerSimilarity

VARIANCE_KEPT = 0.99


def layer_similarity(
    acts: Activations,
    other: Activations | None = None,
    method: Literal["cka", "svcca", "pwcca"] = "cka",
    sites: str | Sequence[str] | None = None,
    layers: int | Sequence[int] | None = None,
) -> LayerSimilarity:
    """Similarity of every layer of `acts` with every layer of `other` (or of itself), 0 to 1.

    Both need the same rows in the same order; for models with different tokenizers extract words. `cka` is linear:
    |Y'X|^2 / (|X'X| |Y'Y|) of centred columns. `svcca` is the mean canonical correlation of the singular directions that
    keep 99 % of the variance, `pwcca` weights them by how much of the first layer they account for: it is not symmetric.
    CCA of nearly as many directions as rows is near 1 whatever the layers; the call refuses fewer than 2 rows per direction.
    """
    if method not in _METHODS:
        raise ValueError(f"method={method!r}: expected one of {', '.join(map(repr, _METHODS))}")
    first = columns_of(acts, sites, layers)
    second = first if other is None else columns_of(other, sites, layers)
    if len(first.values) != len(second.values):
        raise ValueError(
            f"{len(first.values)} and {len(second.values)} rows: expected the same tokens in both; for different"
            " tokenizers use extract(..., words='last')"
        )
    ones, others = ([_centred(block) for block in _blocks(columns)] for columns in (first, second))
    values = [[_METHODS[method](x, y) for y in others] for x in ones]
    return LayerSimilarity(
        values=np.asarray(values),
        rows=first.sites,
        columns=second.sites,
        method=method,
        tokens=len(first.values),
        provenance=provenance_of(acts, first, f"layer_similarity {method}"),
    )


def _blocks(columns: Columns) -> list[np.ndarray]:
    return np.split(columns.values, np.cumsum(columns.widths)[:-1], axis=1)


def _centred(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)


def _cka(x: np.ndarray, y: np.ndarray) -> float:
    if len(x) < min(x.shape[1], y.shape[1]):  # the Gram matrices of rows are the smaller ones
        a, b = x @ x.T, y @ y.T
        together, alone = float((a * b).sum()), float(np.linalg.norm(a) * np.linalg.norm(b))
    else:
        together = float(np.linalg.norm(y.T @ x) ** 2)
        alone = float(np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    return together / alone if alone > 0 else float("nan")


def _directions(x: np.ndarray) -> np.ndarray:
    """Orthonormal directions over the rows that keep 99 % of the variance, (row, direction)."""
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    if s[0] == 0:
        raise ValueError("a layer is constant over all rows")
    kept = int(np.searchsorted(np.cumsum(s**2) / (s**2).sum(), VARIANCE_KEPT)) + 1
    if len(x) < 2 * kept:
        raise ValueError(
            f"{len(x)} rows for {kept} directions that keep {VARIANCE_KEPT:.0%} of the variance: canonical correlations"
            f" need at least {2 * kept} rows; use method='cka' or more text"
        )
    return u[:, :kept]


def _svcca(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.linalg.svd(_directions(x).T @ _directions(y), compute_uv=False).clip(0, 1).mean())


def _pwcca(x: np.ndarray, y: np.ndarray) -> float:
    basis = _directions(x)
    left, correlations, _ = np.linalg.svd(basis.T @ _directions(y), full_matrices=False)
    weights = np.abs((basis @ left).T @ x).sum(axis=1)
    return float(correlations.clip(0, 1) @ weights / weights.sum())


_METHODS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"cka": _cka, "svcca": _svcca, "pwcca": _pwcca}
