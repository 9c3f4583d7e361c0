"""Integrated gradients of input tokens (Sundararajan, Taly and Yan 2017, equation 1), by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captum.attr import IntegratedGradients
from torch import Tensor

from neurowidget.analysis.attribution.asked import answer, ask, completeness, few_steps, from_baseline
from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.word_embeddings import Explained
from neurowidget.analysis.statistics.halving import halving
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


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
    sink_first: bool | None = None,
    group: Groups | None = None,
    seed: int = 0,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per token: (x - x') . integral of dF/dx from the baseline x' to the text x, over the word embedding.

    The scores sum to F(x) - F(x') up to `completeness_error`; for a set of baselines they are means. The path runs in
    word embeddings alone: position embeddings and the attention mask are those of the text, and special tokens, the
    same in x and x', have score 0. With `sink_first` the first token alone goes from x' to x, and then the others: its
    score is the difference that it makes, exactly, and the rest of the path is smooth. None does so where a causal
    language model reads a text without a token of its own before it: such models park attention on the first token,
    and where that one is half replaced F jumps, so that a straight path cannot be summed up in any usual number of steps.

    `n_steps` points of Gauss-Legendre quadrature are run `internal_batch_size` at a time (half as many when memory runs
    out). Raises ValueError for NaN, an unusable baseline and a model without word embeddings, Cancelled when
    `should_stop()` says True between two forwards.
    """
    if n_steps < 1 or (internal_batch_size is not None and internal_batch_size < 1):
        raise ValueError(f"n_steps and internal_batch_size must be 1 or more, got {n_steps} and {internal_batch_size}")
    asked = from_baseline(ask(model, text, target, position, of, target_text, should_stop), baseline, seed)
    rows = asked.rows(internal_batch_size)
    if sink_first is None:
        sink_first = model.kind == "causal_lm" and not bool(asked.batch.special_mask[0, 0])

    def along(path: Explained, steps: int = n_steps) -> Tensor:
        if not sink_first:
            return _integral(path, steps, rows)
        middle = path.baseline.clone()
        middle[:, 0] = asked.text[:, 0]
        others = asked.path(middle)
        found = _integral(others, steps, rows)
        found[0] += others.value(0.0) - path.value(0.0)
        return found

    scores = asked.over_baselines(along)

    def error_with(steps: int) -> float:
        more = asked.over_baselines(lambda path: along(path, steps))
        return completeness(asked, float(more.sum()))[0]

    remarks = few_steps(completeness(asked, float(scores.sum()))[0], n_steps, error_with)
    return answer(
        asked,
        "integrated_gradients",
        scores,
        complete=True,
        remarks=remarks,
        group=group,
        n_steps=n_steps,
        sink_first=sink_first,
    )


def _integral(explained: Explained, n_steps: int, rows: int) -> Tensor:
    """The scores, float64 (token,)."""
    captum = IntegratedGradients(explained.of)

    def work(size: int) -> Tensor:
        found: Tensor = captum.attribute(
            explained.embeddings.text, explained.baseline, n_steps=n_steps, internal_batch_size=size
        )
        return found[0].detach().cpu().double().sum(dim=-1)

    return halving(work, rows)
