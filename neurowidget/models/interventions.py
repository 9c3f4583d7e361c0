"""Interventions in the forward pass: neurons ablated, set, scaled or patched, and vectors added.

Each is a frozen description; `intervene` turns a few of them into edits of the running model for one `with` block.
Biases and attention patterns stay as they are: what is replaced is the value of the neuron itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from neurowidget.models import hooks, patching, reference
from neurowidget.models.edits import (
    Address,
    Edit,
    New,
    Positions,
    at_positions,
    columns_by_site,
    parse_neurons,
    parse_positions,
    width_of,
)
from neurowidget.models.hooks import InterventionNeverFired
from neurowidget.models.reference import ReferenceMeans
from neurowidget.neuron import LayerSite, Neuron
from neurowidget.results.steering import SteeringVector

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

__all__ = [
    "Ablate",
    "Add",
    "Clamp",
    "Intervention",
    "InterventionNeverFired",
    "Patch",
    "Scale",
    "Set",
    "active_interventions",
]
__all__ += ["describe", "from_json", "intervene", "to_json"]

SiteEdits = list[tuple[LayerSite, Edit]]
HOWS = ("zero", "mean", "resample")


@dataclass(frozen=True)
class Ablate:
    """Replace neurons by a value that says nothing about the text: 0, their mean, or their value at another token.

    "mean" is over `reference`: texts with at least 1,000 tokens, a ReferenceMeans, or None for the bundled sample;
    special tokens get the mean at their role. "resample" takes the values of one donor token per position, of the same
    role and the same for all `neurons`, drawn by `seed` and `draw`: average over draws (16 or more). `within` = (low,
    high) leaves every neuron alone whose value lies outside of this range, where it may stand for another concept.
    """

    neurons: Any
    how: Literal["zero", "mean", "resample"] = "zero"
    reference: Any = None
    seed: int = 0
    draw: int = 0
    within: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "neurons", parse_neurons(self.neurons))
        if self.how not in HOWS:
            raise ValueError(f"Ablate: how must be 'zero', 'mean' or 'resample', got {self.how!r}")
        if self.reference is not None and self.how == "zero":
            raise ValueError("Ablate: a reference goes with how='mean' or how='resample', not with 'zero'")
        if self.reference is not None and not isinstance(self.reference, ReferenceMeans):
            object.__setattr__(self, "reference", reference.checked_texts(self.reference))
        if self.within is not None:
            object.__setattr__(self, "within", _range("Ablate: within", *self.within))

    def edits(self, model: NeuronModel, positions: Positions) -> SiteEdits:
        made = self._edits(model, positions)
        if self.within is not None:
            for _, edit in made:
                edit.new = _only_within(edit.new, *self.within)
        return made

    def _edits(self, model: NeuronModel, positions: Positions) -> SiteEdits:
        choose = at_positions(positions)
        columns = columns_by_site(model, self.neurons)
        if self.how == "zero":
            return [(site, Edit(c, choose, lambda old, _: torch.zeros_like(old))) for site, c in columns.items()]
        if self.how == "mean":
            first = {(site.stack, site.site): site for site in columns}
            means = {key: reference.means_for(model, site, self.reference) for key, site in first.items()}
            return [
                (site, Edit(c, choose, reference.mean_edit(model, site, c, means[site.stack, site.site])))
                for site, c in columns.items()
            ]
        draws = reference.resample_edits(model, columns, self.reference, self.seed, self.draw)
        return [(site, Edit(c, choose, draws[site])) for site, c in columns.items()]


@dataclass(frozen=True)
class Set:
    """Replace neurons by a number, or by one number per neuron."""

    neurons: Any
    value: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "neurons", parse_neurons(self.neurons))
        object.__setattr__(self, "value", _numbers("Set", self.value))

    def edits(self, model: NeuronModel, positions: Positions) -> SiteEdits:
        choose = at_positions(positions)
        found: SiteEdits = []
        for site, columns in columns_by_site(model, self.neurons).items():
            if isinstance(self.value, float):
                values = torch.tensor(self.value)
            elif columns.index is None:
                if len(self.neurons) != 1 or len(self.value) != width_of(model, site):
                    raise ValueError(f"Set: {site} has {width_of(model, site)} neurons, got {len(self.value)} values")
                values = torch.tensor(self.value)
            else:
                values = torch.tensor([self.value[entry] for entry in self._checked(columns.entries)])
            found.append((site, Edit(columns, choose, lambda old, _, v=values: v.to(old).expand_as(old))))  # type: ignore[misc]
        return found

    def _checked(self, entries: tuple[int, ...]) -> tuple[int, ...]:
        if len(self.value) != len(self.neurons):
            raise ValueError(f"Set: expected one value or one per neuron ({len(self.neurons)}), got {len(self.value)}")
        if len(set(self.neurons)) != len(self.neurons):
            raise ValueError("Set: with one value per neuron, each neuron may be given once")
        return entries


@dataclass(frozen=True)
class Scale:
    """Multiply neurons by a factor (1 changes nothing, bit-equal)."""

    neurons: Any
    factor: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "neurons", parse_neurons(self.neurons))
        object.__setattr__(self, "factor", _number("Scale", self.factor))

    def edits(self, model: NeuronModel, positions: Positions) -> SiteEdits:
        choose = at_positions(positions)
        columns = columns_by_site(model, self.neurons)
        return [(site, Edit(c, choose, lambda old, _: old * self.factor)) for site, c in columns.items()]


@dataclass(frozen=True)
class Clamp:
    """Keep neurons within `low` to `high`; either may be left out."""

    neurons: Any
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "neurons", parse_neurons(self.neurons))
        if self.low is None and self.high is None:
            raise ValueError("Clamp: give low, high or both")
        low, high = _range(
            "Clamp", -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high
        )
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    def edits(self, model: NeuronModel, positions: Positions) -> SiteEdits:
        choose = at_positions(positions)
        columns = columns_by_site(model, self.neurons)
        return [(site, Edit(c, choose, lambda old, _: old.clamp(self.low, self.high))) for site, c in columns.items()]


@dataclass(frozen=True, eq=False)
class Add:
    """Add `strength * vector` (numpy or torch, one number per neuron of the site) to a site, as steering does.

    A SteeringVector brings its layer and site along; its strength counts in mean norms of the site.
    """

    vector: Any
    layer: int | None = None
    site: str = "residual"
    strength: float = 1.0
    stack: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.vector, SteeringVector):
            if self.layer is None:
                for name in ("layer", "site", "stack"):
                    object.__setattr__(self, name, getattr(self.vector, name))
            object.__setattr__(self, "vector", self.vector.vector)
        if self.layer is None:
            raise ValueError("Add: say which layer the vector is added to: Add(vector, layer=3)")
        if not isinstance(self.vector, Tensor):
            object.__setattr__(self, "vector", torch.from_numpy(np.array(self.vector, dtype=np.float32)))
        object.__setattr__(self, "strength", _number("Add", self.strength))

    @property
    def address(self) -> LayerSite:
        """Where the vector is added."""
        assert self.layer is not None
        return LayerSite(self.layer, self.site, self.stack)

    def edits(self, model: NeuronModel, positions: Positions) -> SiteEdits:
        (columns,) = columns_by_site(model, [self.address]).values()
        width = width_of(model, self.address)
        if self.vector.shape != (width,):
            raise ValueError(f"Add: {self.address} is {width} wide, got a vector of shape {tuple(self.vector.shape)}")
        return [
            (
                self.address,
                Edit(columns, at_positions(positions), lambda old, _: old + self.strength * self.vector.to(old)),
            )
        ]


@dataclass(frozen=True, eq=False)
class Patch:
    """Replace neurons by their values on another text, position by position.

    `source` is a text (or token ids), which the unedited model is run on, or an array (token, width of the site) or
    (token, neurons). Without positions both texts must have the same number of tokens; `positions` of `intervene` are
    one list that holds in both texts, or pairs (position in the text, position in the source).
    """

    neurons: Any
    source: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "neurons", parse_neurons(self.neurons))
        if isinstance(self.source, np.ndarray):
            object.__setattr__(self, "source", torch.from_numpy(self.source.copy()))

    def edits(self, model: NeuronModel, positions: Positions) -> SiteEdits:
        return patching.patch_edits(model, self.neurons, self.source, positions)


Intervention = Ablate | Set | Scale | Clamp | Add | Patch


def intervene(
    model: NeuronModel, *interventions: Intervention | Iterable[Intervention], positions: Any = None
) -> Intervening:
    """A block in which every forward of this thread, also of `generate`, runs with `interventions`, in the order given.

    `positions` are token positions in each text's own unpadded numbering (negative ones from its end, or from the end
    of the prompt while text is generated), "prompt" or "generated"; None is every token that is not padding. Raises
    IndexError or ValueError for an unknown neuron, RuntimeError for a compiled module, and InterventionNeverFired at
    the end of a block in which an intervention changed nothing because no token at `positions` came by.
    """
    flat: list[Intervention] = []
    for item in interventions:
        flat += [item] if isinstance(item, Intervention) else list(item)
    for item in flat:
        if not isinstance(item, Intervention):
            raise TypeError(f"expected Ablate, Set, Scale, Clamp, Add or Patch, got {type(item).__name__}: {item!r}")
    return Intervening(model, tuple(flat), parse_positions(positions))


class Intervening(hooks.Block):
    """An open block of interventions; `descriptions` are one readable line each."""

    def __init__(self, model: NeuronModel, interventions: tuple[Intervention, ...], positions: Positions) -> None:
        self.interventions = interventions
        self.positions = positions
        self.made = [item.edits(model, positions) for item in interventions]
        by_site: dict[LayerSite, list[hooks.Edit]] = {}
        for site, edit in (pair for made in self.made for pair in made):
            by_site.setdefault(site, []).append(edit)
        super().__init__(model, by_site, None)

    @property
    def descriptions(self) -> tuple[str, ...]:
        where = f" at {self.positions} tokens" if isinstance(self.positions, str) else ""
        if isinstance(self.positions, tuple):
            where = " at tokens " + ", ".join(map(str, self.positions))
        return tuple(describe(item) + where for item in self.interventions)

    def __enter__(self) -> Self:
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is not None:
            return
        for line, made in zip(self.descriptions, self.made, strict=True):
            if any(not edit.chose for _, edit in made):
                raise InterventionNeverFired(f"{line}: no text in this block had a token there")


def active_interventions(model: NeuronModel) -> tuple[str, ...]:
    """One readable line for each intervention that the current thread has open on `model`, outermost first."""
    blocks = [block for block in hooks.open_blocks(model) if isinstance(block, Intervening)]
    return tuple(line for block in blocks for line in block.descriptions)


def describe(intervention: Intervention) -> str:
    """A readable line: `L5.mlp[131] off (mean)`, `L5.mlp[131] set to 2.4`, `L5.mlp patched from 'other text'`."""
    match intervention:
        case Ablate(neurons=neurons, how=how, within=None):
            return f"{_names(neurons)} off ({how})"
        case Ablate(neurons=neurons, how=how, within=(low, high)):
            return f"{_names(neurons)} off ({how}) within {low:g} to {high:g}"
        case Clamp(neurons=neurons, low=low, high=high):
            return f"{_names(neurons)} kept within {low:g} to {high:g}"
        case Set(neurons=neurons, value=float(value)):
            return f"{_names(neurons)} set to {value:g}"
        case Set(neurons=neurons, value=values):
            shown = ", ".join(f"{value:g}" for value in values[:3])
            return f"{_names(neurons)} set to {shown}{', ...' if len(values) > 3 else ''}"
        case Scale(neurons=neurons, factor=factor):
            return f"{_names(neurons)} scaled by {factor:g}"
        case Add(vector=vector, strength=strength):
            norm = float(vector.detach().float().norm()) * strength
            return f"a vector of norm {norm:.4g} added to {intervention.address}"
        case Patch(neurons=neurons, source=source):
            other = "given values" if isinstance(source, Tensor) else "given ids"
            return f"{_names(neurons)} patched from {repr(source[:60]) if isinstance(source, str) else other}"
    raise TypeError(f"expected Ablate, Set, Scale, Clamp, Add or Patch, got {intervention!r}")


def to_json(intervention: Intervention) -> dict[str, Any]:
    """The wire form `{kind, neuron, how?, value?}` of an intervention on one neuron; ValueError for any other."""
    match intervention:
        case Ablate(neurons=(Neuron() as neuron,), how="zero" | "mean" as how, within=None):
            return {"kind": "ablate", "neuron": str(neuron), "how": how}
        case Set(neurons=(Neuron() as neuron,), value=float(value)):
            return {"kind": "set", "neuron": str(neuron), "value": value}
        case Scale(neurons=(Neuron() as neuron,), factor=factor):
            return {"kind": "scale", "neuron": str(neuron), "value": factor}
    raise ValueError(
        f"only Ablate (zero, mean), Set and Scale of one neuron have a wire form, not: {describe(intervention)}"
    )


def from_json(item: Any, reference: ReferenceMeans | Sequence[str] | None = None) -> Ablate | Set | Scale:
    """Read the wire form; raises ValueError for anything else, since a page may send what it likes.

    `reference` is what how="mean" is a mean of.
    """
    if not isinstance(item, Mapping):
        raise ValueError(f"expected an intervention {{kind, neuron, how?, value?}}, got {type(item).__name__}")
    kind, name, how, value = (item.get(key) for key in ("kind", "neuron", "how", "value"))
    if kind not in ("ablate", "set", "scale") or not isinstance(name, str) or len(name) > 60:
        raise ValueError(f"expected kind 'ablate', 'set' or 'scale' and a neuron, got {str(dict(item))[:120]}")
    neuron = Neuron.parse(name)
    if kind == "ablate":
        if how not in ("zero", "mean", None):
            raise ValueError(f"{neuron}: how must be 'zero' or 'mean', got {str(how)[:40]!r}")
        return Ablate(neuron, how or "zero", reference=reference if how == "mean" else None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e6:
        raise ValueError(f"{neuron}: value must be a number from -1e6 to 1e6, got {str(value)[:40]!r}")
    return Set(neuron, value) if kind == "set" else Scale(neuron, value)


def _names(neurons: Sequence[Address]) -> str:
    if len(neurons) <= 3:
        return ", ".join(map(str, neurons)) or "no neuron"
    return f"{', '.join(map(str, neurons[:2]))} and {len(neurons) - 2} more"


def _range(what: str, low: float, high: float) -> tuple[float, float]:
    if not low <= high:
        raise ValueError(f"{what}: expected low <= high, got {low:g} and {high:g}")
    return float(low), float(high)


def _only_within(new: New, low: float, high: float) -> New:
    """`new` for values from low to high; the others stay."""
    return lambda old, context: torch.where((old >= low) & (old <= high), new(old, context).to(old), old)


def _number(what: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{what}: expected a finite number, got {value!r}")
    return number


def _numbers(what: str, value: Any) -> float | tuple[float, ...]:
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    array = np.asarray(value, dtype=np.float64)
    if array.ndim > 1 or not np.isfinite(array).all():
        raise ValueError(f"{what}: expected a finite number or one number per neuron, got {value!r}"[:300])
    return float(array) if array.ndim == 0 else tuple(array.tolist())
