"""The answer to one text over the values of one neuron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from neurowidget.models import hooks, targets
from neurowidget.models.context import Context
from neurowidget.models.edits import columns_by_site
from neurowidget.models.readout import answer_label, independent_labels, logits_at, reading_positions, stack_context
from neurowidget.models.targets import run_recorded
from neurowidget.neuron import Neuron, as_neuron
from neurowidget.results.curves import DoseResponse

if TYPE_CHECKING:
    from torch import Tensor

    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel

ROW_TOKENS = 4096
TOP = 10  # tokens whose probability is followed, of a language model


def dose_response(
    model: NeuronModel,
    text: str | Sequence[int],
    neuron: Neuron | str,
    values: Sequence[float] | np.ndarray,
    target: Any = None,
    *,
    position: int | None = None,
    positions: Sequence[int] | None = None,
) -> DoseResponse:
    """The target and the probabilities of one text with `neuron` set to each of `values`, in one batched forward.

    The neuron is set at `positions`, by default at every token, as `Set` does; `target` is resolved on the clean model
    and read at `position`. The labels are the classes, or a language model's 10 most probable clean answers. Raises
    ValueError for values that are not finite numbers, and for what the model has not.
    """
    chosen_neuron = as_neuron(neuron)
    grid = np.asarray(values, dtype=np.float64)
    if grid.ndim != 1 or not len(grid) or not np.isfinite(grid).all():
        raise ValueError(f"expected a list of finite numbers to set {chosen_neuron} to, got {values!r}"[:300])
    site = chosen_neuron.address
    columns_by_site(model, [chosen_neuron])
    batch = model.encode([text])
    resolved = targets.resolve(model, batch, target, position)
    chosen = stack_context(batch, site.stack).selected(positions)
    if not bool(chosen.any()):
        raise ValueError(f"positions={positions!r}: the text has no token there")
    recorded: dict[Any, Tensor] = {}
    with hooks.recording(model, [site], recorded.__setitem__):
        clean, clean_probabilities = _answers(model, batch, resolved, position)
    natural = recorded[site][..., chosen_neuron.index][chosen.to(recorded[site].device)].float().mean()
    step = max(1, ROW_TOKENS // batch.input_ids.shape[1])
    found: list[Tensor] = []
    answers: list[Tensor] = []
    for part in torch.from_numpy(grid).split(step):

        def edit(value: Tensor, context: Context, part: Tensor = part) -> Tensor:
            new = value.clone()
            column = new[..., chosen_neuron.index]
            new[..., chosen_neuron.index] = torch.where(chosen.to(value.device), part.to(value)[:, None], column)
            return new

        with hooks.editing(model, {site: edit}):
            target_values, probabilities = _answers(model, batch.take([0] * len(part)), resolved, position)
        found.append(target_values)
        answers.append(probabilities)
    probabilities = torch.cat(answers)
    count = probabilities.shape[1]
    ids = torch.arange(count)
    if model.labels is None and count:
        ids = clean_probabilities[0].argsort(descending=True, stable=True)[:TOP]
    return DoseResponse(
        neuron=str(chosen_neuron),
        text=text if isinstance(text, str) else str(list(text)),
        target=resolved.name,
        values=grid,
        target_values=torch.cat(found).numpy(),
        probabilities=probabilities[:, ids].numpy(),
        labels=tuple(answer_label(model, number) for number in ids.tolist()),
        natural=float(natural),
        clean=float(clean[0]),
        provenance=model.provenance("dose_response", site=str(site), target=resolved.name, positions=positions),
    )


def _answers(model: NeuronModel, batch: Batch, target: targets.Target, position: int | None) -> tuple[Tensor, Tensor]:
    """The target (row,) and the probabilities (row, class or token), (row, 0) for a model that predicts nothing."""
    output, recorded = run_recorded(model, batch, target.sites)
    values = target(output, batch, recorded).float().cpu()
    if model.kind == "encoder" or (model.kind == "token_classifier" and position is None):
        return values, torch.zeros(len(values), 0)
    logits = logits_at(model, output, batch, reading_positions(model, batch, position))
    probabilities = logits.sigmoid() if independent_labels(model) else logits.softmax(dim=-1)
    return values, probabilities.float().cpu()
