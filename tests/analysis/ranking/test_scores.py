"""Scores against hand-computed values, naive loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, mutual_info_score, roc_curve

from neurowidget.analysis.ranking.average_precision import average_precision
from neurowidget.analysis.ranking.class_selectivity import class_selectivity
from neurowidget.analysis.ranking.gaussian_probe import gaussian_probe
from neurowidget.analysis.ranking.iou import iou
from neurowidget.analysis.ranking.k_sparse_probe import k_sparse_probe
from neurowidget.analysis.ranking.linear_probe import mass_order
from neurowidget.analysis.ranking.mean_difference import mean_difference
from neurowidget.analysis.ranking.mutual_information import mutual_information
from neurowidget.analysis.ranking.probeless import probeless
from neurowidget.analysis.statistics.labelled_rows import LabelledRows, labelled_rows
from neurowidget.results.from_array import activations_from_array


def rows_of(values, labels, layers=None) -> LabelledRows:
    values = np.asarray(values, dtype=np.float32)
    return labelled_rows(activations_from_array(values, list(labels), site="mlp"))[0]


def random_rows(count=200, width=7, ties=True, seed=0) -> LabelledRows:
    generator = np.random.default_rng(seed)
    labels = generator.choice(list("ABC"), size=count, p=[0.6, 0.3, 0.1])
    values = generator.standard_normal((count, width))
    values[:, 0] += labels == "A"
    values[:, 1] -= 2 * (labels == "B")
    if ties:
        values = np.round(values * 2) / 2
        values[:, 2] = np.maximum(values[:, 2], 0)
    return rows_of(values, labels)


HAND = rows_of([[0, 1], [2, 1], [4, 5], [6, 9]], "AABC")  # class means of neuron 0: 1, 4, 6; of neuron 1: 1, 5, 9


class TestMeans:
    def test_probeless_by_hand(self):
        raw = probeless(HAND, HAND, standardize=False)
        np.testing.assert_allclose(raw.of_classes, [[3 + 5, 4 + 8], [3 + 2, 4 + 4], [5 + 2, 8 + 4]])
        np.testing.assert_allclose(raw.overall, [3 + 5 + 2, 4 + 8 + 4])
        spread = np.array([[0, 1], [2, 1], [4, 5], [6, 9]]).std(axis=0)
        np.testing.assert_allclose(probeless(HAND, HAND).overall, np.array([10, 16]) / spread, rtol=1e-6)

    def test_mean_difference_by_hand(self):
        found = mean_difference(HAND, HAND, standardize=False)
        np.testing.assert_allclose(
            found.of_classes, [[5 - 1, 7 - 1], [4 - 8 / 3, 5 - 11 / 3], [6 - 2, 9 - 7 / 3]], rtol=1e-6
        )
        np.testing.assert_allclose(found.overall, [4, 9 - 7 / 3], rtol=1e-6)
        np.testing.assert_array_equal(found.signs, [[-1, -1], [1, 1], [1, 1]])

    def test_class_selectivity_by_hand(self):
        found = class_selectivity(HAND, HAND)
        np.testing.assert_allclose(found.of_classes[0], [4 / 6, 6 / 8], rtol=1e-6)

    def test_large_offsets_lose_nothing(self):
        rows = random_rows(ties=False)
        shifted = rows_of(rows.matrix() + 100, [rows.classes[i] for i in rows.targets])
        np.testing.assert_allclose(
            mean_difference(shifted, shifted).of_classes, mean_difference(rows, rows).of_classes, atol=1e-4
        )


@pytest.mark.parametrize("ties", [True, False])
class TestThresholds:
    def test_average_precision_is_scikit_learns(self, ties):
        rows = random_rows(ties=ties)
        found, values = average_precision(rows, rows), rows.matrix()
        for label in range(3):
            member = rows.targets == label
            for neuron in range(rows.width):
                up = average_precision_score(member, values[:, neuron])
                down = average_precision_score(member, -values[:, neuron])
                assert found.of_classes[label, neuron] == pytest.approx(max(up, down), abs=1e-9)
                assert found.signs[label, neuron] == (1 if up >= down else -1)
        np.testing.assert_allclose(found.details["base rate"], rows.counts() / len(rows))

    def test_k_sparse_is_the_best_point_of_scikit_learns_roc_curve(self, ties):
        rows = random_rows(ties=ties)
        found, values = k_sparse_probe(rows, rows), rows.matrix()
        for label in range(3):
            for neuron in range(rows.width):
                off, on, _ = roc_curve(rows.targets == label, values[:, neuron], drop_intermediate=False)
                assert found.of_classes[label, neuron] == pytest.approx(np.abs(on - off).max(), abs=1e-9)

    def test_mutual_information_is_scikit_learns_on_the_same_bins(self, ties):
        rows = random_rows(ties=ties)
        found = mutual_information(rows, rows, bins=5, correction=False)
        for neuron, column in enumerate(rows.matrix().T):
            first = np.searchsorted(np.sort(column), column, side="left")
            bins = first * 5 // len(rows)
            assert found.overall[neuron] == pytest.approx(mutual_info_score(bins, rows.targets) / np.log(2), abs=1e-9)
            for label in range(3):
                expected = mutual_info_score(bins, rows.targets == label) / np.log(2)
                assert found.of_classes[label, neuron] == pytest.approx(expected, abs=1e-9)

    def test_iou_is_a_naive_loops(self, ties):
        train, dev = random_rows(ties=ties), random_rows(ties=ties, seed=1)
        found = iou(train, dev)
        for label in range(3):
            count = int((train.targets == label).sum())
            for neuron in range(train.width):
                a, b = train.matrix()[:, neuron], dev.matrix()[:, neuron]
                scores = []
                for sign in (1, -1):
                    edge = np.sort(sign * a)[len(a) - count - 1]
                    scores.append(
                        [_iou(sign * a > edge, train.targets == label), _iou(sign * b > edge, dev.targets == label)]
                    )
                best = 0 if scores[0][0] >= scores[1][0] else 1
                assert found.of_classes[label, neuron] == pytest.approx(scores[best][1])
                assert found.signs[label, neuron] == (1, -1)[best]


def _iou(on, member):
    return (on & member).sum() / max((on | member).sum(), 1)


def test_average_precision_by_hand():
    rows = rows_of([[4], [3], [2], [1]], "ABAB")
    found = average_precision(rows, rows)
    assert found.of_classes[0, 0] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found.of_classes[1, 0] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found.signs[:, 0].tolist() == [1, -1]


def test_iou_by_hand():
    train = rows_of([[1], [2], [3], [4]], "BBAA")
    dev = rows_of([[2.5], [2], [9], [0]], "ABAB")  # threshold 2, the largest value that half of the rows exceed
    assert iou(train, dev).of_classes[0, 0] == 1.0
    dev = rows_of([[2.5], [3], [9], [0]], "ABBB")  # on: rows 0 to 2, class: row 0
    assert iou(train, dev).of_classes[0, 0] == pytest.approx(1 / 3)
    assert iou(train, dev).details["thresholds"][0, 0] == 2.0


def test_the_correction_takes_the_bias_away():
    generator = np.random.default_rng(0)
    rows = rows_of(generator.standard_normal((500, 400)), generator.choice(list("ABCD"), size=500))
    biased, corrected = (mutual_information(rows, rows, correction=flag).overall.mean() for flag in (False, True))
    assert biased == pytest.approx(9 * 3 / (2 * 500) / np.log(2), rel=0.1)
    assert corrected < 0.3 * biased


def test_adaptive_thresholding_finds_neurons_that_matter_together():
    generator = np.random.default_rng(0)
    values = generator.standard_normal((600, 30))
    rows = rows_of(values, np.where(values[:, 3] - values[:, 8] + values[:, 21] > 0, "yes", "no"))
    found = k_sparse_probe(rows, rows, k=3)
    assert sorted(found.details["chosen"][1].tolist()) == [3, 8, 21]
    assert sorted(found.order[:3].tolist()) == [3, 8, 21]
    with pytest.raises(ValueError, match="k=31: expected 1 to 30"):
        k_sparse_probe(rows, rows, k=31)


class TestMassOrder:
    def test_by_hand(self):
        weights = np.array([[0.5, 0.3, 0.2, 0.0, 0.0], [0.0, 0.1, 0.0, 0.9, 0.0]])
        overall, order = mass_order(weights)
        np.testing.assert_allclose(overall, [1.0, 0.5, 0.2, 1.0, 0.0], atol=1e-12)
        assert order.tolist() == [
            3,
            0,
            1,
            2,
            4,
        ]  # both first; the one with 0.9 of its class's mass before that with 0.5

    def test_enters_where_the_prefixes_of_growing_mass_do(self):
        weights = np.abs(np.random.default_rng(0).standard_normal((3, 12)))
        overall, order = mass_order(weights)
        for p in np.linspace(0.001, 0.999, 60):
            union = set()
            for row in weights:  # the smallest prefix that has p of the mass
                by_size = np.argsort(-row)
                union |= set(by_size[: 1 + np.searchsorted(np.cumsum(row[by_size]) / row.sum(), p)].tolist())
            assert union == set(np.flatnonzero(1 - overall < p).tolist()) == set(order[: len(union)].tolist())

    def test_scale_of_a_class_does_not_matter(self):
        weights = np.abs(np.random.default_rng(0).standard_normal((3, 12)))
        np.testing.assert_array_equal(mass_order(weights)[1], mass_order(weights * np.array([[1], [100], [0.01]]))[1])


class TestGaussian:
    @pytest.mark.parametrize("posterior", ["mean", "mode"])
    def test_chooses_what_refitting_every_candidate_chooses(self, posterior):
        from scipy.special import logsumexp
        from scipy.stats import multivariate_normal

        generator = np.random.default_rng(0)
        mixed = random_rows(300, 8, ties=False).matrix() @ generator.standard_normal((8, 8))
        rows = rows_of(mixed, [random_rows(300, 8).classes[i] for i in random_rows(300, 8).targets])
        found = gaussian_probe(rows, rows, neurons=5, posterior=posterior)

        values = (mixed - mixed.mean(0)) / mixed.std(0)
        prior = rows.counts() / len(rows)
        fits = []
        for label in range(3):
            of_class = values[rows.targets == label]
            scatter = (of_class - of_class.mean(0)).T @ (of_class - of_class.mean(0))
            more = 1 if posterior == "mean" else 2 * 8 + 4
            fits.append((of_class.mean(0), (np.eye(8) + scatter) / (len(of_class) + more)))
        chosen: list[int] = []
        for step in range(5):
            scores = {}
            for candidate in sorted(set(range(8)) - set(chosen)):
                some = [*chosen, candidate]
                logs = np.stack(
                    [
                        multivariate_normal(mean[some], covariance[np.ix_(some, some)]).logpdf(values[:, some])
                        + np.log(p)
                        for (mean, covariance), p in zip(fits, prior, strict=True)
                    ]
                )
                gold = logs[rows.targets, np.arange(len(rows))] - logsumexp(logs, axis=0)
                scores[candidate] = (-(prior * np.log(prior)).sum() + gold.mean()) / np.log(2)
            chosen.append(max(scores, key=scores.__getitem__))
            assert found.details["bits"][step] == pytest.approx(scores[chosen[-1]], abs=2e-5)
        assert found.details["chosen"].tolist() == chosen

    def test_parts_of_classes_sum_to_the_bits(self):
        rows = random_rows(ties=False)
        found = gaussian_probe(rows, rows, neurons=1)
        assert found.of_classes[:, 0].sum() == pytest.approx(found.overall[0], abs=1e-4)
        assert found.details["entropy"] == pytest.approx(-sum(p * np.log2(p) for p in rows.counts() / len(rows)))

    def test_a_class_of_one_row_and_a_constant_neuron(self):
        values = np.random.default_rng(0).standard_normal((40, 4))
        values[:, 2] = 7
        found = gaussian_probe(rows_of(values, "X" + "A" * 20 + "B" * 19), rows_of(values, "X" + "A" * 20 + "B" * 19))
        assert np.isfinite(found.overall).all()
        assert len(found.details["chosen"]) == 3
        assert found.order[-1] == 2

    def test_wrong_options(self):
        with pytest.raises(ValueError, match="posterior='median'"):
            gaussian_probe(HAND, HAND, posterior="median")
        with pytest.raises(ValueError, match="neurons=0"):
            gaussian_probe(HAND, HAND, neurons=0)


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="bins=1: expected 2 to 4"):
        mutual_information(HAND, HAND, bins=1)
    with pytest.raises(ValueError, match="share=2"):
        iou(HAND, HAND, share=2)
    with pytest.raises(ValueError, match="iou is scored on dev rows"):
        iou(HAND, HAND.take(np.array([], dtype=np.int64)))
