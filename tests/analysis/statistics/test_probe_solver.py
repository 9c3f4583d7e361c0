"""The solver against scikit-learn, against the conditions of a minimum, and its certificate."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet, LogisticRegression

from neurowidget.analysis.statistics.probe_solver import Solution, one_block, solve
from neurowidget.models.progress import Cancelled


def data(rows=300, width=12, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    values = generator.standard_normal((rows, width)).astype(np.float32)
    weights = generator.standard_normal((width, classes)) * (generator.random((width, 1)) < 0.4)
    targets = (values @ weights + generator.gumbel(size=(rows, classes))).argmax(1)
    return values, targets


def solved(values, targets, l1, l2, outputs=3, **more) -> Solution:
    options = {"tolerance": 1e-7, "most_iterations": 3000} | more
    return solve(
        one_block(torch.from_numpy(values)),
        torch.from_numpy(targets),
        values.shape[1],
        outputs,
        l1=l1,
        l2=l2,
        **options,
    )


def objective(values, targets, weights, bias, l1, l2):
    outputs = values.astype(np.float64) @ weights.T + bias
    loss = -(outputs - np.logaddexp.reduce(outputs, axis=1, keepdims=True))[np.arange(len(targets)), targets].mean()
    return loss + l1 * np.abs(weights).sum() + l2 * np.square(weights).sum()


def scikit_learn(values, targets, l1, l2):
    rate = l1 + 2 * l2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(
            solver="saga",
            penalty="elasticnet",
            l1_ratio=l1 / rate,
            C=1 / (len(targets) * rate),
            tol=1e-8,
            max_iter=5_000,
        ).fit(values, targets)


@pytest.mark.parametrize(("l1", "l2"), [(0.01, 0.01), (0.0, 0.02), (0.02, 0.0), (5e-4, 5e-4)])
def test_is_scikit_learns_minimum(l1, l2):
    values, targets = data()
    ours, theirs = solved(values, targets, l1, l2), scikit_learn(values, targets, l1, l2)
    reached = objective(values, targets, ours.weights, ours.bias, l1, l2)
    expected = objective(values, targets, theirs.coef_, theirs.intercept_, l1, l2)
    assert ours.objective == pytest.approx(reached, abs=1e-6)
    assert reached <= expected + 1e-6
    np.testing.assert_allclose(ours.weights, theirs.coef_, atol=0.02)
    assert ours.converged
    if l1 == 0.02:
        assert 0 < (ours.weights == 0).mean() < 1


@pytest.mark.parametrize(("l1", "l2"), [(0.05, 0.01), (0.0, 0.1)])
def test_numbers_are_scikit_learns_elastic_net(l1, l2):
    values, _ = data()
    targets = (values[:, :1] * 2 - values[:, 3:4] + np.random.default_rng(1).standard_normal((300, 1))).astype(
        np.float32
    )
    ours = solved(values, targets, l1, l2, outputs=1, loss="squared")
    rate = l1 + 2 * l2
    theirs = ElasticNet(alpha=rate, l1_ratio=l1 / rate, tol=1e-6, max_iter=10_000).fit(values, targets[:, 0])
    np.testing.assert_allclose(ours.weights[0], theirs.coef_, atol=2e-3)
    assert ours.bias[0] == pytest.approx(theirs.intercept_, abs=2e-3)
    assert 0 <= ours.gap < 1e-4


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("iterations", [1, 3, 10])
def test_the_gap_bounds_the_distance_to_the_minimum(iterations, loss):
    values, targets = data(width=30)
    given = targets if loss == "cross_entropy" else np.eye(3, dtype=np.float32)[targets]
    best = solved(values, given, 0.01, 0.01, loss=loss, tolerance=1e-9).objective
    early = solved(values, given, 0.01, 0.01, loss=loss, most_iterations=iterations, tolerance=0)
    assert early.objective - best <= early.gap + 1e-6
    assert not early.converged
    assert early.iterations == iterations


def test_the_gap_closes():
    values, targets = data()
    assert solved(values, targets, 0.01, 0.01, tolerance=1e-9).gap < 1e-4
    assert np.isnan(solved(values, targets, 0.01, 0.0).gap)


def test_blocks_of_rows_are_the_same_problem():
    values, targets = data()
    whole = solved(values, targets, 0.01, 0.01)
    tensor = torch.from_numpy(values)

    def blocks():
        for start in range(0, 300, 70):
            yield slice(start, min(start + 70, 300)), tensor[start : start + 70]

    parts = solve(blocks, torch.from_numpy(targets), 12, 3, l1=0.01, l2=0.01, tolerance=1e-7, most_iterations=3000)
    np.testing.assert_allclose(parts.weights, whole.weights, atol=1e-3)
    assert parts.gap == pytest.approx(whole.gap, abs=1e-5)


def test_starting_from_the_answer_stays_there():
    values, targets = data()
    first = solved(values, targets, 0.01, 0.01)
    again = solved(values, targets, 0.01, 0.01, start=first)
    assert again.objective <= first.objective + 1e-7
    assert again.iterations <= 10


def test_weights_of_constant_neurons_stay_0():
    values, targets = data()
    values[:, 5] = 0
    assert (solved(values, targets, 0.0, 0.01).weights[:, 5] == 0).all()


def test_more_penalty_than_gradient_leaves_the_class_shares():
    values, targets = data()
    found = solved(values, targets, 10.0, 0.01)
    assert (found.weights == 0).all()
    shares = np.exp(found.bias) / np.exp(found.bias).sum()
    np.testing.assert_allclose(shares, np.bincount(targets) / 300, atol=1e-3)


def test_stops_and_refuses():
    values, targets = data()
    with pytest.raises(Cancelled):
        solved(values, targets, 0.01, 0.01, should_stop=lambda: True)
    with pytest.raises(ValueError, match="l1=-1"):
        solved(values, targets, -1, 0.01)
