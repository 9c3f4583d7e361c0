"""The report: what is held out, controls that mean what they say, and mistakes that are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from labelled_activations import CARRIERS, labelled, words_of

from neurowidget.analysis.ranking import METHODS
from neurowidget.analysis.ranking.neuron_scores import NeuronScores
from neurowidget.analysis.ranking.rank_neurons import rank_neurons
from neurowidget.analysis.statistics import linear_probes
from neurowidget.models.progress import Cancelled
from neurowidget.results.activations import Activations
from neurowidget.results.from_array import activations_from_array
from neurowidget.results.ranking import NeuronRanking
from neurowidget.results.storage import load


def ranked(activations: Activations, labels=None, method="linear_probe", **more):
    return rank_neurons(activations, labels, method, **({"progress": False} | more))


def word_vectors(labels_of, texts=400, length=10, types=150, seed=0) -> Activations:
    """Activations that are word vectors plus noise, so that a probe can tell every word type; labels as `labels_of` says."""
    generator = np.random.default_rng(seed)
    words = words_of(texts * length, seed, types)
    vectors = generator.standard_normal((types, 100))
    values = vectors[[int(word[1:]) for word in words]] + 0.3 * generator.standard_normal((len(words), 100))
    return activations_from_array(
        values, labels_of(words, generator), np.repeat(np.arange(texts), length), words, site="mlp"
    )


def per_type(words, generator):
    drawn = generator.choice(list("ABCD"), size=1000)
    return [str(drawn[int(word[1:])]) for word in words]


def per_token(words, generator):
    return generator.choice(list("ABCD"), size=len(words), p=[0.4, 0.3, 0.2, 0.1]).tolist()


class TestReport:
    def test_of_every_method(self):
        for method in METHODS:
            report = ranked(labelled(), None, method).report
            assert report.held_out > report.majority + 0.2, method
            assert report.confusion.sum() == report.rows["test"]
            assert np.trace(report.confusion) / report.rows["test"] == pytest.approx(report.held_out)
            assert report.selectivity == pytest.approx(report.held_out - report.control)
            assert report.choices["penalties"] == "fixed"
            assert report.choices["l1"] == 5e-4
            if method != "random":
                assert report.minimal_size <= 5, method
                assert report.minimal_held_out > report.random_held_out.mean(), method

    def test_precision_and_recall_by_hand(self):
        report = ranked(labelled()).report
        confusion = report.confusion
        assert report.recall[0] == confusion[0, 0] / confusion[0].sum()
        assert report.precision[0] == confusion[0, 0] / confusion[:, 0].sum()
        assert report.support.tolist() == confusion.sum(axis=1).tolist()
        absent = replace(report, confusion=np.array([[3, 0, 1], [0, 0, 0], [0, 0, 4]]))
        np.testing.assert_allclose(absent.recall, [0.75, np.nan, 1.0])
        np.testing.assert_allclose(absent.precision, [1.0, np.nan, 0.8])

    def test_the_majority_is_that_of_the_training_rows(self):
        acts = labelled()
        ranking = ranked(acts)
        labels = np.array(acts.labels)
        assert ranking.report.majority == pytest.approx(ranking.report.support[0] / ranking.report.rows["test"])
        assert (labels == "A").mean() > 0.4

    def test_counts_of_rows_and_texts(self):
        acts = labelled()
        labels = [None if i % 7 == 0 else label for i, label in enumerate(acts.labels)]
        rows = ranked(acts, labels).report.rows
        assert rows["train"] + rows["dev"] + rows["test"] == 900 - rows["no label"]
        assert rows["train texts"] + rows["dev texts"] + rows["test texts"] == 90
        assert "129 rows (no label)" in str(ranked(acts, labels).report)

    def test_the_same_seed_gives_the_same_numbers(self):
        first, again, other = (ranked(labelled(), seed=seed) for seed in (0, 0, 1))
        np.testing.assert_array_equal(first.scores, again.scores)
        assert str(first.report) == str(again.report)
        assert first.report.held_out != other.report.held_out or first.report.control != other.report.control

    def test_minimal_set_is_within_a_point_on_dev(self):
        report = ranked(labelled(), sizes=[1, 2, 3, 4, 20]).report
        assert report.sizes.tolist() == [1, 2, 3, 4, 20]
        enough = report.top_scores >= report.full_dev - 0.01
        assert report.minimal_size == report.sizes[np.argmax(enough)] == 3
        assert report.top_scores[0] < report.full_dev - 0.01
        assert report.random_scores.shape == (2, 5)
        assert report.size_for_95 <= report.minimal_size


class TestControls:
    """Definitions: labels per type |selectivity| <= 0.03, shuffled labels held-out <= majority + 0.02."""

    @pytest.mark.parametrize("seed", range(3))
    def test_labels_per_word_type_have_no_selectivity(self, seed):
        report = ranked(word_vectors(per_type, seed=seed), seed=seed, sizes=[]).report
        assert report.held_out > report.majority + 0.3
        assert abs(report.selectivity) <= 0.03

    @pytest.mark.parametrize("seed", range(3))
    def test_labels_without_a_pattern_do_not_beat_the_majority(self, seed):
        report = ranked(word_vectors(per_token, seed=seed), seed=seed, sizes=[], control=False).report
        assert report.held_out <= report.majority + 0.02
        assert "switched off" in str(report)

    def test_a_split_by_word_type_has_none(self):
        report = ranked(word_vectors(per_type), split="word_type", sizes=[]).report
        assert np.isnan(report.selectivity)
        assert np.isnan(report.control)
        assert "word type" in report.control_note
        assert report.held_out <= report.majority + 0.25  # nothing is known of words that were not seen

    def test_words_that_never_come_back_have_none(self):
        acts = labelled()
        report = ranked(activations_from_array(acts["mlp"], acts.labels, acts.sentence_index), sizes=[]).report
        assert np.isnan(report.selectivity)
        assert "0% of the held-out rows" in report.control_note

    def test_texts_have_permuted_labels_instead(self):
        generator = np.random.default_rng(0)
        of_texts = generator.choice(["bad", "good"], size=200)
        values = generator.standard_normal((1000, 8))
        values[:, 3] += np.repeat(of_texts == "good", 5)
        acts = activations_from_array(values, of_texts.tolist(), np.repeat(np.arange(200), 5), site="mlp")
        ranking = ranked(acts)
        assert ranking.neurons[0].index == 3
        assert ranking.signs[3] == 1
        assert ranking.report.rows["train"] + ranking.report.rows["dev"] + ranking.report.rows["test"] == 200
        assert np.isnan(ranking.report.selectivity)
        assert ranking.report.control < ranking.report.held_out
        assert "permuted" in ranking.report.control_note
        assert (ranking.probe.predict(acts) == of_texts).mean() > 0.7

    def test_an_untrained_model(self):
        acts, noise = labelled(), labelled(strength=0.0, seed=5)
        other = activations_from_array(noise["mlp"], acts.labels, acts.sentence_index, acts.tokens, site="mlp")
        report = ranked(acts, sizes=[], untrained=other).report
        assert report.untrained < report.majority + 0.1 < report.held_out
        with pytest.raises(ValueError, match="its weights were not drawn again"):
            ranked(acts, untrained=acts)


class TestNothingLeaks:
    """What is not in training or dev cannot change the ranking; a planted leak makes these fail."""

    @pytest.mark.parametrize("method", sorted(METHODS))
    def test_the_ranking_does_not_see_the_held_out_rows(self, method):
        acts = labelled()
        where = _held_out_rows(acts)
        changed = acts["mlp"].copy()
        changed[:, where] = 5 * np.random.default_rng(7).standard_normal(changed[:, where].shape)
        other = activations_from_array(changed, acts.labels, acts.sentence_index, acts.tokens, site="mlp")
        before, after = ranked(acts, None, method), ranked(other, None, method)
        np.testing.assert_array_equal(before.scores, after.scores)
        np.testing.assert_array_equal(before.order, after.order)
        assert before.report.full_dev == after.report.full_dev
        np.testing.assert_array_equal(before.report.top_scores, after.report.top_scores)
        assert _penalties(before) == _penalties(after)
        assert before.report.held_out != after.report.held_out

    def test_penalties_are_chosen_on_dev_alone(self):
        acts = labelled()
        where = _held_out_rows(acts)
        labels = np.array(acts.labels, dtype=object)
        labels[where] = np.random.default_rng(0).permutation(labels[where])
        options = {"l1": [5e-4, 0.1], "l2": [5e-4, 1.0], "sizes": []}
        before, after = ranked(acts, **options), ranked(acts, labels.tolist(), **options)
        assert _penalties(before) == _penalties(after)
        assert before.report.choices["penalties"] == "chosen on dev"
        assert before.report.choices["l1"] == 5e-4
        assert len(before.details["penalties tried (l1, l2, score on dev)"]) == 4

    def test_a_leak_is_seen(self, monkeypatch):
        def leaking(train, dev, *, seed=0):
            everything = np.asarray(train.arrays["mlp"][0])  # what a method must not do
            return NeuronScores(
                "leak", np.abs(everything).mean(0)[None].repeat(3, 0), np.ones((3, 20)), np.abs(everything).mean(0)
            )

        monkeypatch.setitem(METHODS, "leaking", leaking)
        with pytest.raises(AssertionError):
            self.test_the_ranking_does_not_see_the_held_out_rows("leaking")


def _penalties(ranking: NeuronRanking) -> list[float]:
    return [ranking.report.choices[name] for name in ("l1", "l2", "iterations")]


def _held_out_rows(acts: Activations) -> np.ndarray:
    """The rows that a ranking with seed 0 holds out."""
    seen = []

    def spy(train, dev, *, seed=0):
        seen.extend([train.rows, dev.rows])
        return METHODS["random"](train, dev, seed=seed)

    ranked(acts, None, spy, report=False)
    return np.setdiff1d(np.arange(len(acts.tokens)), np.concatenate(seen))


class TestGivenTest:
    def test_other_texts(self):
        ranking = ranked(labelled(), test=labelled(seed=9), sizes=[])
        assert ranking.report.rows["test"] == 900
        assert ranking.report.held_out > 0.85
        again = ranked(
            labelled(), list(labelled().labels), test=(labelled(seed=9), list(labelled(seed=9).labels)), sizes=[]
        )
        assert again.report.held_out == ranking.report.held_out

    def test_a_class_that_was_never_trained(self):
        acts, other = labelled(), labelled(seed=9)
        labels = ["new" if i == 5 else label for i, label in enumerate(other.labels)]
        with pytest.raises(ValueError, match="1 classes are only in test: 'new'"):
            ranked(
                acts, test=activations_from_array(other["mlp"], labels, other.sentence_index, other.tokens, site="mlp")
            )

    def test_fewer_classes_are_the_same_classes(self):
        acts, other = labelled(), labelled(seed=9)
        labels = [None if label == "A" else label for label in other.labels]
        test = activations_from_array(other["mlp"], labels, other.sentence_index, other.tokens, site="mlp")
        report = ranked(acts, test=test, sizes=[]).report
        assert report.support[0] == 0
        assert np.isnan(report.recall[0])
        assert report.recall[1] > 0.5


class TestProbe:
    def test_saved_and_applied_to_new_text(self, tmp_path):
        ranking = ranked(labelled())
        new = labelled(seed=3)
        probe = load(ranking.save(tmp_path / "r")).probe
        predicted = probe.predict(new)
        assert (predicted == np.array(new.labels)).mean() > 0.85
        np.testing.assert_array_equal(predicted, probe.predict(new["mlp"][0]))
        np.testing.assert_allclose(probe.probabilities(new).sum(axis=1), 1, rtol=1e-5)
        with pytest.raises(ValueError, match=r"L0\.mlp has 5 neurons here, the probe was trained on 20"):
            probe.predict(activations_from_array(np.zeros((4, 5)), site="mlp"))
        with pytest.raises(ValueError, match=r"the probe reads L0\.mlp"):
            probe.predict(activations_from_array(np.zeros((4, 20)), site="residual"))

    def test_numbers(self):
        acts = labelled()
        values = 10 + 4 * acts["mlp"][0, :, 2] - 2 * acts["mlp"][0, :, 9]
        ranking = ranked(acts, values, task="numbers")
        assert [neuron.index for neuron in ranking.neurons[:2]] == [2, 9]
        assert ranking.class_signs[0, [2, 9]].tolist() == [1, -1]
        assert ranking.report.score_name == "R2"
        assert ranking.report.held_out > 0.99
        np.testing.assert_allclose(ranking.probe.predict(acts), values, atol=0.5)

    def test_rows_read_in_blocks_give_the_same_probe(self, monkeypatch):
        whole = ranked(labelled(), sizes=[]).probe
        monkeypatch.setattr(linear_probes, "MOST_BYTES", 0)
        parts = ranked(labelled(), sizes=[5]).probe
        np.testing.assert_allclose(parts.weights, whole.weights, atol=1e-3)


class TestMistakes:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"method": "lca"}, "no method 'lca': expected linear_probe, "),
            ({"split": "token"}, "split='token'"),
            ({"test": 0.9, "dev": 0.2}, "dev=0.2, test=0.9"),
            ({"labels": ["A"] * 900}, "all 900 labels are 'A'"),
            ({"labels": ["A"] * 5}, "5 labels fit neither the 900 rows nor the 90 texts"),
            ({"sizes": [0]}, r"sizes=\[0\]"),
            ({"untrained": labelled(texts=3)}, "untrained has mlp of shape"),
            ({"l1": -1.0}, "l1=-1"),
            ({"l1": []}, "there are no penalties"),
        ],
    )
    def test_are_named(self, options, message):
        with pytest.raises(ValueError, match=message):
            ranked(labelled(), **options)

    def test_an_option_that_the_method_lacks(self):
        with pytest.raises(TypeError, match="probeless has no option 'neurons'; it has standardize"):
            ranked(labelled(), None, "probeless", neurons=5)

    def test_a_method_of_ones_own_with_wrong_shapes(self):
        def wrong(train, dev, *, seed=0):
            return NeuronScores("x", np.zeros((3, 4)), np.zeros((3, 4)), np.zeros(4))

        with pytest.raises(ValueError, match=r"wrong gave scores of shape \(3, 4\)"):
            ranked(labelled(), None, wrong)

    def test_stops_on_request(self):
        with pytest.raises(Cancelled):
            ranked(labelled(), should_stop=lambda: True)


def test_a_method_of_ones_own():
    def first_letters(train, dev, *, seed=0, power=1):
        scores = np.tile(np.arange(20.0) ** power, (3, 1))
        return NeuronScores("its own number", scores, np.ones((3, 20)), scores[0])

    ranking = ranked(labelled(), None, first_letters, power=2)
    assert ranking.neurons[0].index == 19
    assert ranking.method == "first_letters"
    assert ranking.provenance.parameters["power"] == 2
    assert ranking.report.held_out > 0.8
    assert set(CARRIERS.values()) != {n.index for n in ranking.neurons[:3]}
