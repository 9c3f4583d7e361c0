"""Neurons by how unusual a token is for them: against a naive loop, hand-made cases and a planted neuron."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import provenance
from synthetic_examples import corpus_tokens, examples

from neurowidget.analysis.examples.firing_neurons import firing_neurons
from neurowidget.results import Activations
from neurowidget.results.firing import FiringNeurons
from neurowidget.results.storage import load

TEXT = ("The film was not bad and Not dull.",)


@pytest.fixture(scope="module")
def corpus():
    return examples(layers=3, width=40)


@pytest.fixture(scope="module")
def activations():
    tokens = corpus_tokens(TEXT)
    values = np.random.default_rng(0).normal(0, 4, (3, len(tokens), 40)).astype(np.float32)
    return Activations(
        provenance=provenance("extract"), values={"mlp": values}, layers={"mlp": (0, 1, 2)}, tokens=tokens
    )


@pytest.mark.parametrize("by", ["z", "percentile"])
def test_the_order_is_that_of_a_naive_loop(corpus, activations, by):
    found = firing_neurons(corpus, activations, by=by, k=None)
    ordinary = np.flatnonzero(~activations.tokens.special)
    expected = []
    for neuron in corpus.neurons:
        own, one = activations.neuron(neuron), corpus.for_neuron(neuron)
        at = ordinary[np.argmax(own[ordinary])]
        z = (float(own[at]) - one.mean) / one.variance**0.5
        expected.append((str(neuron), int(at), z, float(one.percentile(own[at]))))
    expected.sort(key=lambda e: (-e[2], 0.0) if by == "z" else (-round(e[3], 6), -e[2]))
    assert found.neurons == tuple(e[0] for e in expected)
    assert found.token.tolist() == [e[1] for e in expected]
    np.testing.assert_allclose(found.z, [e[2] for e in expected], rtol=1e-6)
    np.testing.assert_allclose(found.percentile, [e[3] for e in expected], rtol=1e-5, atol=1e-5)


def test_a_planted_neuron_is_first_although_others_are_larger(corpus, activations):
    values = activations["mlp"].copy()
    variance = corpus.variance.copy()
    row = corpus.row("L1.mlp[7]")
    variance[row] = 0.01
    values[1, 4, 7] = 3.0
    values[2, 4, :] = 7.9
    found = firing_neurons(replace(corpus, variance=variance), replace(activations, values={"mlp": values}), token=4)
    assert found.neurons[0] == "L1.mlp[7]"
    assert found.z[0] == pytest.approx((3 - corpus.mean[row]) / 0.1, rel=1e-6)
    assert found.pieces[0] == " not"


def test_a_token_can_be_a_place_several_or_a_word(corpus, activations):
    assert set(firing_neurons(corpus, activations, token=3).token.tolist()) == {3}
    assert set(firing_neurons(corpus, activations, token=[2, 5]).token.tolist()) <= {2, 5}
    words = {activations.tokens.pieces[i] for i in firing_neurons(corpus, activations, token="NOT").token}
    assert words == {" not", " Not"}


@pytest.mark.parametrize(("token", "message"), [("absent", "is not in the text"), (99, "tokens 0 to 9")])
def test_a_token_that_is_not_there_is_refused(corpus, activations, token, message):
    with pytest.raises(ValueError, match=message):
        firing_neurons(corpus, activations, token=token)


def test_constant_neurons_and_missing_layers_are_left_out(corpus, activations):
    variance = corpus.variance.copy()
    variance[corpus.row("L0.mlp[0]")] = 0
    part = replace(activations, values={"mlp": activations["mlp"][:2]}, layers={"mlp": (0, 1)})
    found = firing_neurons(replace(corpus, variance=variance), part, k=None)
    assert len(found) == 79
    assert "L0.mlp[0]" not in found.neurons


def test_other_weights_or_another_site_are_refused(corpus, activations):
    other = replace(activations, provenance=replace(activations.provenance, weights_hash="f" * 64))
    with pytest.raises(ValueError, match="different weights"):
        firing_neurons(corpus, other)
    with pytest.raises(ValueError, match="about 'mlp'"):
        firing_neurons(
            corpus, replace(activations, values={"residual": activations["mlp"]}, layers={"residual": (0, 1, 2)})
        )
    with pytest.raises(ValueError, match="z, percentile"):
        firing_neurons(corpus, activations, by="loudness")


def test_it_is_a_result_that_saves_and_makes_a_table(corpus, activations, tmp_path):
    found = firing_neurons(corpus, activations, k=5)
    again = load(found.save(tmp_path / "firing.npz"))
    assert isinstance(again, FiringNeurons)
    assert again.neurons == found.neurons
    assert len(found.to_columns()["z"]) == 5
    assert "L" in str(found)
