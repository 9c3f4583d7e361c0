"""From names of neurons to edits of tensors: which columns, at which positions, are replaced by what."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from neurowidget.models.context import Context
from neurowidget.neuron import LayerSite, Neuron

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

Address = Neuron | LayerSite
Neurons = Neuron | LayerSite | str | Iterable[Neuron | LayerSite | str]
Positions = tuple[int | tuple[int, int], ...] | Literal["prompt", "generated"] | None
New = Callable[[Tensor, Context], Tensor]


@dataclass(frozen=True)
class Columns:
    """The neurons of one site that an intervention is about.

    `index` are their indices (None: the whole site), `entries` where each stands in the list that was given.
    """

    index: tuple[int, ...] | None
    entries: tuple[int, ...] = ()

    @cached_property
    def tensor(self) -> Tensor:
        """`index` as int64."""
        with torch.inference_mode(False):  # it is kept, and later forwards may want gradients
            return torch.tensor(self.index or (), dtype=torch.long)

    def of(self, values: Tensor) -> Tensor:
        """These columns of (..., width)."""
        return values if self.index is None else values.index_select(-1, self.tensor.to(values.device))


class Edit:
    """Replace columns of a value by `new(columns, context)` at the chosen tokens; the rest stays bit-equal.

    `choose(context)` is bool (batch, token); `chose` counts the forwards in which it chose any token.
    """

    def __init__(self, columns: Columns, choose: Callable[[Context], Tensor], new: New) -> None:
        self.columns, self.choose, self.new = columns, choose, new
        self.chose = 0

    def __call__(self, value: Tensor, context: Context) -> Tensor:
        chosen = self.choose(context)
        if not bool(chosen.any()):
            return value
        self.chose += 1
        old = self.columns.of(value)
        new = self.new(old, context).to(device=old.device, dtype=old.dtype)
        new = torch.where(chosen[..., None].to(old.device), new, old)
        if self.columns.index is None:
            return new
        return value.index_copy(-1, self.columns.tensor.to(value.device), new)


def parse_neurons(neurons: Neurons) -> tuple[Address, ...]:
    """Read `"L5.mlp[131]"`, `"L5.mlp"` (a whole site), a Neuron, a LayerSite, or a list of these."""
    if isinstance(neurons, Neuron | LayerSite):
        return (neurons,)
    if isinstance(neurons, str):
        return (Neuron.parse(neurons) if "[" in neurons else LayerSite.parse(neurons),)
    if not isinstance(neurons, Iterable):
        raise TypeError(f"expected neurons such as 'L5.mlp[131]' or 'L5.mlp', or a list of them, got {neurons!r}")
    found: list[Address] = []
    for item in neurons:
        if not isinstance(item, Neuron | LayerSite | str):
            raise TypeError(f"expected neurons such as 'L5.mlp[131]' or 'L5.mlp', got {type(item).__name__}: {item!r}")
        found.extend(parse_neurons(item))
    return tuple(found)


def columns_by_site(model: NeuronModel, neurons: Sequence[Address]) -> dict[LayerSite, Columns]:
    """Group neurons by site, each neuron once; raises when the model has no such layer, site or neuron."""
    found: dict[LayerSite, dict[int, int]] = {}
    whole: dict[LayerSite, int] = {}
    widths: dict[LayerSite, int] = {}
    for entry, item in enumerate(neurons):
        site = item if isinstance(item, LayerSite) else item.address
        if site not in found:
            found[site] = {}
            widths[site] = width_of(model, site)
        if isinstance(item, LayerSite):
            whole.setdefault(site, entry)
            continue
        width = widths[site]
        if not 0 <= item.index < width:
            raise IndexError(f"{item}: {site} has {width} neurons, 0 to {width - 1}")
        found[site].setdefault(item.index, entry)
    return {
        site: Columns(None, (whole[site],)) if site in whole else Columns(tuple(indices), tuple(indices.values()))
        for site, indices in found.items()
    }


def width_of(model: NeuronModel, site: LayerSite) -> int:
    """How many neurons `site` has; raises ValueError when the model has no such layer or site."""
    model.locate(site)
    stacks = model.architecture.stacks
    stack = stacks[site.stack] if site.stack in stacks else stacks["encoder"]
    return stack.layers[site.layer].widths[site.site]


def parse_positions(positions: Any) -> Positions:
    """Read `[0, -1]`, "prompt", "generated" or, for patches, pairs `[(position in the text, in the source), ...]`.

    None is all.
    """
    if positions is None or positions == "prompt" or positions == "generated":
        return positions
    if isinstance(positions, str):
        raise ValueError(f"expected token positions such as [0, -1], 'prompt' or 'generated', got {positions!r}")
    items = [positions] if isinstance(positions, int) and not isinstance(positions, bool) else list(positions)
    if not items:
        raise ValueError("positions is empty: give token positions such as [0, -1], or None for all tokens")
    parsed: list[int | tuple[int, int]] = []
    for item in items:
        parts = tuple(item) if isinstance(item, tuple | list) else (item,)
        pair = len(parts) == 2
        if len(parts) not in (1, 2) or any(isinstance(part, bool) for part in parts):
            raise TypeError(f"expected token positions such as [0, -1], or pairs for Patch, got {item!r}")
        numbers = tuple(operator.index(part) for part in parts)
        parsed.append((numbers[0], numbers[1]) if pair else numbers[0])
    return tuple(parsed)


def at_positions(positions: Positions) -> Callable[[Context], Tensor]:
    """Choose the tokens at `positions`; pairs are refused, since only a patch has a source."""
    if positions is None:
        return lambda context: context.selected(None)
    if isinstance(positions, str):
        return partial(_written, positions == "generated")
    plain = [position for position in positions if isinstance(position, int)]
    if len(plain) < len(positions):
        raise TypeError(f"pairs of positions belong to Patch alone, got {list(positions)}")
    return lambda context: context.selected(plain)


def _written(generated: bool, context: Context) -> Tensor:
    """The tokens that were generated so far, or those of the prompt; a text that is only read is all prompt."""
    own = context.positions()
    return (own >= 0) & ((own >= context.lengths[:, None]) == generated)
