"""`attribute`: one door to every attribution method."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, overload

from neurowidget.analysis.attribution import METHODS
from neurowidget.neuron import LayerSite, Neuron
from neurowidget.results.attribution import Attribution

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

Method = str | Callable[..., Attribution]
ALIASES = {"input_x_gradient": "gradient_x_input", "shapley_value_sampling": "shapley_sampling"}


@overload
def attribute(
    model: NeuronModel,
    text: str | list[int],
    method: Method = ...,
    target: Any = ...,
    baseline: Any = ...,
    position: int | None = ...,
    site: str | None = ...,
    of: Neuron | LayerSite | str | None = ...,
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
    of: Neuron | LayerSite | str | None = ...,
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
    of: Neuron | LayerSite | str | None = None,
    **options: Any,
) -> Attribution | list[Attribution]:
    """How much each token of `text`, or each neuron of `site`, contributes to `target`; for a list of texts, a list.

    `method` is a key of `METHODS` (docs/attribution.md lists them), or a callable that takes `(model, text, **options)` and
    gives an Attribution. With `site`, "conductance" and others score its neurons, (layer, neuron), and a method of tokens
    stands for the one of layers: "integrated_gradients" for "layer_integrated_gradients". `target` is what
    `neurowidget.targets` describes, by default the predicted class or token of the clean model, read at `position`;
    `of="L5.mlp[131]"` explains a neuron instead, at token `position` or over all tokens; with "conductance" it is what
    reaches the target through that neuron, and `of="L5.mlp"` with "gradient_x_input" scores (token, neuron). `baseline`
    is "pad", "mask", "zero", "mean", a token, a text with as many tokens, or a list of these. `group` joins tokens:
    "words", or lists of neighbouring positions. `options` go to the method (`n_steps`, `n_samples`, `seed`, `layers`,
    `should_stop`, `target_text` of a seq2seq decoder).

    Inside `with model.intervene(...)` the changed model is explained. The model is left as it was, and param.grad is
    not touched. Raises ValueError for an unknown method, an option that the method does not take, and NaN.
    """
    function = _method(method, site, of)
    given = {"target": target, "baseline": baseline, "position": position, "site": site, "of": of}
    chosen = {name: value for name, value in given.items() if value is not None} | options
    _check_options(function, chosen)
    if _is_one_text(text):
        return function(model, text, **chosen)
    return [function(model, one, **chosen) for one in text]


def _method(method: Method, site: str | None, of: Any) -> Callable[..., Attribution]:
    if callable(method):
        return method
    method = ALIASES.get(method, method)
    if site is not None and f"layer_{method}" in METHODS:
        return METHODS[f"layer_{method}"]
    if of is not None and site is None and f"neuron_{method}" in METHODS:
        return METHODS[f"neuron_{method}"]
    if method == "gradient_x_input" and (isinstance(of, LayerSite) or (isinstance(of, str) and "[" not in of)):
        return METHODS["input_x_jacobian"]
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
