"""Where does a neuron matter? Contexts by its effect on a target at one token, beside those where it fires.

The effect of a neuron at a token is F(clean) - F(the neuron at its mean at that token). To first order it is
(a - mean) dF/da (attribution patching), which one backward pass gives for all tokens and neurons of a batch: it chooses
a shortlist. Every example is then run with the neuron replaced at its token alone, and the shortlist ordered by that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from neurowidget.analysis.examples.batch_rows import rows_of
from neurowidget.analysis.examples.layout import Layout
from neurowidget.analysis.examples.part_examples import PartExamples, checked_pieces
from neurowidget.analysis.statistics.site_gradients import site_gradients
from neurowidget.extraction.planning import padding_for
from neurowidget.models import hooks, targets
from neurowidget.models.batching import Batch, Text, assemble, encode_one
from neurowidget.models.context import Context
from neurowidget.models.progress import StopFlag, check
from neurowidget.models.reference import ReferenceMeans, means_for, model_reference
from neurowidget.neuron import LayerSite
from neurowidget.results.examples import Examples
from neurowidget.results.kept_texts import KeptTexts

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

EFFECT_GROUPS = ("supports", "opposes")
SHORTLIST = 2  # times as many are run as are kept
_TOKENS = 1_024  # of one forward; with its graph, it keeps what all layers computed


@dataclass(frozen=True, eq=False)
class EffectOn:
    """The target, and what a neuron is replaced by: the means of its site over reference texts."""

    target: Any
    position: int | None
    means: ReferenceMeans


def effect_on(
    model: NeuronModel, layout_site: LayerSite, target: Any, position: int | None, reference: Any
) -> EffectOn:
    """The means over `reference` texts, the bundled sample if None."""
    return EffectOn(target, position, means_for(model, layout_site, reference))


def effects_of_part(
    model: NeuronModel,
    texts: Sequence[Text],
    first: int,
    layout: Layout,
    effect: EffectOn,
    *,
    into: PartExamples | None = None,
    should_stop: StopFlag | None = None,
) -> PartExamples:
    """What `examples_of_part` collects, and the first-order effects: one forward and one backward pass per batch."""
    part = PartExamples(layout, model.vocabulary_size) if into is None else into
    encoded = [encode_one(model, text, first + i, "text", any_length=True) for i, text in enumerate(texts)]
    pieces = checked_pieces(model, encoded, first, None)
    counting = [layout.asked.counts(row, layout.sinks) for row in encoded]
    side, groups = padding_for(model, [len(piece) for piece in pieces])
    for group in groups(_TOKENS):
        check(should_stop)
        with model.lock:
            batch = assemble(model, [pieces[i].row for i in group], None, side)
        resolved = targets.resolve(model, batch, effect.target, effect.position)
        _, found = site_gradients(model, batch, resolved, layout.sites)
        rows = rows_of(
            batch,
            [pieces[i] for i in group],
            first,
            counting,
            layout.asked.seed,
            model.device,
            layout.asked.per_sentence,
        )
        ids = batch.input_ids.to(model.device).reshape(-1)[rows.flat]
        for site, (value, gradient) in found.items():
            instead = model_reference(model, site, batch, effect.means).to(value)
            part.receive(site, value, rows, ids, effect=(value - instead) * gradient)
    part.close_part(model, encoded, first)
    return part


def with_effects(
    model: NeuronModel,
    examples: Examples,
    found: PartExamples,
    effect: EffectOn,
    k: int,
    progress: bool,
    should_stop: StopFlag | None,
) -> Examples:
    """The examples with the effect of each, and the shortlists in the order of it."""
    slots: dict[str, Any] = {name: getattr(examples, name) for name in ("text", "token", "value", "contexts")}
    slots["estimates"] = np.concatenate([top.estimate.cpu().numpy() for top in found.tops.values()], axis=1)
    neurons = [(neuron.address, neuron.index) for neuron in examples.neurons]
    total = int((examples.text >= 0).sum())
    with tqdm(total=total, desc="effects", unit=" runs", disable=not progress, leave=False) as bar:
        slots["effects"] = _verified(model, slots, neurons, examples.kept, effect, bar.update, should_stop)
    arrays: dict[str, Any] = {**_reordered(slots, examples.groups, examples.sizes, k)}
    kept = examples.kept.only(np.unique(arrays["text"]))
    name = _target_name(model, kept, effect)
    return replace(
        examples,
        **arrays,
        kept=kept,
        sizes=tuple(
            k if group in EFFECT_GROUPS else n for group, n in zip(examples.groups, examples.sizes, strict=True)
        ),
        correlation=found.correlation().cpu().numpy(),
        target=name,
        provenance=replace(
            examples.provenance,
            target=name,
            parameters={**examples.provenance.parameters, "by": "effect", "ablation": f"mean over {effect.means.name}"},
        ),
    )


def _verified(
    model: NeuronModel,
    slots: dict[str, np.ndarray],
    neurons: Sequence[tuple[LayerSite, int]],
    kept: KeptTexts,
    effect: EffectOn,
    done: Callable[[int], object],
    should_stop: StopFlag | None,
) -> np.ndarray:
    """The effect of each example, float32 (neuron, slot), NaN in empty slots: the model is run with the neuron replaced.

    `slots` are text and token (neuron, slot). Clean and changed runs have the same rows, so that a neuron that is at
    its mean has an effect of exactly 0.
    """
    found = np.full(slots["text"].shape, np.nan, dtype=np.float32)
    runs = [(kept.place(int(slots["text"][row, slot])), row, slot) for row, slot in np.argwhere(slots["text"] >= 0)]
    runs.sort(key=lambda run: (run[0].stop - run[0].start, run[0].start, run[1]))
    for some in _packed(runs, model.device.type == "cpu"):
        check(should_stop)
        batch = model.encode([kept.ids[place].tolist() for place, _, _ in some])
        resolved = targets.resolve(model, batch, effect.target, effect.position)
        tokens = [batch.real(i).start + int(slots["token"][row, slot]) for i, (_, row, slot) in enumerate(some)]
        edits = _edits(model, batch, [neurons[row] for _, row, _ in some], tokens, effect.means)
        clean = targets.evaluate_target(model, batch, resolved)
        with hooks.editing(model, edits):
            changed = targets.evaluate_target(model, batch, resolved)
        for (_, row, slot), value in zip(some, (clean - changed).double().tolist(), strict=True):
            found[row, slot] = value
        done(len(some))
    return found


def _target_name(model: NeuronModel, kept: KeptTexts, effect: EffectOn) -> str:
    """What the target is called over all texts that have examples."""
    names: dict[str, None] = {}
    for start in range(0, len(kept), 32):
        ids = [kept.ids[kept.place(int(index))].tolist() for index in kept.index[start : start + 32]]
        names[targets.resolve(model, model.encode(ids), effect.target, effect.position).name] = None
        if len(names) > 1:
            measure = next(iter(names)).partition(" of ")[0]
            return f"{measure} of the predicted {'class' if model.labels else 'token'}"
    return next(iter(names), "")


def _reordered(
    slots: dict[str, np.ndarray], groups: Sequence[str], sizes: Sequence[int], k: int
) -> dict[str, np.ndarray]:
    """The slots with the shortlists ordered by their exact effect and cut to k; `slots` has "effects" among its arrays."""
    starts = np.cumsum([0, *sizes])
    order = []
    for name, start, size in zip(groups, starts, sizes, strict=False):
        place = np.broadcast_to(np.arange(start, start + size), (len(slots["text"]), size))
        if name in EFFECT_GROUPS:
            effects = slots["effects"][:, start : start + size]
            score = np.where(np.isnan(effects), np.inf, -effects if name == "supports" else effects)
            place = np.take_along_axis(place, np.argsort(score, axis=1, kind="stable"), axis=1)[:, :k]
        order.append(place)
    index = np.concatenate(order, axis=1)
    return {
        name: np.take_along_axis(array, index if array.ndim == 2 else index[:, :, None], axis=1)
        for name, array in slots.items()
    }


def _edits(
    model: NeuronModel,
    batch: Batch,
    neurons: Sequence[tuple[LayerSite, int]],
    tokens: Sequence[int],
    means: ReferenceMeans,
) -> dict[LayerSite, hooks.Edit]:
    """In row i of the batch, neuron i takes its mean at token i (of the padded row)."""

    def edit_of(site: LayerSite) -> hooks.Edit:
        rows = [i for i, (own, _) in enumerate(neurons) if own == site]
        place = (
            torch.tensor(rows),
            torch.tensor([tokens[i] for i in rows]),
            torch.tensor([neurons[i][1] for i in rows]),
        )
        instead = model_reference(model, site, batch, means)[place]

        def edit(value: Tensor, context: Context) -> Tensor:
            changed = value.clone()
            changed[tuple(index.to(value.device) for index in place)] = instead.to(value)
            return changed

        return edit

    return {site: edit_of(site) for site in dict.fromkeys(own for own, _ in neurons)}


def _packed(runs: list[tuple[slice, int, int]], on_cpu: bool) -> Iterator[list[tuple[slice, int, int]]]:
    """Runs sorted by length in groups that share a forward."""
    most = _TOKENS if on_cpu else 16 * _TOKENS
    some: list[tuple[slice, int, int]] = []
    for run in runs:
        if some and (run[0].stop - run[0].start) * (len(some) + 1) > most:
            yield some
            some = []
        some.append(run)
    if some:
        yield some
