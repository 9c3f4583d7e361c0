"""Neurons that say the same: agglomerative clusters of 1 - |correlation| (Dalvi et al. 2020, section 5.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from neurowidget.analysis.grouping.columns import columns_of, provenance_of
from neurowidget.models.progress import StopFlag, check
from neurowidget.results.activations import Activations
from neurowidget.results.groups import NeuronGroups

BLOCK = 2048
MOST_TOGETHER = 16_384  # neurons of one connected part: their distances take 1 GB
MOST_PAIRS = 200_000_000


def correlation_clusters(
    acts: Activations,
    sites: str | Sequence[str] | None = None,
    layers: int | Sequence[int] | None = None,
    threshold: float = 0.3,
    should_stop: StopFlag | None = None,
) -> NeuronGroups:
    """Groups whose average distance 1 - |Pearson correlation| is at most `threshold`, by average linkage.

    Two groups that merge at average linkage have a pair of neurons within the threshold, so the connected parts of the
    graph of such pairs are clustered one by one: the result is that of the whole matrix, which is never built. A
    neuron that is constant has no group. Raises ValueError for a threshold outside 0 to 1, and MemoryError when one
    connected part has more than 16,384 neurons.
    """
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold={threshold}: expected a distance from 0 up to 1, such as 0.3")
    columns = columns_of(acts, sites, layers)
    standardised, varies = columns.standardised()
    z = standardised.T.contiguous()  # (neuron, token): few neurons at a time are picked out of it below
    labels = np.full(len(z), -1, np.int64)
    closeness = np.full(len(z), np.nan, np.float32)
    parts = _parts(z, varies, threshold, should_stop)
    representatives = [int(part[0]) for part in parts if len(part) == 1]
    done = len(representatives)
    labels[representatives], closeness[representatives] = np.arange(done), 1
    for part in parts:
        if len(part) == 1:
            continue
        check(should_stop)
        near = (z[part] @ z[part].T).abs_().clamp_(max=1)
        own = _average_linkage(near, threshold)
        for group in range(own.max() + 1):
            inside = np.flatnonzero(own == group)
            within = near[inside][:, inside]
            centre = int(within.sum(dim=1).argmax())
            labels[part[inside]] = done
            representatives.append(int(part[inside[centre]]))
            closeness[part[inside]] = within[centre].numpy()
            done += 1

    firsts = np.full(done, len(z))
    grouped = np.flatnonzero(labels >= 0)
    np.minimum.at(firsts, labels[grouped], grouped)
    order = np.argsort(firsts, kind="stable")
    numbered = np.empty(done, np.int64)
    numbered[order] = np.arange(done)
    labels[grouped] = numbered[labels[grouped]]
    return NeuronGroups(
        sites=columns.sites,
        widths=columns.widths,
        labels=labels,
        representatives=np.asarray(representatives, np.int64)[order],
        closeness=closeness,
        threshold=float(threshold),
        tokens=z.shape[1],
        provenance=provenance_of(acts, columns, "correlation_clusters", threshold=threshold),
    )


def _parts(z: torch.Tensor, varies: np.ndarray, threshold: float, should_stop: StopFlag | None) -> list[np.ndarray]:
    """The connected parts of the graph that joins neurons with |correlation| >= 1 - threshold, constant ones left out."""
    count = len(z)
    firsts, seconds, found = [], [], 0
    for start in range(0, count, BLOCK):
        check(should_stop)
        near = (z[start : start + BLOCK] @ z[start:].T).abs_()
        first, second = torch.nonzero(near >= 1 - threshold - 1e-6, as_tuple=True)
        kept = second > first
        firsts.append((first[kept] + start).to(torch.int32).numpy())
        seconds.append((second[kept] + start).to(torch.int32).numpy())
        found += int(kept.sum())
        if found > MOST_PAIRS:
            raise MemoryError(f"more than {MOST_PAIRS:,} pairs of neurons are within {threshold}: lower the threshold")
    pairs = np.concatenate(firsts), np.concatenate(seconds)
    graph = coo_array((np.ones(found, bool), pairs), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    order = np.argsort(component, kind="stable")
    cuts = np.flatnonzero(np.diff(component[order])) + 1
    parts = [part for part in np.split(order, cuts) if varies[part[0]]]
    largest = max(map(len, parts), default=0)
    if largest > MOST_TOGETHER:
        raise MemoryError(
            f"{largest:,} neurons are connected within {threshold}, more than the {MOST_TOGETHER:,} that fit: lower the"
            " threshold or take fewer layers at once"
        )
    return parts


def _average_linkage(near: torch.Tensor, threshold: float) -> np.ndarray:
    """The group of each neuron, from 0, of one connected part."""
    upper = torch.triu_indices(len(near), len(near), offset=1)
    distances = (1 - near[upper[0], upper[1]]).numpy().astype(np.float64)
    del upper
    found: np.ndarray = fcluster(linkage(distances, "average"), threshold, "distance") - 1
    return found
