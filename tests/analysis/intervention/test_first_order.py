"""What is run again, and how the two numbers are compared."""

from __future__ import annotations

import numpy as np
import pytest

from neurowidget.analysis.intervention.first_order import agreement, to_verify


def test_the_largest_the_farthest_and_a_uniform_sample():
    rng = np.random.default_rng(0)
    estimates, moved = rng.normal(size=(4, 500)), rng.random(size=(4, 500))
    estimates[0, 7], moved[1, 8] = -50.0, 9.0
    estimates[3, :400] = np.nan
    chosen, uniform = to_verify(estimates, moved, 10, seed=1)
    assert uniform.sum() == 50
    assert chosen[0, 7]
    assert chosen[1, 8]
    assert not chosen[3, :400].any()
    assert 100 <= chosen.sum() <= 110
    assert (chosen | uniform == chosen).all()
    again, other = to_verify(estimates, moved, 10, seed=1)[1], to_verify(estimates, moved, 10, seed=2)[1]
    assert (again == uniform).all()
    assert (other != uniform).any()
    assert not to_verify(estimates, moved, 0, seed=1)[0].any()


def test_agreement_numbers():
    exact_values = np.arange(8.0)[None] - 2
    estimates = exact_values.copy()
    estimates[0, [6, 7]] = [5.5, 4.0]  # 7 and 6 change places
    everything, three = np.ones((1, 8), dtype=bool), np.arange(8)[None] < 3
    found = agreement(estimates, exact_values, everything, three)
    assert found["neurons"] == 8
    assert found["worst_error"] == 1.5
    assert found["spearman"] == pytest.approx(1 - 6 * 2 / (8 * 63))
    assert found["spearman_uniform"] == pytest.approx(1)
    assert (found["top"], found["top_overlap"]) == (4, 1)
    estimates[0, 1] = -9  # now among the four largest estimates, but not the four largest effects
    assert agreement(estimates, exact_values, everything, three)["top_overlap"] == 0.75
    assert agreement(estimates, exact_values, three & (np.arange(8) > 0), three) is None


def test_constant_effects_have_no_rank():
    found = agreement(np.zeros((1, 5)), np.arange(5.0)[None], np.ones((1, 5), dtype=bool), np.zeros((1, 5), dtype=bool))
    assert np.isnan(found["spearman"])
    assert np.isnan(found["spearman_uniform"])
