"""What a corpus says about a neuron, as the JSON that cards are drawn from (ARCHITECTURE.md, Wire)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from neurowidget.neuron import Neuron
from neurowidget.results.examples import Example, Examples, NeuronExamples
from neurowidget.results.explanations import Explanation

Card = dict[str, Any]
TOKENS_A_SIDE = 100  # of the text around an example, where the whole text is asked for
STATEMENTS = 12
WORDS = 5
WORD_LENGTH = 24
NO_EXAMPLES = "give the Examples of nw.top_examples(model, corpus) to see where it fires"
NO_EXPLANATION = "nw.explain_neuron(examples, neuron) says what it may stand for: give it as explanations=[...]"


def card_of(
    examples: Examples | None,
    neuron: Neuron | str,
    explanations: Sequence[Explanation] = (),
    activation: np.ndarray | None = None,
) -> Card:
    """The card of one neuron: density, statistics, examples by group, words, and the explanations that are about it.

    `activation` (token,) are values of the neuron in another text, which the density is to place. Raises IndexError when
    the neuron is not among the examples.
    """
    name = str(Neuron.parse(str(neuron)))
    missing = {} if explanations else {"explanations": NO_EXPLANATION}
    card: Card = {"neuron": name, "corpus": None, "examples": [], "words": []}
    card["explanations"] = [explained(one) for one in explanations if one.neuron == name]
    if examples is None:
        return card | {"missing": missing | {"corpus": NO_EXAMPLES, "examples": NO_EXAMPLES}}
    found = examples.for_neuron(name)
    card |= {"corpus": density(found, activation), "examples": list(_examples(examples, found)), "missing": missing}
    if examples.type_maxima is not None:
        triples = examples.maximum_per_token(name, STATEMENTS)
        card["words"] = [{"text": text, "value": short(value), "count": count} for text, value, count in triples]
    return card


def density(found: NeuronExamples, activation: np.ndarray | None = None) -> dict[str, Any]:
    """Histogram and statistics of a neuron, and the percentile at which each of the given activations stands."""
    values = np.zeros(0) if activation is None else found.percentile(activation)
    return {
        "name": found.corpus,
        "tokens": found.tokens,
        "edges": shorts(found.edges),
        "counts": found.counts.tolist(),
        "min": short(found.minimum),
        "max": short(found.maximum),
        "mean": short(found.mean),
        "sd": short(found.variance**0.5),
        "positive": short(found.positive),
        "percentile": np.round(values, 2).tolist(),
        "correlation": short(found.correlation),
        "target": found.target,
    }


def _examples(examples: Examples, found: NeuronExamples) -> Iterable[dict[str, Any]]:
    for group, members in found.groups.items():
        for one in members:
            yield _example(examples, group, one)


def _example(examples: Examples, group: str, one: Example) -> dict[str, Any]:
    """An example in its text; tokens further off than values were kept have none."""
    here = examples.kept.place(one.text_index)
    first = max(one.position - max(TOKENS_A_SIDE, examples.context), 0)
    past = min(one.position + max(TOKENS_A_SIDE, examples.context) + 1, here.stop - here.start)
    shown = slice(here.start + first, here.start + past)
    values: list[float | None] = [None] * (past - first)
    values[one.first - first : one.first - first + len(one.values)] = shorts(one.values)
    values[one.position - first] = short(one.value)
    row = {
        "quantile": group,
        "pieces": list(examples.kept.pieces(one.text_index, first, past)),
        "special": examples.kept.special[shown].tolist(),
        "sink": np.flatnonzero(examples.kept.sink[shown]).tolist(),
        "values": values,
        "focus": one.position - first,
        "text": one.text_index,
        "cut": [first > 0, past < here.stop - here.start],
    }
    return row if one.effect is None else row | {"effect": short(one.effect)}


def explained(one: Explanation) -> dict[str, Any]:
    """An explanation with its held-out score and that of the random neurons beside it."""
    return {
        "method": one.method.replace("_", " "),
        "statements": [
            {"text": s.text, "score": short(s.score), "sign": s.sign, "count": s.count}
            for s in one.statements[:STATEMENTS]
        ],
        "more": max(0, len(one.statements) - STATEMENTS),
        "statement_score": one.statement_score,
        "score": short(one.held_out_score),
        "score_name": one.score_name,
        "range": shorts(one.score_range),
        "chance": short(one.chance),
        "controls": shorts(one.control_scores),
        "control_mean": short(one.control_mean),
        "control_95": short(one.control_95),
        "warnings": list(one.warnings),
    }


def by_neuron(explanations: Iterable[Explanation]) -> dict[str, tuple[Explanation, ...]]:
    """Explanations by the neuron they are about; raises TypeError for anything else."""
    found: dict[str, tuple[Explanation, ...]] = {}
    for one in (explanations,) if isinstance(explanations, Explanation) else explanations:
        if not isinstance(one, Explanation):
            raise TypeError(f"explanations are those of nw.explain_neuron, got {type(one).__name__}")
        found[one.neuron] = (*found.get(one.neuron, ()), one)
    return found


def source_of(examples: Examples | None, explanations: Mapping[str, Sequence[Explanation]]) -> dict[str, Any]:
    """What the cards are about: the model, the neurons that there are, the corpus."""
    result: Any = examples if examples is not None else next(iter(next(iter(explanations.values()), ())), None)
    source: dict[str, Any] = {
        "name": "" if result is None else result.provenance.model,
        "hash": "" if result is None else result.provenance.weights_hash[:12],
        "site": "mlp",
        "stack": None,
        "layers": [],
        "width": 0,
        "count": len(explanations),
        "corpus": "",
        "tokens": 0,
        "excluded": {},
    }
    if examples is None:
        return source
    return source | {
        "site": examples.site,
        "stack": examples.stack,
        "layers": [int(layer) for layer in examples.layers],
        "width": int(examples.neuron_index.max(initial=-1)) + 1,
        "count": len(examples),
        "corpus": examples.corpus,
        "tokens": examples.token_count,
        "excluded": dict(examples.excluded),
    }


def names_of(examples: Examples | None, explanations: Mapping[str, Sequence[Explanation]]) -> list[str] | None:
    """The neurons that have a card, in their order; None where they are all neurons of all layers, in order."""
    if examples is None:
        return list(explanations)
    layers, width = examples.layers, int(examples.neuron_index.max(initial=-1)) + 1
    if len(examples) == len(layers) * width > 0:
        in_order = (examples.neuron_index.reshape(-1, width) == np.arange(width)).all()
        if in_order and (examples.neuron_layer.reshape(-1, width) == np.asarray(layers)[:, None]).all():
            return None
    return [str(neuron) for neuron in examples.neurons]


def index_of(
    examples: Examples | None, rows: Sequence[int], explanations: Mapping[str, Sequence[Explanation]]
) -> dict[str, Any]:
    """What a list of neurons is searched by, a column each: names, words at the first examples, largest value, statements."""
    if examples is None:
        names = list(explanations)
        words, maximum = [""] * len(names), [None] * len(names)
    else:
        every = examples.neurons
        names = [str(every[row]) for row in rows]
        words, maximum = _words(examples, np.asarray(rows, dtype=np.int64)), shorts(examples.maximum[list(rows)])
    about = [
        " · ".join(dict.fromkeys(s.text for e in explanations.get(n, ()) for s in e.statements[:2]))[:80] for n in names
    ]
    return {"neurons": names, "words": words, "maximum": maximum, "about": about}


def _words(examples: Examples, rows: np.ndarray) -> list[str]:
    """The different tokens of the first examples of each neuron, strongest first."""
    slots = slice(0, examples.sizes[0] if examples.sizes else 0)
    text, token, kept = examples.text[rows, slots], examples.token[rows, slots], examples.kept
    there = text >= 0
    if not there.any():
        return [""] * len(rows)
    place = kept.starts[np.searchsorted(kept.index, np.where(there, text, kept.index[0]))] + token
    strings = {-1: ""}
    for flat in np.unique(place[there]).tolist():
        row = int(np.searchsorted(kept.starts, flat, side="right")) - 1
        piece = kept.texts[row][kept.start[flat] : kept.end[flat]].strip() or kept.string_of(int(kept.ids[flat]))
        strings[flat] = piece[:WORD_LENGTH]
    return [
        " ".join(list(dict.fromkeys(strings[flat] for flat in line))[:WORDS]).strip()
        for line in np.where(there, place, -1).tolist()
    ]


def short(value: float | None) -> float | None:
    """A JSON number of 5 significant digits; NaN and infinities, which JSON has not, become None."""
    return None if value is None or not np.isfinite(value) else float(f"{value:.5g}")


def shorts(values: Iterable[float]) -> list[Any]:
    """The same for each of several numbers."""
    return [short(float(value)) for value in values]
