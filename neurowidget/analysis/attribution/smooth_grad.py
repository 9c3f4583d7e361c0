"""SmoothGrad and its relatives: gradients at noisy copies of the text (Smilkov et al. 2017; Adebayo et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch

from neurowidget.analysis.attribution.asked import answer, ask
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.saliency import token_norm
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

Variant = Literal["smoothgrad", "smoothgrad_sq", "vargrad"]


def smooth_grad(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    variant: Variant = "smoothgrad",
    times_input: bool = False,
    n_samples: int = 25,
    noise: float = 0.15,
    group: Groups | None = None,
    seed: int = 0,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per token from the gradients at `n_samples` copies of the text with normal noise on the embeddings.

    `variant` is "smoothgrad" (the mean gradient), "smoothgrad_sq" (the mean of its square) or "vargrad" (its variance);
    the score is its length over the word embedding, or with `times_input` its product with x. The noise has the
    standard deviation `noise` x (max - min of the text's embeddings), as in the paper. Raises ValueError for NaN.
    """
    if n_samples < 1 or noise < 0:
        raise ValueError(f"n_samples must be 1 or more and noise 0 or more, got {n_samples} and {noise}")
    if variant not in ("smoothgrad", "smoothgrad_sq", "vargrad"):
        raise ValueError(f"variant must be 'smoothgrad', 'smoothgrad_sq' or 'vargrad', got {variant!r}")
    asked = ask(model, text, target, position, of, target_text, should_stop)
    spread = noise * float(asked.text.max() - asked.text.min())
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn((n_samples, *asked.text.shape[1:]), generator=generator).to(asked.text)
    gradients = asked.gradients(asked.text + spread * drawn)
    mean = gradients.mean(dim=0)
    if variant != "smoothgrad":
        mean = gradients.square().mean(dim=0) - (mean.square() if variant == "vargrad" else 0)
    scores = (mean * asked.text[0].cpu().double()).sum(dim=-1) if times_input else token_norm(mean)
    return answer(
        asked, "smooth_grad", scores, group=group, seed=seed, variant=variant, times_input=times_input,
        n_samples=n_samples, noise=noise,
    )  # fmt: skip
