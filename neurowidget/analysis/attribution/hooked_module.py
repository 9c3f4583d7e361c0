"""F as an nn.Module, for the methods of Captum that put rules on a model's own modules; and whether the rules did anything.

DeepLift has rules for modules of ReLU, Tanh and other types alone, guided backpropagation for ReLU. A Transformer's GELU
is of another type, its norms and attention have no rule, and a function call cannot be hooked at all: then the method gives
the plain gradient, without a word. It is compared with the plain gradient, and what was found is kept with the model.
"""

from __future__ import annotations

import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import Tensor, nn

from neurowidget.analysis.attribution.asked import Asked, Remark

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

SAME = 1e-4  # of the largest gradient
_LEFT_BEHIND = ("input", "output", "input_ref")
_collapsed: weakref.WeakKeyDictionary[nn.Module, dict[object, bool]] = weakref.WeakKeyDictionary()


class HookedModule(nn.Module):
    """`function` of values (row, token, width) as the forward of a module that has the model as its part."""

    def __init__(self, model: NeuronModel, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.function = model.module, function
        self.training = model.module.training

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values)


@contextmanager
def ruled(model: NeuronModel) -> Iterator[None]:
    """No other thread runs the model meanwhile, and what Captum wrote on its modules is gone afterwards."""
    before = [(module, {name for name in _LEFT_BEHIND if hasattr(module, name)}) for module in model.module.modules()]
    with model.lock:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Setting (forward, )?backward hooks")
                yield
        finally:
            for module, names in before:
                for name in _LEFT_BEHIND:
                    if name not in names and hasattr(module, name):
                        delattr(module, name)


def collapsed(
    asked: Asked, method: str, found: Tensor, plain: Callable[[], Tensor], what: str, where: object = None
) -> list[Remark]:
    """The remark when `found`, what `method` gave, is what the plain gradient gives.

    Tried once for a model, the method, `where` it is used and whether a neuron or the answer is explained.
    """
    model, key = asked.model, (method, where, asked.target.sites)
    kept = _collapsed.setdefault(model.module, {})
    if key not in kept:
        expected = plain()
        scale = float(expected.abs().max())
        if scale == 0 or not bool(found.isfinite().all()):
            return []
        kept[key] = float((found - expected).abs().max()) <= SAME * scale
    if not kept[key]:
        return []
    types = Counter(type(module).__name__ for module in model.module.modules() if not list(module.children()))
    unruled = [name for name in types if any(word in name for word in ("GELU", "SiLU", "Swish", "Norm", "Activation"))]
    reason = f" such as {', '.join(sorted(unruled)[:3])}" if unruled else " that are functions, not modules"
    return [("collapsed", f"On this model {method} is {what}: its rules apply to none of the nonlinear parts{reason}.")]
