"""Results from arrays made elsewhere: whatever another program computed, shown and analysed like our own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurowidget.neuron import LayerSite
from neurowidget.results.activations import Activations
from neurowidget.results.attribution import Attribution
from neurowidget.results.base import Provenance
from neurowidget.results.effects import Effects
from neurowidget.results.ranking import NeuronRanking
from neurowidget.results.tokens import Tokens


def activations_from_array(
    values: Any,
    labels: Sequence[Any] | None = None,
    sentence_index: Sequence[int] | None = None,
    tokens: Tokens | Sequence[str] | None = None,
    site: str = "residual",
    layers: Sequence[int] | None = None,
    model: str = "",
) -> Activations:
    """Activations (layer, token, neuron), or (token, neuron) of one layer, as float32.

    `labels`: one per token, or one per text. `sentence_index`: the text of each token, in order from 0; one text when
    it is left out. `tokens`: words as strings, or Tokens. `layers`: the number of each layer, 0, 1, 2 ... if left out.
    """
    array = np.asarray(values, dtype=np.float32)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3:
        raise ValueError(f"expected the axes (layer, token, neuron), got an array of shape {np.shape(values)}")
    return Activations(
        values={site: array},
        layers={site: _layers(layers, array.shape[0])},
        tokens=_tokens(tokens, array.shape[1], sentence_index),
        labels=None if labels is None else tuple(labels),
        provenance=_provenance("activations_from_array", model, site),
    )


def effects_from_array(
    values: Any,
    target: str = "",
    site: str = "mlp",
    ablation: str = "",
    layers: Sequence[int] | None = None,
    texts: Sequence[str] = (),
    clean: Any = None,
    interval: Any = None,
    exact: Any = None,
    model: str = "",
) -> Effects:
    """Effects (layer, neuron), F(clean) - F(ablated), as float32; NaN where there is none.

    `clean`: F(clean) of each text. `interval`: (2, layer, neuron). `exact`: which neurons were really removed, all of
    them if left out.
    """
    array = np.asarray(values, dtype=np.float32)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise ValueError(f"expected the axes (layer, neuron), got an array of shape {np.shape(values)}")
    return Effects(
        values=array,
        layers=_layers(layers, array.shape[0]),
        site=site,
        target=target,
        ablation=ablation,
        texts=tuple(texts),
        clean=np.full(len(texts), np.nan) if clean is None else np.asarray(clean),
        exact=~np.isnan(array) if exact is None else np.asarray(exact),
        interval=None if interval is None else np.asarray(interval),
        provenance=_provenance("effects_from_array", model, site, target),
    )


def attribution_from_array(
    scores: Any,
    tokens: Tokens | Sequence[str] | None = None,
    target: str = "",
    baseline: str | None = None,
    layers: Sequence[int] | None = None,
    site: str = "",
    model: str = "",
) -> Attribution:
    """Scores of one text: (token,), or (layer, neuron) when the array has two axes, as float32."""
    array = np.asarray(scores, dtype=np.float32)
    if array.ndim not in (1, 2):
        raise ValueError(f"expected the axes (token,) or (layer, neuron), got an array of shape {np.shape(scores)}")
    of_neurons = array.ndim == 2
    return Attribution(
        scores=array,
        tokens=_tokens(tokens, len(tokens or ()) if of_neurons else array.shape[0], None),
        target=target,
        baseline=baseline,
        layers=_layers(layers, array.shape[0]) if of_neurons else None,
        provenance=_provenance("attribution_from_array", model, site, target),
    )


def ranking_from_array(
    scores: Any,
    classes: Sequence[Any] | None = None,
    class_scores: Any = None,
    signs: Any = None,
    site: str = "mlp",
    layers: Sequence[int] | None = None,
    score_name: str = "score",
    method: str = "ranking_from_array",
    model: str = "",
) -> NeuronRanking:
    """A ranking from scores (layer, neuron), or (neuron,) of one layer; larger = carries more.

    `class_scores` and `signs` (+1, -1, 0) are (class, layer, neuron) for `classes`; without them there is one class, which
    has the scores and whose signs are theirs. Ties are ranked by layer and index. Raises ValueError for NaN.
    """
    array = np.asarray(scores, dtype=np.float32)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or np.isnan(array).any():
        raise ValueError(
            f"expected finite scores with the axes (layer, neuron), got an array of shape {np.shape(scores)}"
        )
    names = ("all",) if classes is None else tuple(classes)
    of_classes = (
        np.broadcast_to(array, (len(names), *array.shape)) if class_scores is None else np.asarray(class_scores)
    )
    which = np.sign(of_classes) if signs is None else np.asarray(signs)
    for name, given in (("class_scores", of_classes), ("signs", which)):
        if given.size != len(names) * array.size:
            raise ValueError(f"{name} of {given.shape} do not fit {len(names)} classes and scores of {array.shape}")
    stack, _, base = site.rpartition(".")
    return NeuronRanking(
        method=method,
        score_name=score_name,
        sites=tuple(str(LayerSite(layer, base, stack or None)) for layer in _layers(layers, array.shape[0])),
        widths=(array.shape[1],) * array.shape[0],
        classes=names,
        scores=array.ravel(),
        class_scores=of_classes.reshape(len(names), -1),
        class_signs=which.reshape(len(names), -1),
        order=np.argsort(-array.ravel(), kind="stable"),
        provenance=_provenance("ranking_from_array", model, site),
    )


def _provenance(method: str, model: str, site: str, target: str = "") -> Provenance:
    return Provenance(method=method, model=model, site=site, target=target, versions={"numpy": np.__version__})


def _layers(layers: Sequence[int] | None, count: int) -> tuple[int, ...]:
    numbers = tuple(range(count)) if layers is None else tuple(int(layer) for layer in layers)
    if len(set(numbers)) != count:
        raise ValueError(f"{count} layers need {count} different numbers, got {numbers}")
    return numbers


def _tokens(tokens: Tokens | Sequence[str] | None, count: int, sentence_index: Sequence[int] | None) -> Tokens:
    """Tokens from words, each text being its words with one space between them."""
    if isinstance(tokens, Tokens):
        if len(tokens) != count:
            raise ValueError(f"{len(tokens)} tokens do not fit an array with {count}")
        if sentence_index is not None and not np.array_equal(tokens.sentence_index, np.asarray(sentence_index)):
            raise ValueError("these Tokens have a sentence_index of their own, and it is another one; leave it out")
        return tokens
    words = [str(i) for i in range(count)] if tokens is None else [str(token) for token in tokens]
    texts_of = (
        np.zeros(len(words), dtype=np.int32) if sentence_index is None else np.asarray(sentence_index, dtype=np.int32)
    )
    if len(words) != count or texts_of.shape != (count,):
        raise ValueError(
            f"an array with {count} tokens got {len(words)} tokens and a sentence_index of {texts_of.shape}"
        )
    steps = np.diff(texts_of, prepend=np.int32(0))
    if count and not (texts_of[0] == 0 and np.isin(steps, (0, 1)).all()):
        raise ValueError("sentence_index should start at 0 and grow by 0 or 1 from token to token")

    pieces, starts, ends, numbers, texts = [], [], [], [], [""] * (int(texts_of[-1]) + 1 if count else 1)
    previous, number = -1, 0
    for word, text in zip(words, texts_of.tolist(), strict=True):
        number = number + 1 if text == previous else 0
        previous = text
        pieces.append(f" {word}" if number else word)
        texts[text] += pieces[-1]
        starts.append(len(texts[text]) - len(word))
        ends.append(len(texts[text]))
        numbers.append(number)
    return Tokens(
        texts=tuple(texts),
        ids=np.full(count, -1),
        pieces=tuple(pieces),
        raw=tuple(words),
        special=np.zeros(count, dtype=np.bool_),
        shares=np.zeros(count, dtype=np.bool_),
        word=np.asarray(numbers, dtype=np.int32),
        start=np.asarray(starts, dtype=np.int32),
        end=np.asarray(ends, dtype=np.int32),
        sentence_index=texts_of,
        level="word",
    )
