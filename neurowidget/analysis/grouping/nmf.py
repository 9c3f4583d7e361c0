"""Factors of neurons that fire together: non-negative matrix factorisation (Olah et al. 2018; Alammar 2021)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from neurowidget.analysis.grouping.columns import columns_of, provenance_of
from neurowidget.results.activations import Activations
from neurowidget.results.groups import NeuronFactors


def nmf(
    acts: Activations,
    sites: str | Sequence[str] | None = None,
    layers: int | Sequence[int] | None = None,
    count: int = 8,
    seed: int = 0,
    steps: int = 200,
) -> NeuronFactors:
    """`count` factors of max(a, 0) by scikit-learn's NMF (coordinate descent, started by nndsvd).

    Negative activations count as 0: an MLP neuron after GELU or SiLU has at least -0.28. Raises ValueError when no
    activation is above 0, or for more factors than rows or neurons.
    """
    columns = columns_of(acts, sites, layers)
    values = np.maximum(columns.values, 0)
    if not 1 <= count <= min(values.shape):
        raise ValueError(f"count={count}: expected 1 to {min(values.shape)} factors for {values.shape} (token, neuron)")
    norm = float(np.linalg.norm(values))
    if norm == 0:
        raise ValueError("no activation is above 0, so there is nothing to factorise")
    model = NMF(count, init="nndsvd", random_state=seed, max_iter=steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the error is part of the result
        weights = model.fit_transform(values)
    sizes = np.linalg.norm(model.components_, axis=1)
    sizes[sizes == 0] = 1
    weights, loadings = weights * sizes, model.components_ / sizes[:, None]
    order = np.argsort(-np.linalg.norm(weights, axis=0), kind="stable")
    return NeuronFactors(
        sites=columns.sites,
        widths=columns.widths,
        loadings=loadings[order],
        token_weights=weights[:, order],
        pieces=columns.pieces,
        error=float(np.linalg.norm(values - weights @ loadings) / norm),
        provenance=provenance_of(acts, columns, "nmf", seed, count=count, steps=steps),
    )
