"""`attribute`: one door to every attribution method."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, overload

from neurowidget.analysis.attribution import METHODS
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

Method = str | Callable[..., Attribution]


@overload
def attribute(
    model: NeuronModel,
    text: str | list[int],
    method: Method = ...,
    target: Any = ...,
    baseline: Any = ...,
    position: int | None = ...,
    site: str | None = ...,
    of: Neuron | str | None = ...,
    **options: Any,
) -> Attribution: ...
@overload
def attribute(
    model: NeuronModel,
    text: Sequence[str] | Sequence[Sequence[int]],
    method: Method = ...,
    target: Any = ...,
    baseline: Any = ...,
    position: int | None = ...,
    site: str | None = ...,
    of: Neuron | str | None = ...,
    **options: Any,
) -> list[Attribution]: ...
def attribute(
    model: NeuronModel,
    text: Any,
    method: Method = "integrated_gradients",
    target: Any = None,
    baseline: Any = None,
    position: int | None = None,
    site: str | None = None,
    of: Neuron | str | None = None,
    **options: Any,
) -> Attribution | list[Attribution]:
    """How much each token of `text`, or each neuron of `site`, contributes to `target`; for a list of texts, a list.

    `method` is "integrated_gradients" or "gradient_x_input" (scores per token), "gradient_x_activation" (scores
    (layer, neuron) of `site`), or a callable that takes `(model, text, **options)` and gives an Attribution. `target`
    is what `neurowidget.targets` describes, by default the predicted class or token of the clean model, read at
    `position`; `of="L5.mlp[131]"` explains a neuron instead, at token `position` or over all tokens. `baseline` is "pad",
    "mask", "zero", "mean", a token or a text with as many tokens. `options` go to the method (`n_steps`,
    `internal_batch_size`, `should_stop`, `target_text` of a seq2seq decoder, `layers`).

    Inside `with model.intervene(...)` the changed model is explained. The model is left as it was, and param.grad is
    not touched. Raises ValueError for an unknown method, an option that the method does not take, and NaN.
    """
    function = _method(method)
    given = {"target": target, "baseline": baseline, "position": position, "site": site, "of": of}
    chosen = {name: value for name, value in given.items() if value is not None} | options
    _check_options(function, chosen)
    if _is_one_text(text):
        return function(model, text, **chosen)
    return [function(model, one, **chosen) for one in text]


def _method(method: Method) -> Callable[..., Attribution]:
    if callable(method):
        return method
    if method not in METHODS:
        raise ValueError(f"no attribution method {method!r}: there are {', '.join(METHODS)}, or pass a callable")
    return METHODS[method]


def _check_options(function: Callable[..., Attribution], given: dict[str, Any]) -> None:
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    names = [parameter.name for parameter in parameters][2:]
    if wrong := [name for name in given if name not in names]:
        name = getattr(function, "__name__", "this method")
        raise ValueError(f"{name} takes no {wrong[0]}=: it takes {', '.join(names)}")


def _is_one_text(text: Any) -> bool:
    return isinstance(text, str) or (len(text) > 0 and all(hasattr(item, "__index__") for item in text))
