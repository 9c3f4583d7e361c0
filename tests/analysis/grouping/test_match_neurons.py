"""match_neurons: against plain numpy and scikit-learn; a shuffled, negated and scaled copy is found again."""

import numpy as np
import pytest
from made_activations import activations
from sklearn.linear_model import Ridge

from neurowidget.analysis.grouping.match_neurons import match_neurons
from neurowidget.results.storage import load

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(120, 12)) @ RNG.normal(size=(12, 12))
ORDER = RNG.permutation(12)
COPY = VALUES[:, ORDER] * RNG.choice([-3.0, 0.5], 12) + 2
OTHER = RNG.normal(size=(120, 20))


def test_a_shuffled_copy_is_found_neuron_by_neuron(tmp_path) -> None:
    matches = match_neurons([activations(VALUES), activations(COPY)])
    np.testing.assert_allclose(matches.scores, 1, atol=1e-5)
    assert ORDER[matches.partners[0]].tolist() == list(range(12))
    assert str(matches.partner("L0.mlp[3]")) == f"L0.mlp[{np.argsort(ORDER)[3]}]"
    assert load(matches.save(tmp_path / "m")).score_name == "max_correlation"


def test_largest_and_smallest_over_the_models() -> None:
    models = [activations(VALUES), activations(COPY), activations(OTHER)]
    plain = np.abs(np.corrcoef(VALUES.T, OTHER.T)[:12, 12:])
    largest = match_neurons(models, "max_correlation")
    smallest = match_neurons(models, "min_correlation")
    np.testing.assert_allclose(largest.scores, 1, atol=1e-5)
    np.testing.assert_allclose(smallest.scores, plain.max(axis=1), atol=1e-5)
    assert smallest.partners[1].tolist() == plain.argmax(axis=1).tolist()


@pytest.mark.parametrize("neurons", [5, 100])
def test_regression_is_held_out_ridge(neurons) -> None:
    """As many columns as rows fit anything, so that only rows that were not fitted count."""
    other = np.random.default_rng(1).normal(size=(120, neurons))
    target = np.stack([other[:, 0] - 2 * other[:, 1] + 5, np.random.default_rng(2).normal(size=120)], axis=1)
    matches = match_neurons([activations(target), activations(other)], "linear_regression")
    z = (other - other[:80].mean(axis=0)) / other[:80].std(axis=0)
    model = Ridge(alpha=1e-2 * 80).fit(z[:80], target[:80])
    error = ((target[80:] - model.predict(z[80:])) ** 2).sum(axis=0)
    expected = 1 - error / ((target[80:] - target[80:].mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(matches.scores, expected, atol=1e-5)
    assert matches.scores[0] > 0.5 > 0.2 > matches.scores[1]
    assert (matches.partners == -1).all()
    assert matches.partner("L0.mlp[0]") is None


def test_a_constant_neuron_matches_nothing() -> None:
    values = VALUES.copy()
    values[:, 4] = 1
    for method in ("max_correlation", "min_correlation", "linear_regression"):
        matches = match_neurons([activations(values), activations(COPY)], method)
        assert np.isnan(matches.scores[4])
        assert np.isfinite(np.delete(matches.scores, 4)).all()


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="1 models: expected two or more"):
        match_neurons([activations(VALUES)])
    with pytest.raises(ValueError, match=r"120 rows and model 1 60.*words='last'"):
        match_neurons([activations(VALUES), activations(VALUES[:60])])
    with pytest.raises(ValueError, match="expected one of 'max_correlation'"):
        match_neurons([activations(VALUES)] * 2, "cosine")
    with pytest.raises(ValueError, match="all rows are of one text"):
        match_neurons([activations(VALUES, texts=1)] * 2, "linear_regression")
