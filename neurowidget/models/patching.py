"""Edits that put the values of another text, or a given array, in the place of neurons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from neurowidget.models import hooks
from neurowidget.models.context import Context
from neurowidget.models.edits import Address, Columns, Edit, Positions, columns_by_site, width_of
from neurowidget.neuron import LayerSite, Neuron

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def patch_edits(
    model: NeuronModel, neurons: Sequence[Address], source: Any, positions: Positions
) -> list[tuple[LayerSite, Edit]]:
    """One edit per site of `neurons`; a source that is a text is run now, with nothing of this thread applied."""
    columns = columns_by_site(model, neurons)
    if isinstance(source, Tensor):
        values = _given(model, columns, neurons, source)
    else:
        values = {site: columns[site].of(value) for site, value in record_text(model, columns, source).items()}
    edits = []
    for site, value in values.items():
        align = _alignment(site, len(value), positions)
        edits.append((site, Edit(columns[site], _aligned(align), _taken(value, align))))
    return edits


def record_text(model: NeuronModel, sites: Iterable[LayerSite], source: Any) -> dict[LayerSite, Tensor]:
    """The clean values (token, width) of one text, a pair (text, target text) or ready ids, at `sites`."""
    pair = isinstance(source, tuple) and len(source) == 2 and isinstance(source[1], str)
    batch = model.encode([source[0]], targets=[source[1]]) if pair else model.encode([source])
    recorded = hooks.record_values(model, batch, list(sites))
    # Copies made outside inference mode, since they may meet autograd.
    return {site: value[0].clone() for site, value in recorded.items()}


def _given(
    model: NeuronModel, columns: dict[LayerSite, Columns], neurons: Sequence[Address], source: Tensor
) -> dict[LayerSite, Tensor]:
    """The columns of a given array (token, width of the one site) or (token, neurons in the order given)."""
    if source.dim() == 2 and len(columns) == 1:
        ((site, chosen),) = columns.items()
        if source.shape[1] == width_of(model, site):
            return {site: chosen.of(source)}
    if source.dim() == 2 and source.shape[1] == len(neurons) and all(isinstance(n, Neuron) for n in neurons):
        return {site: source[:, list(chosen.entries)] for site, chosen in columns.items()}
    widths = ", ".join(f"{site} is {width_of(model, site)} wide" for site in columns)
    raise ValueError(
        f"Patch: expected an array (token, width) of one site or (token, neurons) for {len(neurons)} neurons ({widths}), "
        f"got {tuple(source.shape)}"
    )


_Align = Callable[[Context], Tensor]  # int64 (batch, token): the source position that each token gets, -1 for none


def _alignment(site: LayerSite, count: int, positions: Positions) -> _Align:
    if positions is None:
        return lambda context: _one_to_one(site, count, context)
    if isinstance(positions, str):
        raise TypeError(f"Patch: give token positions or pairs, a source has no {positions} tokens of its own")
    pairs = [(p, p) if isinstance(p, int) else p for p in positions]
    for _, there in pairs:
        if not -count <= there < count:
            raise ValueError(f"Patch: position {there} of the source is outside its {count} tokens")

    def align(context: Context) -> Tensor:
        own = context.positions()
        found = torch.full_like(own, -1)
        for here, there in pairs:
            found[context.selected([here])] = there % count
        return found

    return align


def _one_to_one(site: LayerSite, count: int, context: Context) -> Tensor:
    for length in context.lengths.tolist():
        if length != count:
            raise ValueError(
                f"Patch at {site}: the text has {length} tokens and the source {count}, so they cannot be matched one to "
                "one; give positions=[...] that hold in both, or pairs [(position in the text, position in the source)]"
            )
    own = context.positions()
    return torch.where(own < count, own, -1)


def _aligned(align: _Align) -> Callable[[Context], Tensor]:
    return lambda context: align(context) >= 0


def _taken(value: Tensor, align: _Align) -> Callable[[Tensor, Context], Tensor]:
    return lambda old, context: value.to(old.device)[align(context).clamp(min=0).to(old.device)]
