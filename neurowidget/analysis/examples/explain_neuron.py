"""`explain_neuron`: one door to every way of saying what a neuron carries."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neurowidget.analysis.examples import METHODS
from neurowidget.neuron import Neuron
from neurowidget.results.explanations import Explanation

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

Method = str | Callable[..., Explanation]


def explain_neuron(
    source: Any,
    neuron: Neuron | str,
    method: Method = "top_words",
    *,
    concepts: Mapping[str, Any] | None = None,
    labels: str | Sequence[str] | None = None,
    model: NeuronModel | None = None,
    seed: int = 0,
    **options: Any,
) -> Explanation:
    """What `neuron` carries, by `method`, with a held-out score and the scores of random neurons of its layer.

    `source` is Activations (`nw.extract`), a store (`nw.open_store`) or Examples (`nw.top_examples`). The methods:

    * "top_words", "top_ngrams": the words, or n-grams, with the highest and lowest mean activation; any source;
    * "compositional": formulas over concepts that hold where the neuron fires; needs every token and concepts;
    * "expert_units": the concepts that the neuron finds best, by average precision; needs every token and concepts;
    * "concept_alignment": words and phrases of its top sentences that drive it when they are all that is read; needs `model`;
    * "corpus_generation": a text, found by gradient, that drives it further than any of the corpus; needs `model`;
    * "proposed": what a callable of yours says when it is shown the top examples (`propose=`), scored like the rest;

    or a callable that takes `(source, neuron, **options)` and gives an Explanation. Concepts are the classes of the
    `labels` of the source (all sets when it is None), and rules: `concepts={"month": {"May"}, "year": re.compile(r"\\d{4}"),
    "caps": str.isupper}`. Explanations are made on one half of the sentences, drawn by `seed`, and scored on the other.
    `options` go to the method (`controls`: how many random neurons). Raises ValueError for an unknown method and an
    option that it does not take, TypeError for a source that it cannot use.
    """
    function = _method(method)
    given = {"concepts": concepts, "labels": labels, "model": model}
    chosen = {name: value for name, value in given.items() if value is not None} | options
    _check_options(function, chosen)
    return function(source, neuron, seed=seed, **chosen)


def _method(method: Method) -> Callable[..., Explanation]:
    if callable(method):
        return method
    if method not in METHODS:
        raise ValueError(
            f"no way to explain a neuron is called {method!r}: there are {', '.join(METHODS)}, or a callable"
        )
    return METHODS[method]


def _check_options(function: Callable[..., Explanation], given: Mapping[str, Any]) -> None:
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    names = [parameter.name for parameter in parameters][2:]
    if wrong := [name for name in given if name not in names]:
        name = getattr(function, "__name__", "this method")
        raise ValueError(f"{name} takes no {wrong[0]}=: it takes {', '.join(names)}")
