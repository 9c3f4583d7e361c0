"""Saliency of tokens: the length of the gradient (Simonyan et al. 2014; for words Li et al. 2016), by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from neurowidget.analysis.attribution.asked import answer, ask
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

Norm = Literal["l2", "l1"]


def saliency(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    norm: Norm = "l2",
    group: Groups | None = None,
) -> Attribution:
    """One score per token, never negative: |dF/dx| at the text, over the word embedding.

    How fast F can change with the token, not in which direction. `norm` is "l2" or "l1", the sum of Captum's absolute
    values. Raises ValueError for NaN and a model without word embeddings.
    """
    asked = ask(model, text, target, position, of, target_text)
    return answer(asked, "saliency", token_norm(asked.gradients(asked.text)[0], norm), group=group, norm=norm)


def token_norm(gradient: Tensor, norm: Norm = "l2") -> Tensor:
    """The length of each token's gradient, float64 (token,), from (token, width)."""
    if norm not in ("l1", "l2"):
        raise ValueError(f"norm must be 'l2' or 'l1', got {norm!r}")
    return gradient.detach().cpu().double().norm(p=int(norm[1]), dim=-1)
