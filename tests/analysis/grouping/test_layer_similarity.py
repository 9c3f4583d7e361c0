"""layer_similarity: 1 for what a method ignores, low for noise, both forms of CKA agree, mistakes."""

import numpy as np
import pytest
from made_activations import activations

from neurowidget.analysis.grouping.layer_similarity import layer_similarity
from neurowidget.results.storage import load

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 10))
TURN = np.linalg.qr(RNG.normal(size=(10, 10)))[0]
NOISE = RNG.normal(size=(300, 10))


@pytest.mark.parametrize("method", ["cka", "svcca", "pwcca"])
def test_turning_scaling_and_shifting_change_nothing(method) -> None:
    found = layer_similarity(activations(np.stack([X, 3 * X @ TURN + 1, NOISE])), method=method).values
    assert found[0, 1] == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(np.diag(found), 1, atol=1e-4)
    assert found[0, 2] < 0.25


def test_cka_by_its_formula_and_by_gram_matrices() -> None:
    y = np.concatenate([X[:, :5], NOISE[:, :5]], axis=1)
    x, centred = X - X.mean(axis=0), y - y.mean(axis=0)
    expected = np.linalg.norm(centred.T @ x) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(centred.T @ centred)
    assert layer_similarity(activations(X), activations(y)).values[0, 0] == pytest.approx(expected, abs=1e-6)
    few = layer_similarity(activations(X[:8]), activations(y[:8])).values[0, 0]
    x, centred = X[:8] - X[:8].mean(axis=0), y[:8] - y[:8].mean(axis=0)
    expected = np.linalg.norm(centred.T @ x) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(centred.T @ centred)
    assert few == pytest.approx(expected, abs=1e-6)


def test_svcca_of_half_shared_directions_is_one_half() -> None:
    q = np.linalg.qr(np.concatenate([X, NOISE], axis=1) - np.concatenate([X, NOISE], axis=1).mean(axis=0))[0]
    one, other = q[:, :4], q[:, [0, 1, 10, 11]]
    assert layer_similarity(activations(one), activations(other), "svcca").values[0, 0] == pytest.approx(0.5, abs=1e-6)


def test_result_and_mistakes(tmp_path) -> None:
    found = layer_similarity(activations(np.stack([X, NOISE])))
    assert found.rows == ("L0.mlp", "L1.mlp")
    assert load(found.save(tmp_path / "s")).values.tolist() == found.values.tolist()
    assert len(found.to_columns()["cka"]) == 4
    with pytest.raises(ValueError, match="need at least 16 rows"):
        layer_similarity(activations(X[:12]), method="svcca")
    with pytest.raises(ValueError, match="300 and 200 rows"):
        layer_similarity(activations(X), activations(X[:200]))
    with pytest.raises(ValueError, match="expected one of 'cka'"):
        layer_similarity(activations(X), method="rsa")
