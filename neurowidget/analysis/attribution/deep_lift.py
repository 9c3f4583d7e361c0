"""DeepLIFT of input tokens, rescale rule (Shrikumar et al. 2017), by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from captum.attr import DeepLift
from torch import Tensor

from neurowidget.analysis.attribution.asked import Asked, answer, ask, from_baseline, incomplete
from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.hooked_module import HookedModule, collapsed, ruled
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

PARTLY = "the rescale rule has no form for the products, norms and attention of this model"


def deep_lift(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    baseline: Baseline = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    group: Groups | None = None,
    seed: int = 0,
) -> Attribution:
    """One score per token: (x - x') . multipliers, in which dout/din of an activation is its difference quotient.

    The scores sum to F(x) - F(x') where every nonlinear part has a rule. In a Transformer few or none has: a badge says
    "collapsed" where the result is the plain gradient x (x - x'), and `completeness_error` what is missing. For a set of
    baselines the mean (`deep_lift_shap`). Raises ValueError for NaN, an unusable baseline, and a module with a rule that
    runs twice.
    """
    asked = from_baseline(ask(model, text, target, position, of, target_text), baseline, seed)
    return lifted(asked, "deep_lift", group)


def lifted(asked: Asked, method: str, group: Groups | None, seed: int | None = None) -> Attribution:
    """The result of DeepLIFT, the mean over the set of baselines."""
    model, starts = asked.model, asked.starts
    assert starts is not None
    module = HookedModule(model, asked.explained.of)

    def per_token(difference: Tensor, multipliers: Tensor) -> Tensor:
        return (difference.cpu().double() * multipliers.detach().cpu().double()).sum(dim=-1).mean(dim=0)

    found = []
    for start in starts:  # one at a time: the rules halve the batch into texts and baselines
        text = asked.text.detach().clone().requires_grad_()
        with ruled(model):
            try:
                found.append(DeepLift(module, multiply_by_inputs=False).attribute(text, start[None].clone()))
            except RuntimeError as error:
                if "used more than once" not in str(error):
                    raise
                raise ValueError(f"{method}: a module with a rule runs more than once in {model.name}") from error
    differences = asked.text - starts
    scores = per_token(differences, torch.cat(found))
    remarks = collapsed(
        asked, method, scores, lambda: per_token(differences, asked.gradients(asked.text)),
        "the gradient x the difference from the baseline",
    )  # fmt: skip
    remarks += incomplete(asked, scores, PARTLY)
    return answer(asked, method, scores, complete=True, remarks=remarks, group=group, seed=seed)
