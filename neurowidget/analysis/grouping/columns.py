"""Activations as one matrix (token, neuron) over all chosen sites and layers, without special tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from neurowidget.neuron import LayerSite
from neurowidget.results.activations import Activations
from neurowidget.results.base import Provenance


@dataclass(frozen=True)
class Columns:
    """`values` float32 (token, neuron); the neurons are those of `sites`, each with its width, in order."""

    sites: tuple[str, ...]
    widths: tuple[int, ...]
    values: np.ndarray
    pieces: tuple[str, ...]

    def standardised(self) -> tuple[torch.Tensor, np.ndarray]:
        """Columns of mean 0 and length 1, so that a product of two is their correlation; and which columns vary.

        A column is constant when its standard deviation is below 1e-6 of its largest value; it becomes 0.
        """
        values = torch.from_numpy(np.array(self.values))
        values -= values.mean(dim=0)
        largest = torch.from_numpy(np.abs(self.values).max(axis=0))
        length = torch.linalg.vector_norm(values, dim=0)
        varies = length > 1e-6 * largest.clamp(min=torch.finfo(torch.float32).tiny) * len(values) ** 0.5
        values /= torch.where(varies, length, torch.inf)
        return values, varies.numpy()


def columns_of(
    acts: Activations, sites: str | Sequence[str] | None = None, layers: int | Sequence[int] | None = None
) -> Columns:
    """The neurons of some sites (all if None) and layers over the rows that are not special.

    Raises ValueError for sites of two stacks at once, for layers that are not there, NaN, and fewer than 3 rows.
    """
    names = list(acts.values) if sites is None else [sites] if isinstance(sites, str) else list(sites)
    stacks = {name.startswith("decoder.") for name in names}
    if len(stacks) != 1:
        raise ValueError(f"sites={names}: expected one or more sites of one stack, whose tokens are the same")
    tokens = acts.tokens_for(names[0])
    rows = np.flatnonzero(~tokens.special)
    wanted = None if layers is None else {layers} if isinstance(layers, int) else set(layers)
    found_sites, widths, blocks = [], [], []
    for name in names:
        stack, _, site = name.rpartition(".")
        for layer, values in zip(acts.layers[name], acts[name], strict=True):
            if wanted is None or layer in wanted:
                found_sites.append(str(LayerSite(layer, site, stack or None)))
                widths.append(values.shape[1])
                blocks.append(np.asarray(values[rows], dtype=np.float32))
    if not blocks:
        raise ValueError(
            f"layers={layers}: expected some of {sorted({n for name in names for n in acts.layers[name]})}"
        )
    if len(rows) < 3:
        raise ValueError(f"there are {len(rows)} rows that are no special tokens: expected 3 or more")
    values = np.concatenate(blocks, axis=1)
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).any(axis=1).sum())
        raise ValueError(f"{bad} of {len(rows)} rows have NaN or infinite activations: leave those texts out")
    return Columns(tuple(found_sites), tuple(widths), values, tuple(tokens.pieces[row] for row in rows))


def provenance_of(
    acts: Activations, columns: Columns, method: str, seed: int | None = None, **parameters: Any
) -> Provenance:
    """The provenance of the activations with the method that was run on them."""
    given = {**acts.provenance.parameters, **parameters, "rows": len(columns.values)}
    return replace(acts.provenance, method=method, site=", ".join(columns.sites), seed=seed, parameters=given)
