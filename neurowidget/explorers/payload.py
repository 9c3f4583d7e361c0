"""What the explorer publishes that needs more than one call, and what it takes when nothing is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurowidget.explorers.analysis_steps import Analysis
from neurowidget.export import arrays
from neurowidget.export.neuron_cards import names_of
from neurowidget.extraction.corpus import Corpus
from neurowidget.models.bundled import sample_texts
from neurowidget.models.loading import NeuronModel
from neurowidget.results.examples import Examples
from neurowidget.widgets import wire


def wire_activations(values: np.ndarray, dtype: str) -> dict[str, Any]:
    # Some models have activations that float16 cannot hold.
    return arrays.encode(values, "float32" if dtype == "float16" and np.abs(values).max(initial=0) > 65_000 else dtype)


def wire_effects(analysis: Analysis) -> dict[str, Any] | None:
    effects = analysis.effects
    if effects is None:
        return None
    top = []
    for neuron, value in effects.top(100):
        place = (effects.layers.index(neuron.layer), neuron.index)
        estimate = None if effects.estimates is None else wire.number(effects.estimates[place])
        top.append({"neuron": str(neuron), "value": value, "estimate": estimate, "exact": bool(effects.exact[place])})
    return {
        "values": arrays.encode(effects.values, "float32"),
        "target": effects.target,
        "ablation": effects.ablation,
        "method": effects.provenance.method if effects.exact.all() else "gradient",
        "top": top,
        "agreement": effects.agreement,
    }


def wire_spread(deviation: np.ndarray, mean: np.ndarray, corpus: str, tokens: int) -> dict[str, Any]:
    """Standard deviation and mean of every neuron, (layer, neuron), over a corpus."""
    arrays_of = {"values": arrays.encode(deviation, "float32"), "mean": arrays.encode(mean, "float32")}
    return arrays_of | {"corpus": corpus, "tokens": tokens}


def spread_of(examples: Examples) -> dict[str, Any]:
    """The same from the statistics of Examples that are about every neuron of the layers."""
    shape = (len(examples.layers), -1)
    deviation, mean = np.sqrt(examples.variance).reshape(shape), examples.mean.reshape(shape)
    return wire_spread(deviation, mean, examples.corpus, examples.token_count)


def checked_examples(examples: Examples | None, model: NeuronModel, site: str, layers: Sequence[int]) -> bool:
    """Whether `examples` are about all neurons of the layers, in order; False without any.

    Raises TypeError for anything but Examples, and ValueError for another site or other weights.
    """
    if examples is None:
        return False
    if not isinstance(examples, Examples):
        raise TypeError(f"examples= takes the Examples of nw.top_examples, got {type(examples).__name__}")
    own = f"{examples.stack}.{examples.site}" if examples.stack else examples.site
    if own != site:
        raise ValueError(f"the examples are about {own!r}, this explorer shows {site!r}: give site={own!r}")
    known = examples.provenance.weights_hash
    if known and known != model.weights_hash:
        raise ValueError(f"the examples are of other weights than {model.name!r}: run nw.top_examples on this model")
    return names_of(examples, {}) is None and tuple(examples.layers) == tuple(layers)


def prompts(model: NeuronModel) -> list[str]:
    if model.kind in ("causal_lm", "seq2seq_lm"):
        return sample_texts("prompts")[:4]
    return [text for text in sample_texts("movies") if len(text) < 60][:4]


def corpus_of(
    model: NeuronModel, corpus: Corpus | Sequence[str] | None, covered: bool = False
) -> tuple[list[str], list[str], str]:
    """The texts of an explorer, what there is to say about them, and their name; `covered`: only held-out effects use them."""
    if corpus is None:
        language = model.kind in ("causal_lm", "masked_lm", "seq2seq_lm")
        name = "prose" if language else "movies"
        return (
            list(sample_texts(name)),
            [f"No corpus was given: the bundled sample {name!r} is used{' for held-out effects' if covered else ''}."],
            f"bundled sample {name!r}",
        )
    if isinstance(corpus, str):
        raise TypeError("corpus is a single string; give a list of texts or a Corpus")
    texts = list(corpus.texts if isinstance(corpus, Corpus) else corpus)
    return texts, [], getattr(corpus, "name", "") or f"{len(texts)} texts of yours"
