"""Causal mediation (Vig et al. 2020, "Investigating gender bias in language models using causal mediation analysis").

A change to the prompt, x to x', moves the answer; which neurons pass the change on? With F the target and a the value
of a neuron: total effect TE = F(x') - F(x), natural indirect effect NIE = F(x; a<-a(x')) - F(x), natural direct effect
NDE = F(x'; a<-a(x)) - F(x). TE = NDE(x->x') - NIE(x'->x) always; NDE + NIE = TE only where nothing interacts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurowidget.analysis.intervention.parts import Parts, parts_of
from neurowidget.analysis.intervention.patching_effects import (
    cell_changes,
    chunks_of_pairs,
    evaluated,
    neuron_changes,
    shown,
)
from neurowidget.analysis.intervention.prompt_pairs import SWAPPED, Prompts, pair_prompts
from neurowidget.analysis.statistics.bootstrap import bootstrap_interval
from neurowidget.models.edits import Neurons, columns_by_site, parse_neurons
from neurowidget.models.progress import StopFlag, check
from neurowidget.results.mediation import MediationEffects

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

SCALES = ("log_odds", "vig")
LOGARITHMS = ("contrast", "log-odds", "log-probability")


def mediation_effects(
    model: NeuronModel,
    prompts: Any,
    swapped: Any,
    target: Any = None,
    site: str = "neurons",
    scale: str = "log_odds",
    *,
    neurons: Neurons | None = None,
    layers: Sequence[int] | None = None,
    positions: Any = None,
    position: int | None = None,
    seed: int = 0,
    progress: bool = True,
    should_stop: StopFlag | None = None,
) -> MediationEffects:
    """Total, natural direct and natural indirect effect of swapping `prompts` for `swapped`, through each part alone.

    `site` is "neurons" (of the mlp), "heads", or "residual", "attention" or "mlp" for a layer at once; `neurons` names
    some neurons of the mlp. The part takes its value at the same token of the other prompt, at `positions`: None is all
    tokens, "swapped" those that differ, else a list as in `patching_effects`. The target is resolved on `prompts`, or
    given for each as a list. `scale="vig"` is the paper's relative effect y'/y - 1 with y = exp F, for a contrast
    y = p1/p2; there None means the swapped tokens, as in the paper. Every effect is run: two runs for each part and
    pair. Raises ValueError for prompts that cannot be matched, Cancelled when `should_stop()` says True.
    """
    if scale not in SCALES:
        raise ValueError(f"no scale {scale!r}: expected 'log_odds' or 'vig'")
    parts, only = _asked(model, site, neurons, layers)
    chosen = SWAPPED if positions is None and scale == "vig" else positions
    pairs = pair_prompts(model, prompts, swapped, parts.stack, chosen, target, position)
    name = pairs.first.target.name
    if scale == "vig" and getattr(pairs.first.target.compute, "measure", None) not in LOGARITHMS:
        raise ValueError(f"scale='vig' needs a target that is a logarithm, such as a pair of tokens, not {name}")
    before, after = (evaluated(model, side) for side in (pairs.first, pairs.second))
    indirect, reverse = _run(model, pairs, parts, only, progress, should_stop)
    total = after - before
    direct = total[:, None, None] + reverse
    if scale == "vig":
        total, direct, indirect = np.expm1(total), np.expm1(direct), np.expm1(indirect)
    return MediationEffects(
        layers=tuple(address.layer for address in parts.sites),
        site=site.rpartition(".")[2],
        stack=parts.stack,
        part=parts.part,
        scale=scale,
        target=name,
        prompts=shown(prompts),
        swapped=shown(swapped),
        total=total,
        direct_by_prompt=direct,
        indirect_by_prompt=indirect,
        reverse_indirect_by_prompt=reverse if scale == "log_odds" else None,
        direct_interval=bootstrap_interval(direct, seed=seed),
        indirect_interval=bootstrap_interval(indirect, seed=seed),
        provenance=model.provenance(
            "mediation_effects", site=site, target=name, seed=seed, scale=scale, positions=chosen
        ),
    )


def _asked(
    model: NeuronModel, site: str, neurons: Neurons | None, layers: Sequence[int] | None
) -> tuple[Parts, np.ndarray | None]:
    """The parts, and which neurons of them are run, bool (layer, neuron); None for whole layers and heads."""
    if neurons is None:
        parts = parts_of(model, site, layers)
        return parts, np.ones(parts.shape, dtype=bool) if parts.part == "neuron" else None
    columns = columns_by_site(model, parse_neurons(neurons))
    stack, _, name = site.rpartition(".")
    wrong = [address for address in columns if address.site != "mlp" or (address.stack or "") != stack]
    if name != "neurons" or layers is not None or wrong or not columns:
        raise ValueError(
            f"neurons= takes neurons of the mlp, with site='neurons' and no layers, got {neurons!r} with site={site!r}"[
                :300
            ]
        )
    parts = parts_of(model, site, sorted(address.layer for address in columns))
    only = np.zeros(parts.shape, dtype=bool)
    for row, address in enumerate(parts.sites):
        index = columns[address].index
        only[row, slice(None) if index is None else list(index)] = True
    return parts, only


def _run(
    model: NeuronModel,
    pairs: Any,
    parts: Parts,
    only: np.ndarray | None,
    progress: bool,
    should_stop: StopFlag | None,
) -> tuple[np.ndarray, np.ndarray]:
    """F(x; a<-a(x')) - F(x) and F(x'; a<-a(x)) - F(x'), float64 (prompt, layer, part)."""
    from tqdm.auto import tqdm

    found = np.full((2, len(pairs), *parts.shape), np.nan)
    runs = parts.shape[0] * parts.count if only is None else int(only.sum())
    with tqdm(total=2 * len(pairs) * runs, desc="mediation", unit="run", disable=not progress, leave=False) as bar:
        for rows, chunk in chunks_of_pairs(model, pairs):
            for way, (receiver, donor) in enumerate([(chunk.first, chunk.second), (chunk.second, chunk.first)]):
                check(should_stop)
                found[way, rows] = _changes(model, receiver, donor, parts, only, bar.update, should_stop)
    return found[0], found[1]


def _changes(
    model: NeuronModel,
    receiver: Prompts,
    donor: Prompts,
    parts: Parts,
    only: np.ndarray | None,
    done: Callable[[int], object],
    should_stop: StopFlag | None,
) -> np.ndarray:
    """F(receiver; a<-donor) - F(receiver), float64 (prompt, layer, part)."""
    if only is None:
        return cell_changes(model, receiver, donor, parts, None, done, should_stop)
    found = np.full((len(receiver.batch), *parts.shape), np.nan)
    found[:, only] = neuron_changes(model, receiver, donor, parts, only, done, should_stop)
    return found
