"""Agreement of rankings by hand, at its ends, and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from neurowidget.analysis.evaluation.evaluate import evaluate
from neurowidget.analysis.evaluation.ranking_agreement import ranking_agreement
from neurowidget.results.from_array import ranking_from_array
from neurowidget.results.storage import load


def ranking(order, **more):
    scores = np.empty(len(order))
    scores[list(order)] = np.arange(len(order), 0, -1)
    return ranking_from_array(scores, **more)


def test_by_hand():
    a, b, c = ranking([0, 1, 2, 3]), ranking([1, 0, 2, 3]), ranking([3, 2, 1, 0])
    found = ranking_agreement({"a": a, "b": b, "c": c}, sizes=[1, 2, 4])
    assert found.names == ("a", "b", "c")
    np.testing.assert_allclose(found.overlap[1], [[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(found.average_overlap[1], [0.5, 0.5, 0])
    np.testing.assert_allclose(found.average_overlap[2], [1, 1, 1])
    # Votes against a: points 4 3 2 1 from b and from c: neuron 0: 3 + 1, 1: 4 + 2, 2: 2 + 3, 3: 1 + 4, so 1, then 2 before 3.
    np.testing.assert_allclose(found.neuron_vote[:2, 0], [0, 1 / 3])
    np.testing.assert_allclose(found.chance, [1 / 7, 2 / 6, 1])


def test_spearman_is_scipys():
    generator = np.random.default_rng(0)
    some = [ranking(generator.permutation(50)) for _ in range(3)]
    found = ranking_agreement(some, sizes=[5])
    assert found.names == ("ranking_from_array 1", "ranking_from_array 2", "ranking_from_array 3")
    for i in range(3):
        for j in range(3):
            assert found.spearman[i, j] == pytest.approx(spearmanr(some[i].scores, some[j].scores).statistic, abs=1e-6)


def test_rank_biased_overlap_is_the_sum_over_depths():
    generator = np.random.default_rng(0)
    a, b, p = generator.permutation(30), generator.permutation(30), 0.9
    shared = [len(set(a[:d].tolist()) & set(b[:d].tolist())) for d in range(1, 31)]
    expected = shared[-1] / 30 * p**30 + (1 - p) / p * sum(x / d * p**d for d, x in enumerate(shared, 1))
    found = ranking_agreement([ranking(a), ranking(b)], sizes=[5], persistence=p)
    assert found.rank_biased_overlap[0, 1] == pytest.approx(expected, abs=1e-6)


def test_the_same_ranking_agrees_entirely_and_random_ones_as_chance_does():
    generator = np.random.default_rng(0)
    same = ranking_agreement([ranking(range(200))] * 3, sizes=[10, 100])
    for name in ("spearman", "rank_biased_overlap", "overlap", "average_overlap", "neuron_vote"):
        np.testing.assert_allclose(getattr(same, name), 1, atol=1e-6)
    found = ranking_agreement([ranking(generator.permutation(400)) for _ in range(12)], sizes=[100])
    np.testing.assert_allclose(found.average_overlap.mean(), found.chance[0], atol=0.01)


def test_the_judged_ranking_has_no_vote():
    own = ranking(np.roll(np.arange(150), 60))
    others = [ranking(range(150)), ranking(range(150))]
    found = ranking_agreement([own, *others], sizes=[50])
    assert found.neuron_vote[0, 0] == 0  # with its own vote, neurons 60 to 99 would get more than 0 to 49 lose


def test_saved_and_asked_for_by_name(tmp_path):
    found = evaluate([ranking(range(20)), ranking(range(20))], "ranking_agreement", sizes=[3])
    again = load(found.save(tmp_path / "agreement"))
    np.testing.assert_array_equal(again.overlap, found.overlap)
    assert found.to_columns()["top"] == [3, 3]


@pytest.mark.parametrize(
    ("rankings", "options", "message"),
    [
        ([ranking(range(9))], {}, "1 rankings: expected two or more"),
        ([ranking(range(9)), ranking(range(8))], {}, "of different neurons"),
        ([ranking(range(9)), ranking(range(9), site="residual")], {}, r"L0\.mlp and L0\.residual"),
        ([ranking(range(9))] * 2, {"sizes": [10]}, "expected 1 to 9 neurons"),
        ([ranking(range(9))] * 2, {"sizes": [3], "persistence": 1}, "persistence=1"),
    ],
)
def test_mistakes_are_named(rankings, options, message):
    with pytest.raises(ValueError, match=message):
        ranking_agreement(rankings, **options)
