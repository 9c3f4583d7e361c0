"""What an ablated neuron takes instead of its value: 0, its mean at the token's role, or its value at a donor token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from neurowidget.models import reference
from neurowidget.models.edits import width_of
from neurowidget.models.readout import stack_context
from neurowidget.models.reference_texts import checked_texts, roles
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel

ABLATIONS = ("zero", "mean", "resample")
DRAWS = 16


class Replacement(Protocol):
    """`at(site, batch, draw)` is float32 (text, token, neuron); effects are averaged over `draws` draws."""

    draws: int

    @property
    def name(self) -> str: ...

    def at(self, site: LayerSite, batch: Batch, draw: int = 0) -> Tensor: ...


def replacement(
    model: NeuronModel, ablation: str, sites: Sequence[LayerSite], given: Any = None, seed: int = 0
) -> Replacement:
    """The replacement that `ablation` names for neurons of `sites` (layers of one site).

    `given` are the reference texts (1,000 tokens or more, not those that are explained) or, for "mean", their
    ReferenceMeans; None is the bundled sample. Raises ValueError for an unknown ablation or too few tokens.
    """
    if ablation not in ABLATIONS:
        raise ValueError(f"no ablation {ablation!r}: expected {', '.join(map(repr, ABLATIONS))}")
    if ablation == "zero":
        if given is not None:
            raise ValueError("a reference goes with ablation='mean' or 'resample', not with 'zero'")
        return Zero(model)
    if ablation == "mean":
        return Mean(model, reference.means_for(model, sites[0], given))
    if isinstance(given, reference.ReferenceMeans):
        raise TypeError("ablation='resample' needs reference texts (a list of strings), not their means")
    return Resample(model, tuple(sites), None if given is None else checked_texts(given), seed)


@dataclass
class Zero:
    """Nothing at all."""

    model: NeuronModel
    draws: int = 1
    name: str = "zero"

    def at(self, site: LayerSite, batch: Batch, draw: int = 0) -> Tensor:
        return torch.zeros(*stack_context(batch, site.stack).shape, width_of(self.model, site))


@dataclass
class Mean:
    """The mean over reference texts, for special tokens the mean at their role."""

    model: NeuronModel
    means: reference.ReferenceMeans
    draws: int = 1

    @property
    def name(self) -> str:
        return f"mean over {self.means.name}"

    def at(self, site: LayerSite, batch: Batch, draw: int = 0) -> Tensor:
        return reference.model_reference(self.model, site, batch, self.means)


@dataclass
class Resample:
    """The values at one donor token per position, of the same role, the same as those of `Ablate(how="resample")`."""

    model: NeuronModel
    sites: tuple[LayerSite, ...]
    texts: tuple[str, ...] | None
    seed: int
    draws: int = DRAWS
    _stores: dict[LayerSite, reference.Donors] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"resample over {self._store(self.sites[0]).name}, {self.draws} draws"

    def at(self, site: LayerSite, batch: Batch, draw: int = 0) -> Tensor:
        store, context = self._store(site), stack_context(batch, site.stack)
        rows = store.draw(context, roles(self.model, context), self.seed, draw)
        return store.values[site][rows]

    def _store(self, site: LayerSite) -> reference.Donors:
        if site not in self._stores:
            # One pass for all layers, unless they are so wide that fewer donors would then be kept.
            token_bytes = 4 * sum(width_of(self.model, other) for other in self.sites)
            fits = token_bytes * reference.DONOR_TOKENS <= reference.DONOR_BYTES
            together = self.sites if fits else (site,)
            store = reference.donors(self.model, together, self.texts)
            self._stores |= dict.fromkeys(together, store)
        return self._stores[site]
