"""The interval against scipy's, by coverage, and at its edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from neurowidget.analysis.statistics.bootstrap import bootstrap_interval


@pytest.mark.parametrize(("method", "scipy_method"), [("bca", "BCa"), ("percentile", "percentile")])
def test_agrees_with_scipy(method: str, scipy_method: str) -> None:
    values = np.random.default_rng(3).exponential(size=40)
    interval = bootstrap_interval(values, method=method, resamples=20_000, seed=1)
    expected = stats.bootstrap(
        (values,), np.mean, method=scipy_method, n_resamples=20_000, rng=np.random.default_rng(2)
    ).confidence_interval
    width = expected.high - expected.low
    assert interval is not None
    assert interval == pytest.approx([expected.low, expected.high], abs=0.03 * width)


def test_bca_is_asymmetric_on_skewed_values() -> None:
    values = np.random.default_rng(3).exponential(size=12) ** 2
    low, high = bootstrap_interval(values, method="bca")
    symmetric_low, symmetric_high = bootstrap_interval(values, method="percentile")
    assert high - values.mean() > symmetric_high - values.mean()
    assert low > symmetric_low


def test_covers_the_mean_as_often_as_it_says() -> None:
    values = np.random.default_rng(0).normal(size=(30, 2000))
    low, high = bootstrap_interval(values)
    covered = ((low < 0) & (high > 0)).mean()
    assert 0.91 < covered < 0.97


def test_no_interval_under_six_texts() -> None:
    assert bootstrap_interval(np.arange(5.0)) is None
    assert bootstrap_interval(np.arange(6.0)) is not None


def test_keeps_the_shape_and_every_entry_is_its_own() -> None:
    values = np.random.default_rng(0).normal(size=(8, 3, 4))
    together = bootstrap_interval(values, seed=5)
    assert together.shape == (2, 3, 4)
    np.testing.assert_allclose(together[:, 1, 2], bootstrap_interval(values[:, 1, 2], seed=5))
    assert not np.allclose(together, bootstrap_interval(values, seed=6))


def test_columns_in_blocks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(8, 7))
    whole = bootstrap_interval(values)
    monkeypatch.setattr("neurowidget.analysis.statistics.bootstrap._COLUMNS", 3)
    np.testing.assert_allclose(whole, bootstrap_interval(values), rtol=1e-12)


def test_equal_values_give_no_width_and_nan_stays_nan() -> None:
    values = np.stack([np.full(7, 0.1), np.zeros(7), [np.nan, *range(6)]], axis=1)
    interval = bootstrap_interval(values)
    assert interval[:, 0].tolist() == [0.1, 0.1]
    assert interval[:, 1].tolist() == [0.0, 0.0]
    assert np.isnan(interval[:, 2]).all()


@pytest.mark.parametrize("wrong", [{"method": "bootstrap"}, {"level": 1.0}, {"level": 0}])
def test_bad_arguments_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        bootstrap_interval(np.arange(8.0), **wrong)  # type: ignore[arg-type]
