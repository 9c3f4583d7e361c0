"""Generated texts drive planted and real neurons further than the corpus and than random tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import MONTHS, planted_model, sentences

import neurowidget as nw
from neurowidget.analysis.examples.sources import held_out_half
from neurowidget.models import hooks
from neurowidget.models.bundled import sample_texts
from neurowidget.models.decoding import decode


@pytest.fixture(scope="module")
def model():
    return planted_model([MONTHS, ("film",), ("the",)], after="near")


@pytest.fixture(scope="module")
def acts(model):
    texts = [" ".join(words) for words in sentences(30, seed=1)]
    texts = [text for text in texts if not any(f"near {month}" in text for month in MONTHS)]
    return nw.extract(model, texts, progress=False)


def test_beats_the_corpus(model, acts):
    """The corpus has months, and "near", and never both together: the neuron is 1 in it and can be 2."""
    small = {"length": 4, "random_texts": 16, "restarts": 2, "candidates": 60, "controls": 1}
    found = nw.explain_neuron(acts, "L0.mlp[0]", "corpus_generation", model=model, **small)
    kinds = [s.details["kind"] for s in found.statements]
    assert kinds[-2:] == ["best example of the corpus", "random tokens"]
    assert [s.sign for s in found.statements[-2:]] == [0, 0]
    best, corpus, chance = found.statements[0], found.statements[-2], found.statements[-1]
    assert best.score == 2.0 > corpus.score == 1.0
    assert best.score >= chance.score
    words = best.text.split()
    assert words[best.details["at"]] in MONTHS
    assert words[best.details["at"] - 1] == "near"
    assert decode(model.tokenizer, best.details["ids"]) == best.text
    assert corpus.details["piece"] in MONTHS
    assert corpus.text in acts.tokens.texts

    values = acts.neuron("L0.mlp[0]").astype(float)
    held = held_out_half(acts.sentence_index.astype(int), acts.tokens.texts, 0)
    assert found.held_out_score == pytest.approx((2 - values[held].max()) / values[~held].std(), abs=1e-4)
    changed = acts["mlp"].copy()
    changed[0, np.flatnonzero(held)[0], 0] = 1.5  # another highest value in the held-out half
    other = nw.explain_neuron(
        replace(acts, values={"mlp": changed}), "L0.mlp[0]", "corpus_generation", model=model, **small
    )
    assert other.held_out_score == pytest.approx(0.5 / values[~held].std(), abs=1e-4)
    assert other.statements[-2].score == 1.5
    assert found.control_scores[0] == pytest.approx(0, abs=1e-4)  # nothing beats "film", or "the"


def test_sign_and_start(model, acts):
    down = nw.explain_neuron(acts, "L0.mlp[0]", "corpus_generation", model=model, sign=-1, length=3, steps=2, controls=0,
                             random_texts=4, restarts=1, candidates=4, from_corpus=False)  # fmt: skip
    assert down.statements[0].score == 0.0  # a relu goes no lower
    assert {s.details["start"] for s in down.statements if s.sign} == {"random"}
    with pytest.raises(ValueError, match="restarts=0"):
        nw.explain_neuron(acts, "L0.mlp[0]", "corpus_generation", model=model, restarts=0)


@pytest.mark.real
def test_real_neurons_go_beyond_the_corpus():
    model = nw.load_model("demo:sentiment")
    acts = nw.extract(model, sample_texts("movies")[:100], layers=[0], progress=False)
    small = {"controls": 0, "random_texts": 64, "restarts": 2, "steps": 15, "candidates": 48}
    for name in ("L0.mlp[198]", "L0.mlp[1129]"):
        found = nw.explain_neuron(acts, name, "corpus_generation", model=model, **small)
        best, corpus, chance = found.statements[0], found.statements[-2], found.statements[-1]
        assert best.score > corpus.score
        assert best.score > chance.score
        assert corpus.score == pytest.approx(float(acts.neuron(name)[~acts.tokens.special].max()))
        neuron = nw.Neuron.parse(name)
        values = hooks.record_values(model, model.encode([best.text]), [neuron.address])[neuron.address]
        assert float(values[0, 1:-1, neuron.index].max()) == pytest.approx(best.score, abs=1e-4)
