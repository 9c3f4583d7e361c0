"""Which side to pad on: the one that leaves the numbers of a text as they are alone, found by trying it once.

A module that counts positions from the first column (BART, Marian) is wrong when padded on the left, one that takes
its answer from the last column would be wrong on the right. Nothing in a config says so reliably, so the first batch
of texts of different lengths runs one short text alone and padded: three forwards on a few tokens, then remembered.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from neurowidget.models.batching import Encoded, Side, assemble, encode_one

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

TEXTS = ("one two three four", "two")
SIDES: tuple[Side, Side] = ("right", "left")
# A shifted position changes numbers by far more, rounding in float32 by far less.
TOLERANCE = 1e-3


def side_for(model: NeuronModel, wanted: Side | None = None) -> Side:
    """The side to pad on: right if that is right, else left; raises ValueError for a wanted side that is wrong.

    Warns when neither side leaves the numbers alone.
    """
    if wanted is not None and wanted not in SIDES:
        raise ValueError(f"padding_side={wanted!r}: expected 'right' or 'left'")
    if wanted is not None:
        if (error := _error(model, wanted)) > TOLERANCE:
            raise ValueError(
                f"padding {model.name} on the {wanted} changes its numbers by up to {error:.2g} of their size, as in"
                " families that count positions from the first column"
            )
        return wanted
    known = bool(model.padding_errors)
    for side in SIDES:
        if _error(model, side) <= TOLERANCE:
            return side
    if not known:
        for message in check_padding(model):
            warnings.warn(message, stacklevel=4)
    return "right"


def check_padding(model: NeuronModel) -> list[str]:
    """Compare a text alone with the same text padded; warnings in words, none when one side leaves it as it is.

    Raises ValueError when the model cannot run two texts at once.
    """
    errors = {side: _error(model, side) for side in SIDES}
    if min(errors.values()) <= TOLERANCE:
        return []
    sizes = " and ".join(f"{error:.2g} on the {side}" for side, error in errors.items())
    return [
        f"{model.name}: padding changes the numbers of a text by up to {sizes} of their size."
        " Encode texts one by one, or in groups of the same length"
    ]


def _error(model: NeuronModel, side: Side) -> float:
    """The largest difference of the answer for a short text, alone and padded, relative to its largest value."""
    if side not in model.padding_errors:
        from neurowidget.models.hooks import suspended

        rows = [encode_one(model, text, index, "text") for index, text in enumerate(TEXTS)]
        if len(rows[0].ids) == len(rows[1].ids):
            rows[0] = Encoded("", rows[0].ids * 2, rows[0].special * 2, None, None)
        with suspended(model):
            alone = _answer(model, rows[1:], side, 0)
            try:
                together = _answer(model, rows, side, 1)
            except ValueError as error:
                raise ValueError(
                    f"{model.name} cannot run two texts of different lengths at once: {error} Encode them one by one,"
                    " or set what it asks for on its config (model.module.config.pad_token_id)"
                ) from error
        scale = max(1.0, float(alone.abs().max()))
        half = alone.dtype in (torch.float16, torch.bfloat16)
        difference = float((alone - together).abs().max()) / scale
        model.padding_errors[side] = difference / (100.0 if half else 1.0)
    return model.padding_errors[side]


def _answer(model: NeuronModel, rows: list[Encoded], side: Side, row: int) -> torch.Tensor:
    """The logits, or last hidden states, of the real tokens of one row."""
    batch = assemble(model, rows, None, side)
    output: Any = model.forward(batch)
    value = output.get("logits", output.get("last_hidden_state"))
    if not isinstance(value, torch.Tensor):
        value = next(v for v in output.values() if isinstance(v, torch.Tensor))
    if value.ndim == 3 and value.shape[1] == batch.input_ids.shape[1] and not batch.decoder_lengths:
        return value[row, batch.real(row)]
    return value[row, : batch.decoder_lengths[row]] if batch.decoder_lengths and value.ndim == 3 else value[row]
