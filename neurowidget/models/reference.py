"""What a neuron does when a text says nothing: its mean, or its values at donor tokens, over reference texts.

The mean is over tokens that are neither padding nor special. A special token ([CLS], </s>, <s>) has a role of its own
with its own mean: some neurons lie hundreds of standard deviations away there. In a causal language model without a
start token the first token is such a role too, "first": it is the sink that attention rests on. Unknown and mask
tokens stand for words and count as ordinary.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from neurowidget.models.context import Context
from neurowidget.models.edits import Columns, width_of
from neurowidget.models.progress import StopFlag
from neurowidget.models.readout import stack_context
from neurowidget.models.reference_texts import checked_texts, chosen_texts, recorded_texts, role_names, roles
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel

__all__ = ["Donors", "ReferenceMeans", "checked_texts", "donors", "mean_edit", "means_for", "model_reference"]
__all__ += ["reference_means", "resample_edits", "role_names", "roles"]

logger = logging.getLogger(__name__)

MIN_TOKENS = 1_000
MAX_TOKENS = 4_000  # enough: the standard error of a mean is then 1.6 % of the neuron's standard deviation
DONOR_TOKENS = 1_024
DONOR_BYTES = 2**28


@dataclass(frozen=True, eq=False)
class ReferenceMeans:
    """Means of all layers of a site over reference texts, float32.

    `ordinary` is (layer, neuron), `special` the same for each role that occurred; `tokens` counts the ordinary ones.
    """

    site: str
    stack: str | None
    ordinary: Tensor
    special: Mapping[str, Tensor]
    name: str
    tokens: int

    def table(self, model: NeuronModel, layer: int) -> Tensor:
        """The means of one layer, (1 + role, neuron), in the order of `roles`; a role that never occurred is ordinary."""
        rows = [self.special.get(role, self.ordinary)[layer] for role in role_names(model)]
        return torch.stack([self.ordinary[layer], *rows])


def reference_means(
    model: NeuronModel,
    site: str | LayerSite,
    texts: Sequence[str] | None = None,
    *,
    seed: int = 0,
    should_stop: StopFlag | None = None,
) -> ReferenceMeans:
    """Means of every layer of `site` ("mlp", "decoder.mlp") over `texts`, or over the bundled sample.

    Up to 4,000 ordinary tokens of texts chosen by `seed` are run clean, in batches; the result is kept with the model
    until its weights change. Raises ValueError under 1,000 tokens. A seq2seq decoder reads the same texts.
    """
    stack, name = _stack_and_site(site)
    chosen, label = chosen_texts(model, texts)
    key = ("means", stack, name, tuple(chosen), seed)
    kept = _kept(model.module)
    if key not in kept:
        kept[key] = _means(model, stack, name, chosen, label, seed, should_stop)
        if texts is None:
            logger.info("mean of %s over %s", site, kept[key].name)
    return kept[key]


def means_for(model: NeuronModel, site: LayerSite, given: ReferenceMeans | Sequence[str] | None) -> ReferenceMeans:
    """The means of `site`: those given, checked against it, or computed from the given texts or the bundled sample."""
    if not isinstance(given, ReferenceMeans):
        return reference_means(model, site, given)
    if (given.site, given.stack) != (site.site, site.stack) or given.ordinary.shape[1] != width_of(model, site):
        where = f"{given.stack}.{given.site}" if given.stack else given.site
        raise ValueError(f"the means are of {where} ({given.ordinary.shape[1]} neurons), not of {site}")
    return given


def model_reference(
    model: NeuronModel, address: LayerSite, batch: Batch, texts: ReferenceMeans | Sequence[str] | None = None
) -> Tensor:
    """The mean at each token's role, float32 (batch, token, width), for the tokens that `batch` gives to `address`."""
    means = means_for(model, address, texts)
    return means.table(model, address.layer)[roles(model, stack_context(batch, address.stack))]


def mean_edit(
    model: NeuronModel, site: LayerSite, columns: Columns, means: ReferenceMeans
) -> Callable[[Tensor, Context], Tensor]:
    """What `Edit` puts in the place of columns: their mean at each token's role."""
    table = columns.of(means.table(model, site.layer))
    return lambda old, context: table.to(old)[roles(model, context).to(old.device)]


def resample_edits(
    model: NeuronModel,
    columns: Mapping[LayerSite, Columns],
    texts: Sequence[str] | None,
    seed: int,
    draw: int,
) -> dict[LayerSite, Callable[[Tensor, Context], Tensor]]:
    """What `Edit` puts in the place of columns: their values at one donor token per position, the same for all sites."""
    if isinstance(texts, ReferenceMeans):
        raise TypeError("how='resample' needs reference texts (a list of strings), not their means")
    edits: dict[LayerSite, Callable[[Tensor, Context], Tensor]] = {}
    for stack in {site.stack for site in columns}:
        sites = tuple(site for site in columns if site.stack == stack)
        store = donors(model, sites, texts)
        for site in sites:
            values = columns[site].of(store.values[site])
            edits[site] = _donor_edit(model, store, values, seed, draw)
    return edits


def _donor_edit(
    model: NeuronModel, store: Donors, values: Tensor, seed: int, draw: int
) -> Callable[[Tensor, Context], Tensor]:
    def new(old: Tensor, context: Context) -> Tensor:
        rows = store.draw(context, roles(model, context), seed, draw)
        return values.to(old)[rows.to(old.device)]

    return new


@dataclass(frozen=True, eq=False)
class Donors:
    """Clean values of reference tokens: `values[site]` (token, width), sorted by role; `starts`, `counts` per role."""

    values: Mapping[LayerSite, Tensor]
    starts: Tensor
    counts: Tensor
    name: str

    def draw(self, context: Context, role: Tensor, seed: int, draw: int) -> Tensor:
        """The donor row of each token, int64 (batch, token).

        A function of seed, draw, position and token id alone: the same in a batch, alone, and with a KV cache.
        """
        assert context.input_ids is not None
        role = torch.where(self.counts.to(role.device)[role] > 0, role, 0)
        mixed = _mix(_mix(_mix(torch.full_like(role, seed)) + draw) + context.positions())
        mixed = _mix(mixed + context.input_ids) & 0x7FFF_FFFF_FFFF_FFFF
        return self.starts.to(role.device)[role] + mixed % self.counts.to(role.device)[role]


def donors(
    model: NeuronModel, sites: Sequence[LayerSite], texts: Sequence[str] | None = None, *, seed: int = 0
) -> Donors:
    """Clean values at `sites` (of one stack) of up to 1,024 ordinary reference tokens and the special ones among them.

    Fewer tokens are kept (not under 128) when the sites are so many that they would fill more than 256 MiB.
    """
    chosen, label = chosen_texts(model, texts)
    key = ("donors", tuple(sites), tuple(chosen), seed)
    kept = _kept(model.module)
    if key not in kept:
        for old in [k for k in kept if isinstance(k, tuple) and k[0] == "donors"][:-1]:
            del kept[old]  # two stay: a set and the one it is compared with
        kept[key] = _donors(model, sites, chosen, label, seed)
    return kept[key]


def _donors(model: NeuronModel, sites: Sequence[LayerSite], texts: Sequence[str], label: str, seed: int) -> Donors:
    token_bytes = 4 * sum(width_of(model, site) for site in sites)
    budget = max(128, min(DONOR_TOKENS, DONOR_BYTES // token_bytes))
    parts: dict[LayerSite, list[Tensor]] = {site: [] for site in sites}
    found_roles: list[Tensor] = []
    for context, recorded in recorded_texts(model, sites, texts, seed, budget):
        real = context.positions() >= 0
        role = roles(model, context)[real].cpu()
        found_roles.append(role)
        for site in sites:
            parts[site].append(recorded[site][real.to(recorded[site].device)].float().cpu().clone())
    role = torch.cat(found_roles)
    counts = torch.bincount(role, minlength=len(role_names(model)) + 1)
    _require_tokens(int(counts[0]), min(MIN_TOKENS, budget), label)
    order = torch.argsort(role, stable=True)
    values = {site: torch.cat(tensors)[order] for site, tensors in parts.items()}
    return Donors(values, counts.cumsum(0) - counts, counts, label)


def _means(
    model: NeuronModel,
    stack: str | None,
    site: str,
    texts: Sequence[str],
    label: str,
    seed: int,
    should_stop: StopFlag | None,
) -> ReferenceMeans:
    sites = _addresses(model, stack, site)
    width, number = model.width(site, stack), len(role_names(model)) + 1
    sums = torch.zeros(sites[-1].layer + 1, number, width, dtype=torch.float64)
    counts = torch.zeros(number, dtype=torch.long)
    for context, recorded in recorded_texts(model, sites, texts, seed, MAX_TOKENS, should_stop):
        real = context.positions() >= 0
        role = roles(model, context)[real].cpu()
        counts += torch.bincount(role, minlength=number)
        for address, value in recorded.items():
            sums[address.layer].index_add_(0, role, value[real.to(value.device)].cpu().double())
    tokens = int(counts[0])
    _require_tokens(tokens, MIN_TOKENS, label)
    means = (sums / counts.clamp(min=1)[None, :, None]).float()
    means[sorted(set(range(len(means))) - {address.layer for address in sites})] = float("nan")
    special = {name: means[:, row] for row, name in enumerate(role_names(model), start=1) if counts[row]}
    return ReferenceMeans(site, stack, means[:, 0].clone(), special, f"{label} ({tokens:,} tokens)", tokens)


def _addresses(model: NeuronModel, stack: str | None, site: str) -> list[LayerSite]:
    """The layers that have this site; raises ValueError, which says what there is, when none has."""
    found: list[LayerSite] = []
    for layer in range(model.layers(stack)):
        try:
            model.locate(LayerSite(layer, site, stack))
        except ValueError:
            if layer + 1 == model.layers(stack) and not found:
                raise
            continue
        found.append(LayerSite(layer, site, stack))
    return found


def _require_tokens(found: int, wanted: int, label: str) -> None:
    if found < wanted:
        raise ValueError(
            f"{label}: {found:,} ordinary (not special) tokens, but a reference needs {wanted:,} or more; "
            "give more texts, or None for the bundled sample"
        )


def _stack_and_site(site: str | LayerSite) -> tuple[str | None, str]:
    if isinstance(site, LayerSite):
        return site.stack, site.site
    stack, dot, name = site.rpartition(".")
    return (stack if dot else None), name


def _mix(numbers: Tensor) -> Tensor:
    """SplitMix64 (Steele et al. 2014) of int64 numbers, which wrap around: neighbours become unrelated."""
    mixed = numbers + -0x61C8_8646_80B5_83EB
    mixed = (mixed ^ (mixed >> 30 & 0x3_FFFF_FFFF)) * -0x40A7_B892_E31B_1A47
    mixed = (mixed ^ (mixed >> 27 & 0x1F_FFFF_FFFF)) * -0x6B2F_B644_ECCE_EE15
    return mixed ^ (mixed >> 31 & 0x1_FFFF_FFFF)


_stores: weakref.WeakKeyDictionary[nn.Module, tuple[Hashable, dict[Hashable, Any]]] = weakref.WeakKeyDictionary()


def _kept(module: nn.Module) -> dict[Hashable, Any]:
    """What was computed for this module as its weights are now."""
    now = hash(tuple(_state_of(parameter) for parameter in module.parameters()))
    before, kept = _stores.get(module, (None, {}))
    if before != now:
        kept = {}
        _stores[module] = now, kept
    return kept


def _state_of(parameter: Tensor) -> tuple[int, int, int]:
    """Differs when a parameter was written to or replaced."""
    try:
        address = parameter.data_ptr()
    except RuntimeError:  # a quantised or offloaded parameter may have no memory of its own
        address = 0
    return id(parameter), address, -1 if parameter.is_inference() else parameter._version
