"""Layer-wise relevance propagation, epsilon rule (Bach et al. 2015), by Captum: where every part has a rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from captum.attr import LRP
from captum.attr._core.lrp import SUPPORTED_LAYERS_WITH_RULES, SUPPORTED_NON_LINEAR_LAYERS
from torch import Tensor, nn

from neurowidget.analysis.attribution.asked import TOLERANCE, Remark, answer, ask
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.hooked_module import ruled
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def lrp(
    model: NeuronModel,
    text: Text,
    *,
    target: Any = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    group: Groups | None = None,
) -> Attribution:
    """One score per token: the relevance that reaches it when F is handed down through linear layers by share of input.

    Captum knows rules for Linear and activation modules, not for norms, embeddings of positions or attention, so a
    Transformer is refused; a model of linear layers and ReLUs runs. Relevance that biases take is not given to tokens.
    Raises ValueError naming the modules without a rule, and for NaN.
    """
    parts = _parts(model)
    known = (*SUPPORTED_LAYERS_WITH_RULES, *SUPPORTED_NON_LINEAR_LAYERS)
    if unruled := Counter(type(part).__name__ for part in parts if type(part) not in known):
        named = ", ".join(f"{count} {name}" for name, count in unruled.most_common())
        raise ValueError(
            f"lrp has no rule for {named} of {model.name}: use integrated_gradients or gradient_x_input, which need none"
        )
    asked = ask(model, text, target, position, of, target_text)
    with ruled(model):
        try:
            found: Tensor = LRP(_Parts(parts, asked.explained.of)).attribute(
                asked.text.detach().clone().requires_grad_()
            )
        finally:
            for part in parts:
                for name in ("rule", "activations", "activation"):
                    part.__dict__.pop(name, None)
    scores = found[0].detach().cpu().double().sum(dim=-1)
    remarks: list[Remark] = []
    total = float(scores.sum())
    if abs(total - asked.value) > TOLERANCE * abs(asked.value):
        sentence = (
            f"The relevances sum to {total:.4g}, not to F(x) = {asked.value:.4g}: biases keep some, and a sum that is no module, "
            "such as a residual connection, hands all of it to each of its parts."
        )
        remarks.append(("incomplete", sentence))
    return answer(asked, "lrp", scores, remarks=remarks, group=group)


def _parts(model: NeuronModel) -> list[nn.Module]:
    """The modules that relevance passes through: those without parts, but for the word embedding and what does nothing."""
    words = model.architecture.embeddings
    idle = (nn.Identity, nn.Dropout)
    modules = model.module.modules()
    return [part for part in modules if not list(part.children()) and part is not words and not isinstance(part, idle)]


class _Parts(nn.Module):
    """F with the parts that have rules as its own."""

    def __init__(self, parts: list[nn.Module], function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.parts, self.function = nn.ModuleList(parts), function
        self.training = False

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values)[:, None].sum(dim=1)
