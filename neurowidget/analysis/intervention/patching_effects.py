"""Which activations carry the difference between two prompts: exchange them, and see how far the answer follows.

denoise = F(corrupt; a<-clean) - F(corrupt), noise = F(clean) - F(clean; a<-corrupt) (Vig et al. 2020; Meng et al. 2022;
Zhang and Nanda 2024, "Towards best practices of activation patching"), for each layer and position, each attention head
or each neuron; neurons by attribution patching (Nanda 2023), the largest of them run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from neurowidget.analysis.intervention.changed_targets import Change, changed_targets
from neurowidget.analysis.intervention.exact_effects import Job, exact_effects, tokens_per_forward
from neurowidget.analysis.intervention.first_order import agreement, to_verify
from neurowidget.analysis.intervention.parts import Parts, parts_of
from neurowidget.analysis.intervention.prompt_pairs import PromptPairs, Prompts, listed, pair_prompts
from neurowidget.analysis.statistics.bootstrap import bootstrap_interval
from neurowidget.analysis.statistics.site_gradients import site_gradients
from neurowidget.models import hooks, targets
from neurowidget.models.display import tokens_of
from neurowidget.models.progress import StopFlag, check
from neurowidget.neuron import LayerSite, Neuron
from neurowidget.results.patching import PatchingEffects

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

HOWS = {"both": ("denoise", "noise"), "denoise": ("denoise",), "noise": ("noise",)}
FLOOR = 1e-3  # of a total effect: rounding (1e-5) would be more than a hundredth of anything smaller
Values = dict[LayerSite, Tensor]


def patching_effects(
    model: NeuronModel,
    clean: Any,
    corrupt: Any,
    site: str = "residual",
    target: Any = None,
    how: str = "both",
    *,
    positions: Any = None,
    layers: Sequence[int] | None = None,
    position: int | None = None,
    verify: int = 100,
    seed: int = 0,
    progress: bool = True,
    should_stop: StopFlag | None = None,
) -> PatchingEffects:
    """Effects of exchanging activations between `clean` and `corrupt` prompts, one pair or a list of each.

    `site` is "residual", "attention" or "mlp" (all of it, at each layer and position), "heads" or "neurons" (each one,
    at all positions together). Tokens stand for each other one to one, or at `positions`: a list that holds in both
    prompts, or pairs (position in clean, position in corrupt). The target is resolved on the clean prompts and read at
    `position`; a list of specs is one for each pair. `how` is "denoise", "noise" or "both".

    Neurons are estimated from one backward pass of each side; the `verify` largest, some random ones and those that
    differ most are run. Raises ValueError showing both tokenisations when prompts cannot be matched, and Cancelled
    when `should_stop()` says True between two forwards.
    """
    if how not in HOWS:
        raise ValueError(f"no how={how!r}: expected 'denoise', 'noise' or 'both'")
    parts = parts_of(model, site, layers)
    pairs = pair_prompts(model, clean, corrupt, parts.stack, positions, target, position)
    _require_one_grid(pairs, parts)
    estimates, exact, uniform, agreed = None, None, None, None
    if parts.part == "neuron":
        estimates, moved = _estimates(model, pairs, parts, HOWS[how], should_stop)
        largest = np.abs(estimates.mean(axis=1)).max(axis=0)
        exact, uniform = to_verify(largest, moved, verify, seed)
    by_pair = _run(model, pairs, parts, HOWS[how], exact, progress, should_stop)
    if estimates is not None and exact is not None and uniform is not None:
        run, estimated = by_pair.mean(axis=1), estimates.mean(axis=1)
        everywhere = [np.broadcast_to(mask, run.shape) for mask in (exact, uniform)]
        agreed = agreement(estimated, run, *everywhere)
        by_pair = np.where(exact, by_pair, estimates)
    values = [evaluated(model, side) for side in (pairs.first, pairs.second)]
    found = dict(zip(HOWS[how], by_pair, strict=True))
    labels = [_labels(model, pairs, parts, side) for side in (0, 1)]
    return PatchingEffects(
        layers=tuple(address.layer for address in parts.sites),
        site=site.rpartition(".")[2],
        stack=parts.stack,
        axis="position" if parts.part == "layer" else parts.part,
        labels=labels[0],
        corrupt_labels=labels[1],
        positions=np.array(pairs.places[0]),
        target=pairs.first.target.name,
        clean_texts=shown(clean),
        corrupt_texts=shown(corrupt),
        clean=values[0],
        corrupt=values[1],
        denoise_by_pair=found.get("denoise"),
        noise_by_pair=found.get("noise"),
        denoise_interval=bootstrap_interval(found["denoise"], seed=seed) if "denoise" in found else None,
        noise_interval=bootstrap_interval(found["noise"], seed=seed) if "noise" in found else None,
        exact=np.ones(by_pair.shape[2:], dtype=bool) if exact is None else exact,
        agreement=agreed,
        noise_floor=noise_floor(model, np.concatenate(values)),
        provenance=model.provenance(
            "patching_effects", site=site, target=pairs.first.target.name, seed=seed, how=how, positions=positions
        ),
    )


def noise_floor(model: NeuronModel, values: np.ndarray) -> float:
    """The size under which a difference of two values of a target is rounding rather than an effect."""
    kinds = {p.dtype for p in model.module.parameters() if p.is_floating_point()} or {torch.float32}
    rounding = max(torch.finfo(kind).eps for kind in kinds) * max(1.0, float(np.abs(values).max()))
    return max(FLOOR, 8 * rounding)


def recorded_values(model: NeuronModel, prompts: Prompts, sites: Sequence[LayerSite]) -> Values:
    """Copies of the values (pair, token, width) of prompts, under the interventions that are open."""
    found: Values = {}
    with hooks.recording(model, list(sites), lambda site, value: found.__setitem__(site, value.clone())):
        model.forward(prompts.batch)
    return found


def chunks_of_pairs(model: NeuronModel, pairs: PromptPairs) -> Iterator[tuple[slice, PromptPairs]]:
    """The pairs in pieces of which several copies fit into a forward."""
    tokens = max(side.batch.input_ids.shape[1] for side in (pairs.first, pairs.second))
    size = max(1, tokens_per_forward(model) // (4 * tokens))
    for start in range(0, len(pairs), size):
        rows = slice(start, min(start + size, len(pairs)))
        yield rows, pairs.take(range(rows.start, rows.stop))


def _require_one_grid(pairs: PromptPairs, parts: Parts) -> None:
    counts = sorted({len(places) for places in pairs.places})
    if parts.part == "layer" and len(counts) > 1:
        raise ValueError(
            f"the pairs have {counts[0]} to {counts[-1]} tokens, which is no grid: give positions=[...] that mean the same "
            "in every pair (negative ones count from the end), or pairs of one template"
        )


def _sides(pairs: PromptPairs, direction: str) -> tuple[Prompts, Prompts, int]:
    """The prompts that receive activations, those that give them, and the sign of a change of the target."""
    return (pairs.second, pairs.first, 1) if direction == "denoise" else (pairs.first, pairs.second, -1)


def _run(
    model: NeuronModel,
    pairs: PromptPairs,
    parts: Parts,
    directions: Sequence[str],
    only: np.ndarray | None,
    progress: bool,
    should_stop: StopFlag | None,
) -> np.ndarray:
    """Effects (direction, pair, layer, column), NaN for neurons that `only` leaves out."""
    from tqdm.auto import tqdm

    places = len(pairs.places[0]) if parts.part == "layer" else None
    found = np.full((len(directions), len(pairs), len(parts.sites), places or parts.count), np.nan)
    cells = found[0, 0].size if only is None else int(only.sum())
    total = len(directions) * len(pairs) * cells
    with tqdm(total=total, desc="patching", unit="run", disable=not progress, leave=False) as bar:
        for number, direction in enumerate(directions):
            for rows, chunk in chunks_of_pairs(model, pairs):
                check(should_stop)
                receiver, donor, sign = _sides(chunk, direction)
                if only is None:
                    found[number, rows] = sign * cell_changes(
                        model, receiver, donor, parts, places, bar.update, should_stop
                    )
                else:
                    found[number, rows][:, only] = sign * neuron_changes(
                        model, receiver, donor, parts, only, bar.update, should_stop
                    )
    return found


def cell_changes(
    model: NeuronModel,
    receiver: Prompts,
    donor: Prompts,
    parts: Parts,
    places: int | None,
    done: Callable[[int], object],
    should_stop: StopFlag | None,
) -> np.ndarray:
    """F(receiver; a<-donor) - F(receiver), float64 (pair, layer, column).

    A column is one of `places`, or a part at all places together when `places` is None.
    """
    own = recorded_values(model, receiver, parts.sites)
    given = recorded_values(model, donor, parts.sites)
    changes = []
    for site in parts.sites:
        moved = receiver.receive(given[site].cpu(), donor)
        differs = moved != own[site].cpu()
        for column in range(places or parts.count):
            taken = parts.columns(column) if places is None else slice(0, parts.width)
            at = receiver.at(None if places is None else [column])
            # Equal values change nothing: a run would find just that.
            changes.append(Change(site, taken, moved[..., taken], at & differs[..., taken].any(dim=-1)))
    _, found = changed_targets(model, receiver.batch, receiver.target, changes, done=done, should_stop=should_stop)
    return found.reshape(len(found), len(parts.sites), places or parts.count).numpy()


def neuron_changes(
    model: NeuronModel,
    receiver: Prompts,
    donor: Prompts,
    parts: Parts,
    only: np.ndarray,
    done: Callable[[int], object],
    should_stop: StopFlag | None,
) -> np.ndarray:
    """F(receiver; a<-donor) - F(receiver), float64 (pair, neuron), of the neurons of `only`, bool (layer, neuron)."""
    own = recorded_values(model, receiver, parts.sites)
    given = recorded_values(model, donor, parts.sites)
    jobs = []
    for number, site in enumerate(parts.sites):
        moved, before, at = receiver.receive(given[site].cpu(), donor), own[site].cpu(), receiver.at()
        for index in np.flatnonzero(only[number]).tolist():
            chosen = at & (moved[..., index] != before[..., index])
            jobs.append(Job(Neuron(site.layer, index, site.site, site.stack), moved[..., index], chosen))
    _, effects = exact_effects(model, receiver.batch, receiver.target, jobs, done=done, should_stop=should_stop)
    return -effects.numpy()


def _estimates(
    model: NeuronModel,
    pairs: PromptPairs,
    parts: Parts,
    directions: Sequence[str],
    should_stop: StopFlag | None,
) -> tuple[np.ndarray, np.ndarray]:
    """First-order effects (direction, pair, layer, neuron), and how far each neuron is moved, (layer, neuron)."""
    found = np.zeros((len(directions), len(pairs), *parts.shape))
    distance = np.zeros(parts.shape)
    for number, direction in enumerate(directions):
        for rows, chunk in chunks_of_pairs(model, pairs):
            check(should_stop)
            receiver, donor, sign = _sides(chunk, direction)
            given = recorded_values(model, donor, parts.sites)
            _, by_site = site_gradients(model, receiver.batch, receiver.target, parts.sites)
            at = receiver.at()[..., None]
            for layer, (site, (own, gradient)) in enumerate(by_site.items()):
                moved = receiver.receive(given[site].cpu().double(), donor)
                away = torch.where(at, moved - own.cpu().double(), 0.0)
                found[number, rows, layer] = sign * (away * gradient.cpu().double()).sum(dim=1).numpy()
                distance[layer] = np.maximum(distance[layer], away.abs().amax(dim=(0, 1)).numpy())
    return found, distance


def evaluated(model: NeuronModel, prompts: Prompts) -> np.ndarray:
    """F of each prompt, float64 (pair,)."""
    return targets.evaluate_target(model, prompts.batch, prompts.target).cpu().double().numpy()


def _labels(model: NeuronModel, pairs: PromptPairs, parts: Parts, side: int) -> tuple[str, ...]:
    """What the columns are called: the tokens of the first pair, or the number of a head or neuron."""
    if parts.part != "layer":
        return tuple(str(number) for number in range(parts.count))
    prompts = (pairs.first, pairs.second)[side]
    pieces = tokens_of(model, prompts.batch.take([0]), parts.stack).pieces
    return tuple(pieces[place[side]] for place in pairs.places[0])


def shown(prompts: Any) -> tuple[str, ...]:
    """Prompts as strings, for a result."""
    return tuple(text if isinstance(text, str) else str(list(text)) for text in listed(prompts))
