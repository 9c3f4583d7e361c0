"""What the explorer publishes that needs more than one call, and what it takes when nothing is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurowidget.explorers.analysis_steps import Analysis
from neurowidget.export import arrays
from neurowidget.extraction.corpus import Corpus
from neurowidget.models.bundled import sample_texts
from neurowidget.models.loading import NeuronModel
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


def prompts(model: NeuronModel) -> list[str]:
    if model.kind in ("causal_lm", "seq2seq_lm"):
        return sample_texts("prompts")[:4]
    return [text for text in sample_texts("movies") if len(text) < 60][:4]


def corpus_of(model: NeuronModel, corpus: Corpus | Sequence[str] | None) -> tuple[list[str], list[str], str]:
    if corpus is None:
        language = model.kind in ("causal_lm", "masked_lm", "seq2seq_lm")
        name = "prose" if language else "movies"
        return (
            list(sample_texts(name)),
            [f"No corpus was given: the bundled sample {name!r} is used."],
            f"bundled sample {name!r}",
        )
    if isinstance(corpus, str):
        raise TypeError("corpus is a single string; give a list of texts or a Corpus")
    texts = list(corpus.texts if isinstance(corpus, Corpus) else corpus)
    return texts, [], getattr(corpus, "name", "") or f"{len(texts)} texts of yours"
