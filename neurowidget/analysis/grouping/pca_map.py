"""A plane on which neurons that fire together are near: principal components of standardised neurons."""

from __future__ import annotations

from collections.abc import Sequence

from sklearn.decomposition import PCA

from neurowidget.analysis.grouping.columns import columns_of, provenance_of
from neurowidget.results.activations import Activations
from neurowidget.results.groups import NeuronMap


def pca_map(
    acts: Activations,
    sites: str | Sequence[str] | None = None,
    layers: int | Sequence[int] | None = None,
    seed: int = 0,
) -> NeuronMap:
    """The first two principal components over neurons, each neuron standardised over the tokens (randomised SVD)."""
    columns = columns_of(acts, sites, layers)
    z, _ = columns.standardised()
    model = PCA(2, svd_solver="randomized", random_state=seed)
    places = model.fit_transform(z.T.numpy())
    return NeuronMap(
        sites=columns.sites,
        widths=columns.widths,
        places=places,
        explained=tuple(float(share) for share in model.explained_variance_ratio_),
        provenance=provenance_of(acts, columns, "pca_map", seed),
    )
