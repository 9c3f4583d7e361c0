"""What a neuron carries: the methods of `explain_neuron`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurowidget.analysis.examples.compositional import compositional as _compositional
from neurowidget.analysis.examples.concept_alignment import concept_alignment as _concept_alignment
from neurowidget.analysis.examples.corpus_generation import corpus_generation as _corpus_generation
from neurowidget.analysis.examples.expert_units import expert_units as _expert_units
from neurowidget.analysis.examples.proposed import proposed as _proposed
from neurowidget.analysis.examples.top_ngrams import top_ngrams as _top_ngrams
from neurowidget.analysis.examples.top_words import top_words as _top_words

METHODS: dict[str, Callable[..., Any]] = {
    "top_words": _top_words,
    "top_ngrams": _top_ngrams,
    "compositional": _compositional,
    "expert_units": _expert_units,
    "concept_alignment": _concept_alignment,
    "corpus_generation": _corpus_generation,
    "proposed": _proposed,
}

__all__ = ["METHODS"]
