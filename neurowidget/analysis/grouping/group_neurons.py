"""`group_neurons`: which neurons belong together, without labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurowidget.analysis.grouping import METHODS
from neurowidget.results.activations import Activations
from neurowidget.results.base import Result


def group_neurons(
    acts: Activations, method: str | Callable[..., Result] = "correlation_clusters", **options: Any
) -> Result:
    """Groups, factors or a map of the neurons of `acts`, by a method of the family or a callable like one.

    `options` go to the method: `sites` and `layers` choose neurons; see `correlation_clusters`, `nmf`, `pca_map`.
    """
    chosen = METHODS.get(method) if isinstance(method, str) else method
    if chosen is None:
        raise ValueError(f"method={method!r}: expected one of {', '.join(map(repr, METHODS))}, or a callable")
    return chosen(acts, **options)
