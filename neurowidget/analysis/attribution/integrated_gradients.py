"""Integrated gradients of input tokens (Sundararajan, Taly and Yan 2017, equation 1), by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from captum.attr import LayerIntegratedGradients
from torch import Tensor

from neurowidget.analysis.attribution.baselines import Baseline, baseline_embeddings
from neurowidget.analysis.attribution.explained_text import Text, encoded, explained_target, numbers, saturation
from neurowidget.analysis.attribution.word_embeddings import Explained, WordEmbeddings
from neurowidget.analysis.statistics.halving import halving
from neurowidget.models.display import tokens_of
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

INTERNAL_ROWS = 25  # steps of one forward: memory does not grow with n_steps
INTERNAL_TOKENS = 4096
TOLERANCE = 0.05
FLOOR = 1e-4  # of max(1, |F(x)|): a smaller difference of F is as good as none


def integrated_gradients(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    baseline: Baseline = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    n_steps: int = 50,
    internal_batch_size: int | None = None,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per token: (x - x') . integral of dF/dx from the baseline x' to the text x, over the word embedding.

    The scores sum to F(x) - F(x') up to `completeness_error`. The path runs in word embeddings alone: position
    embeddings and the attention mask are those of the text, and special tokens, the same in x and x', have score 0.
    `n_steps` points of Gauss-Legendre quadrature are run `internal_batch_size` at a time (half as many when memory
    runs out). Raises ValueError for NaN, an unusable baseline and a model without word embeddings, Cancelled when
    `should_stop()` says True between two forwards.
    """
    if n_steps < 1 or (internal_batch_size is not None and internal_batch_size < 1):
        raise ValueError(f"n_steps and internal_batch_size must be 1 or more, got {n_steps} and {internal_batch_size}")
    batch = encoded(model, text, target_text)
    chosen = explained_target(model, batch, target, position, of)
    embeddings = WordEmbeddings(model, batch)
    baseline_name, start = baseline_embeddings(embeddings, baseline)
    explained = Explained(embeddings, chosen, start, should_stop)
    value, baseline_value = explained.value(1.0), explained.value(0.0)
    rows = internal_batch_size or max(1, min(INTERNAL_ROWS, INTERNAL_TOKENS // batch.input_ids.shape[1]))
    scores = _integral(explained, n_steps, rows)
    array = numbers(scores, "integrated_gradients", chosen, value)
    difference = value - baseline_value
    absolute = abs(float(scores.sum()) - difference)
    scale = max(abs(difference), FLOOR * max(1.0, abs(value)))
    warnings = saturation(chosen, value)
    if torch.equal(start, embeddings.text):
        warnings.append(f"The text is its own baseline ({baseline_name}), so there is nothing to attribute.")
    elif not array.any():
        warnings.append(f"All scores are 0: on the path from {baseline_name} the {chosen.name} has no gradient.")
    if absolute > TOLERANCE * scale:
        again = abs(float(_integral(explained, 4 * n_steps, rows).sum()) - difference)
        warnings.append(_incomplete(absolute / scale, n_steps, again / scale))
    return Attribution(
        scores=array,
        tokens=tokens_of(model, batch),
        target=chosen.name,
        baseline=baseline_name,
        value=value,
        baseline_value=baseline_value,
        completeness_error=absolute / scale,
        completeness_absolute=absolute,
        warnings=tuple(warnings),
        provenance=model.provenance(
            "integrated_gradients", site="word embeddings", target=chosen.name, baseline=baseline_name, n_steps=n_steps
        ),
    )


def _integral(explained: Explained, n_steps: int, rows: int) -> Tensor:
    """The scores, float64 (token,)."""
    captum = LayerIntegratedGradients(explained, explained.seam)

    def work(size: int) -> Tensor:
        found: Tensor = captum.attribute(
            torch.ones(1), torch.zeros(1), n_steps=n_steps, method="gausslegendre", internal_batch_size=size
        )
        return found[0].cpu().double().sum(dim=-1)

    return halving(work, rows)


def _incomplete(error: float, n_steps: int, with_more: float) -> str:
    said = f"The scores miss F(x) - F(x') by {error:.0%} with n_steps={n_steps}"
    if with_more <= TOLERANCE:
        return f"{said}; with n_steps={4 * n_steps} it is {with_more:.1%}."
    return f"{said} and still by {with_more:.0%} with {4 * n_steps}: take another baseline, or many more steps."
