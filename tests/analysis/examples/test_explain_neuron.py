"""The one door: every method on every source that it takes, seeds, halves, and errors that say what to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import MONTHS, planted, planted_model, sentences

import neurowidget as nw
from neurowidget.analysis.examples import METHODS
from neurowidget.analysis.examples.sources import evidence_of, held_out_half, random_neurons
from neurowidget.neuron import Neuron
from neurowidget.results.explanations import Explanation

FIRES = (MONTHS, ("film", "plot"), ("the",), ("river", "sees"))
NEEDS = {
    "compositional": {"labels": "tag"},
    "expert_units": {"labels": "tag"},
    "concept_alignment": {"controls": 2},
    "corpus_generation": {"controls": 1, "length": 4, "steps": 3, "random_texts": 8, "restarts": 2, "candidates": 8},
    "proposed": {"propose": lambda examples: {"May", "film"}, "controls": 2},
}


@pytest.fixture(scope="module")
def model():
    return planted_model(FIRES)


@pytest.fixture(scope="module")
def acts(model):
    given = sentences(40)
    tags = [["month" if word in MONTHS else "other" for word in sentence] for sentence in given]
    return nw.extract(model, nw.Corpus.from_words(given, {"tag": tags}), progress=False)


def options(method, model):
    more = dict(NEEDS.get(method, {}))
    return more | ({"model": model} if method in ("concept_alignment", "corpus_generation") else {})


@pytest.mark.parametrize("method", METHODS)
def test_every_method(method, acts, model, tmp_path):
    found = nw.explain_neuron(acts, "L0.mlp[0]", method, **options(method, model))
    assert isinstance(found, Explanation)
    assert (found.neuron, found.method, found.provenance.method) == ("L0.mlp[0]", method, method)
    assert found.provenance.weights_hash == model.weights_hash
    assert found.provenance.parameters["source"]["method"] == "extract"
    assert len(found.statements) > 0
    assert "L0.mlp[0]" not in found.control_neurons
    assert len(found.control_neurons) == len(set(found.control_neurons)) > 0
    low, high = found.score_range
    assert low <= found.held_out_score <= high
    again = nw.load(found.save(tmp_path / "x"))
    assert [repr(s) for s in again.statements] == [repr(s) for s in found.statements]
    assert repr(again) == repr(found)
    same = nw.explain_neuron(acts, "L0.mlp[0]", method, **options(method, model))
    assert [repr(s) for s in same.statements] == [repr(s) for s in found.statements]
    np.testing.assert_array_equal(same.control_scores, found.control_scores)


@pytest.fixture(scope="module")
def store(model, tmp_path_factory):
    given = sentences(40)
    tags = [["month" if word in MONTHS else "other" for word in sentence] for sentence in given]
    path = tmp_path_factory.mktemp("store") / "acts.zarr"
    return nw.extract(model, nw.Corpus.from_words(given, {"tag": tags}), store=path, progress=False)


@pytest.mark.parametrize("method", METHODS)
def test_a_store_gives_the_same(method, acts, store, model):
    here = nw.explain_neuron(acts, "L0.mlp[1]", method, **options(method, model))
    there = nw.explain_neuron(store, "L0.mlp[1]", method, **options(method, model))
    assert repr(here) == repr(there)
    np.testing.assert_array_equal(here.control_scores, there.control_scores)


@pytest.fixture(scope="module")
def examples(model):
    return nw.top_examples(model, [" ".join(words) for words in sentences(200)], k=20, context=2, progress=False)


@pytest.mark.parametrize("method", METHODS)
def test_examples_as_the_source(method, examples, model):
    more = options(method, model)
    more.pop("labels", None)
    if method in ("compositional", "expert_units"):
        with pytest.raises(TypeError, match="needs every token of a corpus"):
            nw.explain_neuron(examples, "L0.mlp[0]", method, concepts={"May": {"May"}}, **more)
        return
    found = nw.explain_neuron(examples, "L0.mlp[0]", method, **more)
    assert len(found.statements) > 0
    assert len(found.control_scores) == min(more.get("controls", 20), 3)
    if method in ("top_words", "top_ngrams", "concept_alignment"):
        assert {s.text for s in found.statements[:3]} == set(MONTHS)
        assert found.held_out_score > 0.8
        row = examples.row("L0.mlp[0]")  # months have the value 1, in standard deviations of the whole corpus
        z = (1 - examples.mean[row]) / examples.variance[row] ** 0.5
        assert [s.score for s in found.statements[:3]] == [pytest.approx(z, rel=1e-4)] * 3


def test_examples_as_evidence_have_the_values_of_the_corpus(examples, model):
    texts = [" ".join(words) for words in sentences(200)]
    acts = nw.extract(model, texts, progress=False)
    parts = evidence_of(examples, "L0.mlp[1]", 2, 0)
    assert [len(part.neurons) for part in parts] == [1, 1, 1]
    for part in parts:
        values = acts.neuron(part.neurons[0])
        assert part.moments == (pytest.approx(values.mean(), abs=1e-6), pytest.approx(values.std(), abs=1e-6))
        for row in range(len(part)):
            text = texts.index(part.texts[part.sentence[row]])
            word = part.words[row]
            at = [i for i in np.flatnonzero(acts.sentence_index == text) if acts.tokens.start[i] == part.start[row]]
            assert acts.tokens.texts[text][acts.tokens.start[at[0]] : acts.tokens.end[at[0]]] == word
            assert part.values[row, 0] == pytest.approx(values[at[0]], rel=1e-3)


def test_a_callable_of_the_same_signature(acts):
    def mine(source, neuron, *, seed, word):
        return replace(nw.explain_neuron(source, neuron, seed=seed), method=word)

    assert nw.explain_neuron(acts, "L0.mlp[0]", mine, word="mine").method == "mine"


def test_halves_share_no_sentence_and_no_text():
    index = np.repeat(np.arange(9), 3)
    texts = tuple("abcabcdef")
    for seed in range(5):
        held = held_out_half(index, texts, seed)
        made_texts = {texts[i] for i in index[~held]}
        assert made_texts.isdisjoint(texts[i] for i in index[held])
        assert len(made_texts) == 3
    assert not np.array_equal(held_out_half(index, texts, 0), held_out_half(index, texts, 1))


def test_random_neurons_are_others_of_the_layer():
    drawn = random_neurons(Neuron(2, 5, "attention", "decoder"), 10, 20, 0)
    assert sorted(n.index for n in drawn) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert {(n.layer, n.site, n.stack) for n in drawn} == {(2, "attention", "decoder")}
    assert random_neurons(Neuron(0, 5), 1000, 20, 1) != random_neurons(Neuron(0, 5), 1000, 20, 2)


def test_special_tokens_and_words_without_a_value_are_left_out():
    acts = planted({"May": 1.0}, count=4)
    values = acts["mlp"].copy()
    values[0, 3] = np.nan
    special = np.zeros(32, dtype=bool)
    special[[0, 31]] = True
    odd = nw.activations_from_array(values, tokens=replace(acts.tokens, special=special), site="mlp")
    (evidence,) = evidence_of(odd, "L0.mlp[0]", 3, 0)
    assert evidence.rows.tolist() == [i for i in range(32) if i not in (0, 3, 31)]
    assert evidence.runs.tolist() == [0, 0, *[1] * 4, *[2] * 8, *[3] * 8, *[4] * 7]


def test_errors_say_what_to_do(acts, model):
    cases = [
        (lambda: nw.explain_neuron(acts, "L0.mlp[0]", "top_word"), ValueError, "there are top_words, "),
        (
            lambda: nw.explain_neuron(acts, "L0.mlp[0]", min_counts=3),
            ValueError,
            "takes no min_counts=: it takes top, ",
        ),
        (lambda: nw.explain_neuron(acts, "L0.mlp[0]", model=model), ValueError, "takes no model="),
        (lambda: nw.explain_neuron([1, 2], "L0.mlp[0]"), TypeError, "expected Activations"),
        (lambda: nw.explain_neuron(acts, "L3.mlp[0]"), IndexError, "layer 3 was not extracted"),
        (lambda: nw.explain_neuron(acts, "L0.mlp[0]", controls=-1), ValueError, "controls=-1"),
        (lambda: nw.explain_neuron(acts, "L0.mlp[0]", "expert_units", labels="pos"), ValueError, "it has tag"),
        (lambda: nw.explain_neuron(planted({}, 1), "L0.mlp[0]"), ValueError, "give more texts"),
        (lambda: nw.explain_neuron(acts, "L0.mlp[0]", "concept_alignment"), ValueError, "pass model="),
        (lambda: nw.explain_neuron(acts, "L0.mlp[0]", "corpus_generation"), ValueError, "pass model="),
        (
            lambda: nw.explain_neuron(acts, "L0.mlp[0]", "corpus_generation", model=planted_model([("a",)])),
            ValueError,
            "with other weights: pass the same one",
        ),
        (lambda: nw.explain_neuron(acts, "L0.mlp[0]", "proposed"), ValueError, "needs propose="),
    ]
    for call, kind, message in cases:
        with pytest.raises(kind, match=message.replace("(", r"\(")):
            call()


def sunk(same: bool):
    """Ten texts of five words; the first of each has nearly one value, or any."""
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(100)]
    values = rng.standard_normal((100, 8))
    if same:
        values[::5] = 40 + 0.01 * values[::5]
    made = nw.activations_from_array(values, None, np.repeat(np.arange(20), 5), words)
    return nw.activations_from_array(values, tokens=replace(made.tokens, level="token"))


def test_first_tokens_on_which_attention_rests_are_left_out():
    found = nw.explain_neuron(sunk(True), "L0.residual[0]", min_count=1)
    assert any("first tokens of the texts are left out" in warning for warning in found.warnings)
    assert not {s.text for s in found.statements} & {f"w{i}" for i in range(0, 100, 5)}
    kept = nw.explain_neuron(sunk(False), "L0.residual[0]", min_count=1)
    assert not any("left out" in warning for warning in kept.warnings)


def test_labels_of_texts(model):
    given = [" ".join(words) for words in sentences(60)]
    kinds = ["spring" if "May" in text or "June" in text else "no" for text in given]
    acts = nw.extract(model, nw.Corpus(given, kinds), progress=False)
    found = nw.explain_neuron(acts, "L0.mlp[0]", "expert_units", level="sentence", controls=2)
    assert {s.text for s in found.statements} == {"spring", "no"}
    assert found.statements[0].text == "spring"
