"""What every ranking method has to do, in a loop over METHODS."""

from __future__ import annotations

import numpy as np
import pytest
from labelled_activations import CARRIERS, CONSTANT, LARGE, SIGNS, labelled

from neurowidget.analysis.ranking import METHODS
from neurowidget.analysis.ranking.rank_neurons import rank_neurons
from neurowidget.results.from_array import activations_from_array
from neurowidget.results.ranking import NeuronRanking
from neurowidget.results.storage import load

FINDING = sorted(set(METHODS) - {"random"})


def ranked(method: str, **more: object) -> NeuronRanking:
    options = {"report": False, "progress": False} | more
    activations = options.pop("activations", None) or labelled()
    return rank_neurons(activations, None, method, **options)


@pytest.mark.parametrize("method", FINDING)
class TestPlanted:
    def test_comes_first_with_its_sign(self, method):
        ranking = ranked(method)
        assert {neuron.index for neuron in ranking.neurons[:3]} == set(CARRIERS.values())
        for label, neuron in CARRIERS.items():
            of_class = ranking.for_class(label)
            assert of_class.neurons[0].index == neuron
            assert of_class.signs[neuron] == SIGNS[label]

    def test_negating_a_neuron_turns_its_sign_and_nothing_else(self, method):
        acts = labelled()
        values = acts["mlp"].copy()
        values[..., CARRIERS["A"]] *= -1
        negated = activations_from_array(values, acts.labels, acts.sentence_index, acts.tokens, site="mlp")
        before, after = ranked(method), ranked(method, activations=negated)
        assert {n.index for n in after.neurons[:3]} == set(CARRIERS.values())
        np.testing.assert_allclose(after.class_scores[0, 4], before.class_scores[0, 4], rtol=0.02)
        assert after.for_class("A").signs[CARRIERS["A"]] == -1

    def test_scaling_an_irrelevant_neuron_changes_nothing(self, method):
        usual, scaled = ranked(method), ranked(method, activations=labelled(scale=1000.0))
        np.testing.assert_allclose(scaled.scores, usual.scores, atol=2e-3)
        assert f"L0.mlp[{LARGE}]" not in map(str, scaled.neurons[:3])

    def test_a_constant_neuron_scores_0_and_nothing_is_nan(self, method):
        ranking = ranked(method)
        assert np.isfinite(ranking.scores).all()
        assert np.isfinite(ranking.class_scores).all()
        assert ranking.scores[CONSTANT] == 0
        assert (ranking.class_scores[:, CONSTANT] == 0).all()

    def test_two_classes(self, method):
        acts = labelled()
        labels = [label == "B" for label in acts.labels]
        ranking = ranked(
            method, activations=activations_from_array(acts["mlp"], labels, acts.sentence_index, acts.tokens)
        )
        assert ranking.classes == (False, True)
        assert ranking.neurons[0].index == CARRIERS["B"]
        assert ranking.signs[CARRIERS["B"]] == -1


@pytest.mark.parametrize("method", sorted(METHODS))
class TestContract:
    def test_all_neurons_once_in_a_stable_order(self, method):
        acts = labelled(texts=12)
        values = np.repeat(acts["mlp"], 3, axis=0)  # three equal layers: ties
        same = activations_from_array(
            values, acts.labels, acts.sentence_index, acts.tokens, site="mlp", layers=[1, 4, 5]
        )
        ranking, again = ranked(method, activations=same), ranked(method, activations=same)
        assert ranking.neurons == again.neurons
        assert len(set(ranking.neurons)) == len(ranking) == 60
        assert {neuron.layer for neuron in ranking.neurons} == {1, 4, 5}
        scores = ranking.scores[ranking.order]
        if method not in ("gaussian_probe",):  # in the order of choice, which is not that of single scores
            assert (np.diff(scores) <= 1e-6).all()
        if method not in ("gaussian_probe", "random", "linear_probe"):
            places = np.flatnonzero(np.diff(scores) == 0)
            assert len(places)
            assert (np.diff(ranking.order)[places] > 0).all()

    def test_only_some_layers(self, method):
        values = np.stack([labelled(seed=1)["mlp"][0], labelled()["mlp"][0]])
        acts = labelled()
        both = activations_from_array(values, acts.labels, acts.sentence_index, acts.tokens, site="mlp", layers=[2, 6])
        one, alone = ranked(method, activations=both, layers=6), ranked(method)
        np.testing.assert_array_equal(one.scores, alone.scores)
        assert one.sites == ("L6.mlp",)

    def test_saved_and_loaded(self, method, tmp_path):
        ranking = ranked(method)
        again = load(ranking.save(tmp_path / "ranking"))
        assert again.neurons == ranking.neurons
        np.testing.assert_array_equal(again.class_scores, ranking.class_scores)
        assert again.provenance == ranking.provenance
        assert len(ranking.to_columns()["rank"]) == len(ranking)

    def test_the_callers_values_are_not_touched(self, method):
        acts = labelled(texts=12)
        before = acts["mlp"].copy()
        ranked(method, activations=acts)
        np.testing.assert_array_equal(acts["mlp"], before)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"linear_probe", "random"}))
def test_numbers_are_refused_by_what_compares_classes(method):
    acts = labelled(texts=12)
    labels = np.arange(120.0).tolist()
    with pytest.raises(ValueError, match=f"{method} compares classes"):
        rank_neurons(acts, labels, method, task="numbers", report=False)


def test_random_does_not_find_them():
    places = [
        sorted(ranked("random", seed=seed).place_of(n) for n in ranked("random", seed=seed).neurons[:3])
        for seed in range(4)
    ]
    assert len({tuple(place) for place in places}) == 4
