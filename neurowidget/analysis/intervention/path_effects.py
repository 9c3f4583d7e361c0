"""Path patching (Wang et al. 2023, "Interpretability in the wild"; Goldowsky-Dill et al. 2023): one edge at a time.

1. The clean run is repeated with the sender changed and every attention and mlp value held at its clean one: only the
   residual stream, and the norms on the way, carry the change. What is read there is the direct effect on the answer.
2. For a receiver, the value that it would take in this run is put into a clean run in which all else is free to follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from neurowidget.analysis.intervention.changed_targets import Change, changed_targets, edits_of
from neurowidget.analysis.intervention.exact_effects import tokens_per_forward
from neurowidget.analysis.intervention.patching_effects import recorded_values, shown
from neurowidget.analysis.intervention.prompt_pairs import PromptPairs, pair_prompts
from neurowidget.analysis.intervention.replacements import replacement
from neurowidget.models import hooks
from neurowidget.models.context import Context
from neurowidget.models.edits import width_of
from neurowidget.models.heads import head_columns, head_count
from neurowidget.models.progress import StopFlag, check
from neurowidget.neuron import LayerSite, Neuron
from neurowidget.results.paths import PathEffects

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

WRITERS = ("attention", "cross_attention", "mlp")
Names = str | Neuron | LayerSite | Sequence[str | Neuron | LayerSite]


@dataclass(frozen=True)
class Place:
    """A part of one layer that sends or receives: a neuron, a head or a whole site."""

    name: str
    site: LayerSite
    columns: slice


def path_effects(
    model: NeuronModel,
    clean: Any,
    corrupt: Any = None,
    *,
    senders: Names,
    receivers: Names | None = None,
    target: Any = None,
    ablation: str = "mean",
    reference: Any = None,
    positions: Any = None,
    position: int | None = None,
    only_activations: bool = False,
    progress: bool = True,
    should_stop: StopFlag | None = None,
) -> PathEffects:
    """Effects of `senders` on the target directly, or through `receivers` alone; exact, norms included.

    Both are neurons ("L5.mlp[131]"), heads ("L3.head[2]", "L3.heads" for each of them), "L5.neurons" for each neuron of
    the mlp, or whole sites ("L3.attention", "L5.mlp"); in one stack. A sender takes its value at the same token of
    `corrupt`, as in `patching_effects`, or, without that, what `ablation` names ("mean" or "zero", as in
    `ablation_effects`), at `positions`. Effects through receivers take a run for each pair of sender and receiver;
    `only_activations` leaves these out (NaN), which makes every neuron of two layers affordable. Raises ValueError for
    a sender in the residual stream, which all paths share.
    """
    sending, receiving = _places(model, senders), [] if receivers is None else _places(model, receivers)
    stacks = {place.site.stack for place in [*sending, *receiving]}
    if len(stacks) != 1 or not sending or (receivers is not None and not receiving):
        raise ValueError("expected senders, and receivers if any are given, in one stack of the model")
    (stack,) = stacks
    pairs = pair_prompts(model, clean, clean if corrupt is None else corrupt, stack, positions, target, position)
    found = _Run(model, pairs, stack, should_stop)
    changes, taken = found.changes(sending, corrupt is not None, ablation, reference)
    from tqdm.auto import tqdm

    runs = len(pairs) * len(sending) * (1 + (0 if only_activations else max(1, len(receiving))))
    activation = None
    with tqdm(total=runs, desc="paths", unit="run", disable=not progress, leave=False) as bar:
        before, total = found.effects(changes, None, bar.update)
        if not receiving:
            _, direct = found.effects(changes, found.held, bar.update)
            by_text = direct[..., None]
        else:
            activation, through = found.received(changes, receiving, not only_activations)
            by_text = np.full((len(pairs), len(sending), len(receiving)), np.nan)
            if not only_activations:
                by_text = found.effects(through, None, bar.update)[1].reshape(by_text.shape)
    return PathEffects(
        senders=tuple(place.name for place in sending),
        receivers=tuple(place.name for place in receiving),
        target=pairs.first.target.name,
        change=taken,
        texts=shown(clean),
        clean=before,
        by_text=by_text,
        total=total.mean(axis=0),
        activation_changes=activation,
        warnings=_not_held(model, stack),
        provenance=model.provenance(
            "path_effects", target=pairs.first.target.name, positions=positions, ablation=taken
        ),
    )


def _places(model: NeuronModel, names: Names) -> list[Place]:
    given = [names] if isinstance(names, str | Neuron | LayerSite) else list(names)
    found: list[Place] = []
    for item in given:
        name = str(item)
        neuron = Neuron.parse(name) if name.endswith("]") else None
        address = neuron.address if neuron is not None else LayerSite.parse(name)
        kind = address.site
        where = {"head": "attention", "heads": "attention", "neurons": "mlp"}.get(kind, kind)
        if where not in WRITERS:
            raise ValueError(
                f"{name}: every path leads through the residual stream; give neurons, heads, attention or mlp"
            )
        site = LayerSite(address.layer, where, address.stack)
        width = width_of(model, site)
        prefix = f"{site.stack}." if site.stack else ""
        count = head_count(model, site) if kind in ("head", "heads") else width
        numbers = range(count) if kind in ("heads", "neurons") else [] if neuron is None else [neuron.index]
        label = f"{prefix}L{site.layer}.head" if kind in ("head", "heads") else str(site)
        for number in numbers:
            if not 0 <= number < count:
                raise ValueError(f"{name}: there are 0 to {count - 1}")
            found.append(Place(f"{label}[{number}]", site, head_columns(width, count, number)))
        if neuron is None and kind not in ("heads", "neurons"):
            found.append(Place(name, site, slice(0, width)))
    return found


def _not_held(model: NeuronModel, stack: str | None) -> tuple[str, ...]:
    """A warning for what writes to the stream besides attention and mlp; raises ValueError where it must."""
    missing = [site for site in ("mlp", "attention") if site not in model.sites_of(stack)]
    if "mlp" in missing:
        raise ValueError(
            f"{model.name} has a layer without the site mlp, so that not all else can be held: name it with "
            "load_model(..., sites={'mlp': ...})"
        )
    return tuple(f"{site} was not found in every layer and is not held where it is missing" for site in missing)


def _means_of_places(model: NeuronModel, places: Sequence[Place]) -> dict[LayerSite, np.ndarray]:
    """For each site a matrix (neuron, place) that takes the mean over the neurons of each of its places."""
    found = {site: np.zeros((width_of(model, site), len(places))) for site in dict.fromkeys(p.site for p in places)}
    for number, place in enumerate(places):
        found[place.site][place.columns, number] = 1 / (place.columns.stop - place.columns.start)
    return found


@dataclass(frozen=True, eq=False)
class _Run:
    """The clean prompts and what they are compared with."""

    model: NeuronModel
    pairs: PromptPairs
    stack: str | None
    should_stop: StopFlag | None

    @property
    def writers(self) -> list[LayerSite]:
        """Every site of every stack that writes to a residual stream."""
        stacks = self.model.stacks or (None,)
        return [
            LayerSite(layer, site, stack)
            for stack in stacks
            for layer in range(self.model.layers(stack))
            for site in WRITERS
            if site in self.model.sites_of(stack)
        ]

    @property
    def held(self) -> dict[LayerSite, Tensor]:
        return recorded_values(self.model, self.pairs.first, self.writers)

    def changes(
        self, sending: Sequence[Place], exchanged: bool, ablation: str, reference: Any
    ) -> tuple[list[Change], str]:
        """What each sender takes, and how to say that."""
        sites = list(dict.fromkeys(place.site for place in sending))
        first, second = self.pairs.first, self.pairs.second
        own = recorded_values(self.model, first, sites)
        if exchanged:
            given = recorded_values(self.model, second, sites)
            moved = {site: first.receive(given[site], second) for site in sites}
            taken = "its value in the other prompt"
        else:
            if ablation not in ("zero", "mean"):
                raise ValueError(f"no ablation {ablation!r} of a path: expected 'zero' or 'mean', or a corrupt prompt")
            found = {site: replacement(self.model, ablation, [site], reference) for site in sites}
            moved = {site: found[site].at(site, first.batch).to(own[site]) for site in sites}
            taken = next(iter(found.values())).name
        at = first.at()
        return [
            Change(
                place.site,
                place.columns,
                moved[place.site][..., place.columns],
                at & (moved[place.site] != own[place.site])[..., place.columns].any(dim=-1).cpu(),
            )
            for place in sending
        ], taken

    def effects(
        self, changes: Sequence[Change], held: dict[LayerSite, Tensor] | None, done: Callable[[int], object]
    ) -> tuple[np.ndarray, np.ndarray]:
        """F(clean) (text,) and F(clean) - F(changed), float64 (text, change)."""
        first = self.pairs.first
        clean, found = changed_targets(
            self.model, first.batch, first.target, changes, held=held, done=done, should_stop=self.should_stop
        )
        return clean.numpy(), -found.numpy()

    def received(
        self, changes: Sequence[Change], receiving: Sequence[Place], passed_on: bool
    ) -> tuple[np.ndarray, list[Change]]:
        """How the mean values of receivers change, (sender, receiver), and, `passed_on`, what each then takes."""
        texts = len(self.pairs)
        held, real = self.held, self.pairs.first.real_tokens()
        size = max(1, tokens_per_forward(self.model) // self.pairs.first.batch.input_ids.numel())
        means = _means_of_places(self.model, receiving)
        found = np.zeros((len(changes), len(receiving)))
        through: list[Change] = []
        for start in range(0, len(changes), size):
            check(self.should_stop)
            block = list(changes[start : start + size])
            nothing = [replace(change, chosen=torch.zeros_like(change.chosen)) for change in block]
            before, after = (self._seen(own, held, receiving) for own in (nothing, block))
            for number in range(len(block)):
                rows = slice(number * texts, (number + 1) * texts)
                for site, matrix in means.items():
                    lost = (before[site][rows] - after[site][rows])[real].double().mean(dim=0).numpy()
                    found[start + number] += lost @ matrix
                for place in receiving if passed_on else ():
                    old, new = (seen[place.site][rows][..., place.columns] for seen in (before, after))
                    through.append(Change(place.site, place.columns, new, real & (old != new).any(dim=-1)))
        return found, through

    def _seen(
        self, block: Sequence[Change], held: dict[LayerSite, Tensor], receiving: Sequence[Place]
    ) -> dict[LayerSite, Tensor]:
        """What each receiver's site would be, before it is held, (copy * text, token, width)."""
        seen: dict[LayerSite, Tensor] = {}

        def look(site: LayerSite) -> hooks.Edit:
            def edit(value: Tensor, context: Context) -> Tensor:
                seen[site] = value.clone().cpu()
                return value

            return edit

        edits = edits_of(block, held)
        sites = dict.fromkeys(place.site for place in receiving)
        first: dict[LayerSite, list[hooks.Edit]] = {site: [look(site)] if site in sites else [] for site in edits}
        with hooks.editing(self.model, {site: [*first[site], edit] for site, edit in edits.items()}):
            self.model.forward(self.pairs.first.batch.take(list(range(len(self.pairs))) * len(block)))
        return seen
