"""What removing each neuron does to a target: F(clean) - F(ablated), by running it or to first order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from neurowidget.analysis.intervention.exact_effects import Job, exact_effects, tokens_per_forward
from neurowidget.analysis.intervention.first_order import agreement, to_verify
from neurowidget.analysis.intervention.gradient_effects import gradient_effects
from neurowidget.analysis.intervention.replacements import Replacement, replacement
from neurowidget.analysis.statistics.bootstrap import bootstrap_interval
from neurowidget.analysis.statistics.site_gradients import layers_of_site
from neurowidget.models import targets
from neurowidget.models.edits import Neurons, columns_by_site, parse_neurons, width_of
from neurowidget.models.progress import StopFlag, check
from neurowidget.models.readout import stack_context
from neurowidget.neuron import LayerSite, Neuron
from neurowidget.results.effects import Effects

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel
    from neurowidget.models.targets import Target

METHODS = ("exact", "gradient")
MOST_TEXTS = 64  # that share a batch; fewer when there are many neurons, which fill it as well
FEWEST_TEXTS = 8


def ablation_effects(
    model: NeuronModel,
    texts: str | Sequence[str] | Sequence[Sequence[int]],
    site: str | None = None,
    ablation: str = "mean",
    target: Any = None,
    method: str = "exact",
    *,
    neurons: Neurons | None = None,
    layers: Sequence[int] | None = None,
    positions: int | Sequence[int] | None = None,
    position: int | None = None,
    reference: Any = None,
    seed: int = 0,
    verify: int = 100,
    progress: bool = True,
    should_stop: StopFlag | None = None,
) -> Effects:
    """F(clean) - F(ablated) for `neurons`, or for every neuron of `site` ("mlp" if left out), averaged over `texts`.

    > 0: the neuron supports the target. `ablation` replaces the neuron by "zero", its "mean" over `reference` texts
    (the bundled sample if left out; special tokens have means of their own) or, "resample", its values at donor tokens
    (16 draws, averaged), at `positions` of each text, by default at all of its tokens. `target` is what
    `neurowidget.targets` describes, resolved for each text on the clean model and then frozen; `position` is the token
    at which it is read. `method="exact"` runs the model once for each neuron and text; "gradient" (attribution
    patching) estimates all neurons from one backward pass and then re-runs the `verify` largest ones, some random
    ones and those that are moved farthest: these are marked `exact`, and `agreement` compares both numbers.

    `values` is (layer, neuron), NaN for neurons that were not asked for; `interval` a 95 % bootstrap interval over
    texts, None under 6. Inside `with model.intervene(...)` the changed model is the clean one. Raises ValueError for
    what the model has not and for NaN, Cancelled when `should_stop()` says True between two forwards.
    """
    if method not in METHODS:
        raise ValueError(f"no method {method!r}: expected {' or '.join(map(repr, METHODS))}")
    given = _texts(texts)
    grid = _grid(model, site, neurons, layers)
    instead = replacement(model, ablation, grid.sites, reference, seed)
    shape = (len(given), *grid.wanted.shape)
    found = _Found(np.full(len(given), np.nan), np.full(shape, np.nan), np.full(shape, np.nan))
    runs = int(grid.wanted.sum()) * instead.draws
    chunks = list(_chunks(model, given, grid.sites[0].stack, target, position, positions, runs))
    estimates = None
    exact = grid.wanted
    if method == "gradient":
        moved = np.zeros(grid.wanted.shape)
        for chunk in chunks:
            check(should_stop)
            clean, estimated, away = gradient_effects(
                model, chunk.batch, chunk.target, grid.sites, instead, chunk.positions
            )
            found.clean[chunk.rows], found.estimated[chunk.rows] = clean.numpy(), estimated.numpy()
            moved = np.maximum(moved, away.numpy().max(axis=0))
        found.estimated[:, ~grid.wanted] = np.nan
        estimates = found.estimated.mean(axis=0)
        _require_numbers(estimates[grid.wanted], found.clean, chunks[0].target)
        exact, uniform = to_verify(estimates, moved, verify, seed)
    if exact.any():
        _run_exactly(model, chunks, grid, exact, instead, found, progress, should_stop)
    per_text = np.where(np.isnan(found.exact), found.estimated, found.exact)
    values = per_text.mean(axis=0)
    _require_numbers(values[grid.wanted], found.clean, chunks[0].target)
    name = _one_name(model, [chunk.target for chunk in chunks])
    return Effects(
        values=values,
        layers=tuple(site.layer for site in grid.sites),
        site=grid.sites[0].site,
        stack=grid.sites[0].stack,
        target=name,
        ablation=instead.name,
        texts=tuple(text if isinstance(text, str) else str(list(text)) for text in given),
        clean=found.clean,
        exact=exact,
        interval=bootstrap_interval(per_text, seed=seed),
        per_text=per_text,
        estimates=estimates,
        agreement=None if estimates is None else agreement(estimates, values, exact, uniform),
        provenance=model.provenance(
            f"ablation_effects ({method})",
            site=grid.name,
            target=name,
            seed=seed,
            ablation=instead.name,
            positions=positions,
        ),
    )


@dataclass(frozen=True)
class _Grid:
    """The neurons that are asked for: `wanted` is bool (layer, neuron) for the layers of `sites`."""

    sites: tuple[LayerSite, ...]
    wanted: np.ndarray

    @property
    def name(self) -> str:
        """The site, with its stack: "mlp", "decoder.mlp"."""
        return _site_name(self.sites[0])


@dataclass(frozen=True)
class _Chunk:
    """Texts of about the same length that share a batch: their places in the list, and where they are changed."""

    rows: list[int]
    batch: Batch
    target: Target
    positions: Tensor


@dataclass(frozen=True)
class _Found:
    """F(clean) (text,), exact and estimated effects (text, layer, neuron), NaN where there is none."""

    clean: np.ndarray
    exact: np.ndarray
    estimated: np.ndarray


def _texts(texts: Any) -> list[Any]:
    one = isinstance(texts, str) or (len(texts) > 0 and all(hasattr(item, "__index__") for item in texts))
    given = [texts] if one else list(texts)
    if not given:
        raise ValueError("there are no texts: expected a text or a list of texts")
    return given


def _grid(model: NeuronModel, site: str | None, neurons: Neurons | None, layers: Sequence[int] | None) -> _Grid:
    if neurons is None:
        sites = layers_of_site(model, site or "mlp", layers)
        return _Grid(sites, np.ones((len(sites), width_of(model, sites[0])), dtype=bool))
    columns = columns_by_site(model, parse_neurons(neurons))
    sites = tuple(sorted(columns, key=lambda address: address.layer))
    names = sorted({_site_name(address) for address in sites})
    if len(names) != 1 or site not in (None, names[0]):
        raise ValueError(f"neurons of one site are expected, got {', '.join(names) or 'none'} with site={site!r}")
    if layers is not None and {address.layer for address in sites} - set(layers):
        raise ValueError(f"neurons= names layers that layers={list(layers)} leaves out")
    wanted = np.zeros((len(sites), width_of(model, sites[0])), dtype=bool)
    for row, address in enumerate(sites):
        index = columns[address].index
        wanted[row, slice(None) if index is None else list(index)] = True
    return _Grid(sites, wanted)


def _site_name(address: LayerSite) -> str:
    return f"{address.stack}.{address.site}" if address.stack else address.site


def _chunks(
    model: NeuronModel,
    texts: Sequence[Any],
    stack: str | None,
    target: Any,
    position: int | None,
    positions: int | Sequence[int] | None,
    runs: int,
) -> Iterator[_Chunk]:
    """The texts, shortest first, in batches that are as wide as their last text."""
    most, tokens = max(FEWEST_TEXTS, MOST_TEXTS // runs), tokens_per_forward(model) // 2
    lengths = model.encode(texts).lengths
    rest = sorted(range(len(texts)), key=lambda row: lengths[row])
    while rest:
        sizes = [n for n in range(1, min(most, len(rest)) + 1) if n == 1 or n * lengths[rest[n - 1]] <= tokens]
        rows, rest = rest[: sizes[-1]], rest[sizes[-1] :]
        batch = model.encode([texts[row] for row in rows])
        resolved = targets.resolve(model, batch, target, position)
        if resolved is target:
            resolved = resolved.take(rows)
        yield _Chunk(rows, batch, resolved, _chosen(batch, stack, positions, rows))


def _chosen(batch: Batch, stack: str | None, positions: int | Sequence[int] | None, rows: Sequence[int]) -> Tensor:
    """Which tokens are changed, bool (text, token)."""
    context = stack_context(batch, stack)
    wanted = [positions] if isinstance(positions, int) else positions
    for position in wanted or ():
        missing = ~context.selected([position]).any(dim=1)
        if bool(missing.any()):
            row = int(missing.nonzero()[0])
            raise ValueError(
                f"position {position} is outside text {rows[row]}, which has {int(context.lengths[row])} tokens"
            )
    return context.selected(wanted)


def _run_exactly(
    model: NeuronModel,
    chunks: Sequence[_Chunk],
    grid: _Grid,
    exact: np.ndarray,
    instead: Replacement,
    found: _Found,
    progress: bool,
    should_stop: StopFlag | None,
) -> None:
    """Fill `found.clean` and `found.exact` for the neurons of `exact`, bool (layer, neuron)."""
    from tqdm.auto import tqdm

    layer, index = np.nonzero(exact)
    total = len(layer) * instead.draws * sum(len(chunk.rows) for chunk in chunks)
    with tqdm(total=total, desc="ablation", unit="run", disable=not progress, leave=False) as bar:
        for chunk in chunks:
            check(should_stop)
            jobs = list(_jobs(chunk, grid, layer, index, instead))
            clean, effects = exact_effects(
                model, chunk.batch, chunk.target, jobs, done=bar.update, should_stop=should_stop
            )
            found.clean[chunk.rows] = clean.numpy()
            by_draw = effects.view(len(chunk.rows), len(layer), instead.draws)
            for row, values in zip(chunk.rows, by_draw.mean(dim=-1).numpy(), strict=True):
                found.exact[row, layer, index] = values


def _jobs(chunk: _Chunk, grid: _Grid, layer: np.ndarray, index: np.ndarray, instead: Replacement) -> Iterator[Job]:
    """The runs of one chunk: for each neuron, in the order of layers, one for each draw."""
    for number, site in enumerate(grid.sites):
        columns = index[layer == number]
        draws = [
            instead.at(site, chunk.batch, draw)[..., columns] for draw in range(instead.draws if len(columns) else 0)
        ]
        for place, column in enumerate(columns.tolist()):
            neuron = Neuron(site.layer, column, site.site, site.stack)
            for values in draws:
                yield Job(neuron, values[..., place], chunk.positions)


def _require_numbers(values: np.ndarray, clean: np.ndarray, target: Target) -> None:
    wrong = int((~np.isfinite(values)).sum())
    if wrong or not np.isfinite(clean).all():
        raise ValueError(
            f"{wrong} of {values.size} effects are NaN or infinite ({target.name} is {clean.tolist()[:3]}). Is a weight or an "
            "activation NaN, or does the model overflow in its precision?"
        )


def _one_name(model: NeuronModel, resolved: Sequence[Target]) -> str:
    names = list(dict.fromkeys(target.name for target in resolved))
    measures = {name.partition(" of ")[0] for name in names}
    if len(names) == 1 or len(measures) > 1:
        return "; ".join(names)
    return f"{measures.pop()} of the predicted {'class' if model.labels else 'token'}"
