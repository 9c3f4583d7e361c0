"""What is fixed before a corpus is read: which neurons, which groups, where the histograms lie, which tokens count.

It comes from the first texts of the corpus (about 500 tokens), so that every part that is read afterwards, on this machine or
another, counts into the same bins and is merged exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from neurowidget.analysis.examples.densities import Ranges
from neurowidget.analysis.statistics.site_gradients import layers_of_site
from neurowidget.extraction.forwards import run_batches
from neurowidget.extraction.planning import pieces_of
from neurowidget.models.batching import Batch, Encoded
from neurowidget.models.edits import Neurons, columns_by_site, parse_neurons, width_of
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

SAMPLE_TOKENS, FEWEST_SAMPLE_TOKENS, SAMPLE_BYTES = 512, 256, 2**27
GROUPS = ("top", "q99", "q90", "q50", "bottom")
SINK_RATIO = (
    20.0  # of a residual norm to the median one; the sink of a language model has 30 to 200, other tokens at most 10
)


@dataclass(frozen=True)
class Sinks:
    """Tokens that attention rests on when it has nothing to say: their residual is far longer than any other.

    `first`: the first token of a text is one; `ids`: these tokens are, wherever they stand.
    """

    first: bool = False
    ids: frozenset[int] = frozenset()

    def of(self, row: Encoded) -> list[bool]:
        """Which tokens of a text are sinks; special tokens never are."""
        return [
            not special and ((i == 0 and self.first) or number in self.ids)
            for i, (number, special) in enumerate(zip(row.ids, row.special, strict=True))
        ]


@dataclass(frozen=True)
class Asked:
    """The options of `top_examples` that decide what is collected."""

    sizes: Mapping[str, int]  # group -> examples; "top", "bottom", "q90" -> the quantile 0.9, "supports", "opposes"
    context: int
    per_sentence: bool
    special_tokens: str
    sinks: str
    window: str | None
    seed: int
    token_types: bool

    def counts(self, row: Encoded, sinks: Sinks) -> list[bool]:
        """Which tokens of a text count."""
        no_special, no_sink = self.special_tokens == "exclude", self.sinks == "exclude"
        return [
            not (special and no_special) and not (sink and no_sink)
            for special, sink in zip(row.special, sinks.of(row), strict=True)
        ]


def asked_for(
    k: int = 20,
    groups: Sequence[str] = GROUPS,
    k_quantile: int | None = None,
    context: int = 16,
    per_sentence: bool = True,
    special_tokens: str = "exclude",
    sinks: str = "exclude",
    token_types: bool = False,
    window: str | None = None,
    seed: int = 0,
) -> Asked:
    """The options of `top_examples`, checked; raises ValueError."""
    for name, value, allowed in (
        ("special_tokens", special_tokens, ("exclude", "include")),
        ("sinks", sinks, ("exclude", "include")),
        ("window", window, (None, "overlap")),
    ):
        if value not in allowed:
            raise ValueError(f"{name}={value!r}: expected one of {', '.join(map(repr, allowed))}")
    if k < 1 or context < 0 or (k_quantile is not None and k_quantile < 1):
        raise ValueError(
            f"k={k}, k_quantile={k_quantile}, context={context}: expected 1 or more, and a context of 0 or more"
        )
    sizes: dict[str, int] = {}
    for group in groups:
        if group in sizes or (group not in ("top", "bottom") and quantile_of(group) is None):
            raise ValueError(
                f"groups={list(groups)}: expected different ones of 'top', 'bottom' and quantiles such as 'q90'"
            )
        sizes[group] = k if group in ("top", "bottom") else k_quantile or max(1, k // 4)
    if not sizes:
        raise ValueError("groups is empty: expected 'top', 'bottom' or quantiles such as 'q90'")
    return Asked(sizes, context, per_sentence, special_tokens, sinks, window, seed, token_types)


@dataclass(frozen=True, eq=False)
class Layout:
    """See the top of this file. Neurons are one axis, layer after layer; `columns` (None: all) are those of each site."""

    sites: tuple[LayerSite, ...]
    columns: tuple[Tensor | None, ...]
    widths: tuple[int, ...]  # how many neurons of each site
    asked: Asked
    sinks: Sinks
    ranges: Ranges
    quantiles: Mapping[str, Tensor]  # group -> value of each neuron, float32 (neuron,)
    sample_tokens: int

    @property
    def neurons(self) -> int:
        """How many neurons there are."""
        return sum(self.widths)

    @cached_property
    def where(self) -> dict[LayerSite, slice]:
        """Where the neurons of each site are on the axis of all."""
        ends = np.cumsum([0, *self.widths]).tolist()
        return {site: slice(ends[i], ends[i + 1]) for i, site in enumerate(self.sites)}

    @cached_property
    def columns_of(self) -> dict[LayerSite, Tensor | None]:
        """The columns of each site; None is all of them."""
        return dict(zip(self.sites, self.columns, strict=True))

    @cached_property
    def index(self) -> Tensor:
        """The index of each neuron within its site, int64 (neuron,)."""
        pairs = zip(self.columns, self.widths, strict=True)
        device = self.ranges.step.device
        return torch.cat([torch.arange(n, device=device) if c is None else c.to(device) for c, n in pairs])

    @cached_property
    def digest(self) -> str:
        """sha256 of everything that has to agree for parts to be merged."""
        found = hashlib.sha256(repr((self.sites, self.widths, self.asked, self.sinks)).encode())
        for tensor in (self.ranges.step, self.ranges.first, self.ranges.centre, self.index, *self.quantiles.values()):
            found.update(tensor.cpu().numpy().tobytes())
        return found.hexdigest()


def neurons_of(
    model: NeuronModel, site: str, layers: Sequence[int] | None, neurons: Neurons | None
) -> tuple[tuple[LayerSite, ...], tuple[Tensor | None, ...], tuple[int, ...]]:
    """The sites that are read, their columns (None: all), and how many; None is every neuron of `site` in `layers`."""
    if neurons is None:
        sites = layers_of_site(model, site, layers)
        return sites, (None,) * len(sites), tuple(width_of(model, one) for one in sites)
    by_site = columns_by_site(model, parse_neurons(neurons))
    sites = tuple(sorted(by_site, key=lambda one: one.layer))
    names = sorted({f"{one.stack}.{one.site}" if one.stack else one.site for one in sites})
    if names != [site]:
        raise ValueError(f"neurons of one site are expected, got {', '.join(names) or 'none'} with site={site!r}")
    if layers is not None and (left_out := {one.layer for one in sites} - set(layers)):
        raise ValueError(f"neurons= names the layers {sorted(left_out)}, which layers={list(layers)} leaves out")
    columns = tuple(None if by_site[one].index is None else by_site[one].tensor for one in sites)
    return (
        sites,
        columns,
        tuple(width_of(model, one) if c is None else len(c) for one, c in zip(sites, columns, strict=True)),
    )


def sample_size(neurons: int) -> int:
    """How many tokens a layout is made from."""
    return max(FEWEST_SAMPLE_TOKENS, min(SAMPLE_TOKENS, SAMPLE_BYTES // (4 * neurons)))


def layout_of(
    model: NeuronModel,
    sample: Sequence[Encoded],
    sites: tuple[LayerSite, ...],
    columns: tuple[Tensor | None, ...],
    widths: tuple[int, ...],
    asked: Asked,
    should_stop: StopFlag | None = None,
) -> Layout:
    """The layout from the first texts of a corpus, `sample`, of about `sample_size` tokens; they are run once."""
    rows = list(sample)
    causal = model.kind == "causal_lm"
    pieces = [piece for i, row in enumerate(rows) for piece in pieces_of(i, row, model.max_length, causal)]
    residuals = _residual_sites(model, sites[-1])
    values: dict[LayerSite, list[Tensor]] = {site: [] for site in sites}
    norms: dict[LayerSite, list[Tensor]] = {site: [] for site in residuals}
    order: list[tuple[int, int]] = []  # (text, position) of each row of these

    def receive(site: LayerSite, value: Tensor, batch: Batch, group: Sequence[int]) -> None:
        taken = [value[i, batch.real(i)][pieces[index].inside] for i, index in enumerate(group)]
        if site in values:
            column = dict(zip(sites, columns, strict=True))[site]
            values[site] += [(one if column is None else one[:, column.to(one.device)]).float().cpu() for one in taken]
        if site in norms:
            norms[site] += [one.float().norm(dim=1).cpu() for one in taken]

    wanted = list(dict.fromkeys([*sites, *residuals]))
    done = run_batches(model, pieces, wanted, receive, SAMPLE_TOKENS, should_stop=should_stop)
    with closing(done):
        for group in done:
            for index in group:
                piece = pieces[index]
                order += [(piece.text, piece.at + i) for i in range(piece.inside.stop - piece.inside.start)]

    special = np.array([rows[text].special[i] for text, i in order])
    sinks = _sinks(rows, order, special, {site: torch.cat(parts).numpy() for site, parts in norms.items()})
    counting = [asked.counts(row, sinks) for row in rows]
    counts = np.array([counting[text][i] for text, i in order])
    if not counts.any():  # a sample of special tokens alone still has a range
        counts[:] = True
    found = [_ranges(torch.cat(values.pop(site)).numpy()[counts], asked.sizes) for site in sites]
    device = model.device
    low, high, mean = (torch.from_numpy(np.concatenate([one[i] for one in found])) for i in range(3))
    quantiles = {
        name: torch.from_numpy(np.concatenate([one[3][name] for one in found])).to(device) for name in found[0][3]
    }
    ranges = Ranges.around(low.to(device), high.to(device), mean.to(device))
    return Layout(sites, columns, widths, asked, sinks, ranges, quantiles, int(counts.sum()))


def quantile_of(group: str) -> float | None:
    """0.9 for "q90", 0.995 for "q99.5", None for a group that is no quantile."""
    try:
        percent = float(group[1:]) if group[:1] == "q" else None
    except ValueError:
        return None
    return None if percent is None or not 0 <= percent <= 100 else percent / 100


def _residual_sites(model: NeuronModel, last: LayerSite) -> list[LayerSite]:
    """The residual stream of every layer of the stack, where the model has that site."""
    found = [LayerSite(layer, "residual", last.stack) for layer in range(model.layers(last.stack))]
    try:
        for site in found:
            model.locate(site)
    except ValueError:
        return []
    return found


def _sinks(
    rows: Sequence[Encoded],
    order: Sequence[tuple[int, int]],
    special: np.ndarray,
    norms: Mapping[LayerSite, np.ndarray],
) -> Sinks:
    """Which tokens are sinks, from residual norms (row,) of each layer: by place or by id, where most of them are."""
    if not norms or special.all():
        return Sinks()
    largest = np.max([norm / max(float(np.median(norm[~special])), 1e-30) for norm in norms.values()], axis=0)
    is_sink = (largest > SINK_RATIO) & ~special
    position = np.array([i for _, i in order])
    ids = np.array([rows[text].ids[i] for text, i in order])
    start = (position == 0) & ~special
    first = bool(start.any() and is_sink[start].mean() >= 0.5)
    others = ~start if first else np.ones(len(start), dtype=bool)
    found = [int(i) for i in np.unique(ids[is_sink & others]) if is_sink[(ids == i) & others & ~special].mean() >= 0.5]
    return Sinks(first, frozenset(found))


def _ranges(
    values: np.ndarray, groups: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Smallest, largest and mean value of each neuron, and its quantiles, from values (token, neuron)."""
    quantiles = {name: q for name in groups if (q := quantile_of(name)) is not None}
    places = {name: round(q * (len(values) - 1)) for name, q in quantiles.items()}
    ordered = np.ascontiguousarray(values.T)
    if places:
        ordered = np.partition(ordered, sorted(set(places.values())), axis=1)
    found = {name: ordered[:, place].copy() for name, place in places.items()}
    return values.min(axis=0), values.max(axis=0), values.mean(axis=0, dtype=np.float64).astype(np.float32), found
