"""Which neurons belong together, without labels: `group_neurons`, `match_neurons`, `layer_similarity`."""

from collections.abc import Callable

from neurowidget.analysis.grouping.correlation_clusters import correlation_clusters
from neurowidget.analysis.grouping.nmf import nmf
from neurowidget.analysis.grouping.pca_map import pca_map
from neurowidget.results.base import Result

METHODS: dict[str, Callable[..., Result]] = {
    "correlation_clusters": correlation_clusters,
    "nmf": nmf,
    "pca_map": pca_map,
}

__all__ = ["METHODS"]
