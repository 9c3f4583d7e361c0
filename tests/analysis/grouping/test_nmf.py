"""nmf: planted factors are found, negatives count as 0, the error is that of the product."""

import numpy as np
import pytest
from made_activations import activations

from neurowidget.analysis.grouping.nmf import nmf
from neurowidget.results.storage import load


def test_planted_factors(tmp_path) -> None:
    rng = np.random.default_rng(0)
    weights = np.zeros((90, 3))
    weights[np.arange(90), np.arange(90) % 3] = rng.uniform(1, 2, 90)
    loadings = np.zeros((3, 30))
    for factor in range(3):
        loadings[factor, factor * 10 : factor * 10 + 10] = rng.uniform(1, 2, 10) * (3 - factor)
    values = weights @ loadings
    values[values == 0] = -0.1
    factors = nmf(activations(values), count=3)
    assert factors.error < 0.01
    for factor in range(3):
        assert {n.index for n, _ in factors.top(factor, 10)} == set(range(factor * 10, factor * 10 + 10))
    rebuilt = factors.token_weights @ factors.loadings
    np.testing.assert_allclose(rebuilt, np.maximum(values, 0), atol=0.1)
    np.testing.assert_allclose(np.linalg.norm(factors.loadings, axis=1), 1, atol=1e-5)
    assert load(factors.save(tmp_path / "f")).pieces == factors.pieces


@pytest.mark.parametrize("count", [0, 31])
def test_mistakes(count) -> None:
    with pytest.raises(ValueError, match="expected 1 to 30 factors"):
        nmf(activations(np.ones((90, 30))), count=count)
    with pytest.raises(ValueError, match="above 0"):
        nmf(activations(-np.ones((90, 30))))
