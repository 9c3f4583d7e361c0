"""What every attribution of one text begins with: its ids, its target, and a check that the numbers are numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from neurowidget.models import targets
from neurowidget.models.targets import Target
from neurowidget.neuron import Neuron

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel

Text = str | Sequence[int]
SATURATED = 0.999


def encoded(model: NeuronModel, text: Text, target_text: Text | None = None) -> Batch:
    """One text, or ready ids, as a batch of one; `target_text` is what a seq2seq decoder has written so far."""
    return model.encode([text]) if target_text is None else model.encode([text], targets=[target_text])


def explained_target(
    model: NeuronModel, batch: Batch, target: Any, position: int | None, of: Neuron | str | None
) -> Target:
    """The frozen target: `target` at `position`, or the neuron `of`, at token `position` or over all tokens."""
    if of is None:
        return targets.resolve(model, batch, target, position)
    if target is not None:
        raise ValueError(f"of={str(of)!r} is the target here: give either of= or target=, not both")
    return targets.resolve(model, batch, targets.neuron(of, token=position))


def numbers(scores: Tensor, method: str, target: Target, value: float) -> np.ndarray:
    """`scores` as float32; raises ValueError when one of them, or the target, is not a finite number."""
    array: np.ndarray = scores.detach().cpu().float().numpy()
    wrong = int((~np.isfinite(array)).sum())
    if wrong or not np.isfinite(value):
        what = f"{wrong} of {array.size} scores are" if wrong else "the target is"
        raise ValueError(
            f"{method}: {what} NaN or infinite (the {target.name} is {value:g}). Is a weight or an activation NaN, or "
            "does the model overflow in its precision?"
        )
    return array


def saturation(target: Target, value: float) -> list[tuple[str, str]]:
    """A badge and its sentence when a probability lies so near 0 or 1 that its gradient vanishes."""
    if target.name.startswith("probability of ") and not 1 - SATURATED < value < SATURATED:
        sentence = (
            f"The {target.name} is {value:.5f}, where its gradient all but vanishes: explain the log-odds or the "
        )
        return [("saturated", sentence + "log-probability instead.")]
    return []
