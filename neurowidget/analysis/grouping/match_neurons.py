"""Neurons that come back in other models, seeds or checkpoints (Bau et al. 2019; Dalvi et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from neurowidget.analysis.grouping.columns import Columns, columns_of, provenance_of
from neurowidget.results.activations import Activations
from neurowidget.results.groups import NeuronMatches

BLOCK = 2048
SCORES = {
    "max_correlation": "largest |correlation| in any other model",
    "min_correlation": "smallest over the models of the largest |correlation|",
    "linear_regression": "held-out R2 of the neuron from all neurons of the other models",
}


def match_neurons(
    models: Sequence[Activations],
    method: Literal["max_correlation", "min_correlation", "linear_regression"] = "max_correlation",
    sites: str | Sequence[str] | None = None,
    layers: int | Sequence[int] | None = None,
    penalty: float = 1e-2,
) -> NeuronMatches:
    """How well each neuron of the first of `models` is found in the others, all over the same rows.

    With |r| the largest |Pearson correlation| of a neuron with the neurons of another model: `max_correlation` is the
    largest |r| over models, `min_correlation` the smallest. `linear_regression` predicts the neuron from all neurons of
    the other models by ridge regression (`penalty` times the number of rows, standardised), fitted on the first two
    thirds of the texts and scored on the rest: R2 on rows that were fitted would be near 1 for anything.
    A constant neuron has NaN. Raises ValueError for fewer than two models or different rows.
    """
    if method not in SCORES:
        raise ValueError(f"method={method!r}: expected one of {', '.join(map(repr, SCORES))}")
    if len(models) < 2:
        raise ValueError(f"{len(models)} models: expected two or more Activations over the same texts")
    first, *others = (columns_of(acts, sites, layers) for acts in models)
    for number, other in enumerate(others, start=1):
        if len(other.values) != len(first.values):
            raise ValueError(
                f"model 0 has {len(first.values)} rows and model {number} {len(other.values)}: expected the same tokens"
                " in all; for different tokenizers use extract(..., words='last')"
            )
    partners = np.full((len(others), first.values.shape[1]), -1, np.int64)
    if method == "linear_regression":
        found = np.stack([_regression(models[0], first, other, penalty) for other in others])
        scores = found.max(axis=0)
    else:
        z, varies = first.standardised()
        found = np.empty(partners.shape, np.float32)
        for number, other in enumerate(others):
            found[number], partners[number] = _largest(z, other.standardised()[0])
        found[:, ~varies] = np.nan
        partners[:, ~varies] = -1
        scores = found.max(axis=0) if method == "max_correlation" else found.min(axis=0)
    return NeuronMatches(
        sites=first.sites,
        widths=first.widths,
        scores=scores,
        found=found,
        partners=partners,
        other_sites=tuple(other.sites for other in others),
        other_widths=tuple(other.widths for other in others),
        score_name=method,
        tokens=len(first.values),
        provenance=provenance_of(
            models[0], first, f"match_neurons {method}", models=[acts.provenance.model for acts in models]
        ),
    )


def _largest(z: torch.Tensor, other: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The largest |correlation| of each column of `z` with the columns of `other`, and where it is."""
    best, place = [], []
    for start in range(0, z.shape[1], BLOCK):
        values, where = (z[:, start : start + BLOCK].T @ other).abs_().max(dim=1)
        best.append(values.clamp_(max=1))
        place.append(where)
    return torch.cat(best).numpy(), torch.cat(place).numpy()


def _regression(acts: Activations, first: Columns, other: Columns, penalty: float) -> np.ndarray:
    """Held-out R2 of each column of `first`, float32 (neuron,); NaN for one that is constant on either side."""
    tokens = acts.tokens_for("decoder.") if first.sites[0].startswith("decoder.") else acts.tokens
    text = tokens.sentence_index[~tokens.special]
    cut = int(np.searchsorted(text, text[min(len(text) - 1, 2 * len(text) // 3)]))
    if not 2 <= cut <= len(text) - 2:
        raise ValueError("all rows are of one text: a regression needs texts to fit on and others to score on")
    x, y = (torch.from_numpy(np.array(columns.values)).double() for columns in (other, first))
    for values in (x, y):
        values -= values[:cut].mean(dim=0)
    scale = x[:cut].std(dim=0, correction=0)
    x /= torch.where(scale > 0, scale, torch.inf)
    fitted, held_out = x[:cut], x[cut:]
    ridge = penalty * cut
    if x.shape[1] > cut:  # the smaller of the two equal forms
        gram = fitted @ fitted.T
        gram.diagonal().add_(ridge)
        predicted = held_out @ (fitted.T @ torch.linalg.solve(gram, y[:cut]))
    else:
        gram = fitted.T @ fitted
        gram.diagonal().add_(ridge)
        predicted = held_out @ torch.linalg.solve(gram, fitted.T @ y[:cut])
    error = (y[cut:] - predicted).square().sum(dim=0)
    total = (y[cut:] - y[cut:].mean(dim=0)).square().sum(dim=0)
    r2: np.ndarray = torch.where(total > 0, 1 - error / total, torch.nan).float().numpy()
    return r2
