"""correlation_clusters: by hand, against scipy on the whole matrix, the same in parts, signs, constants, mistakes."""

import importlib

import numpy as np
import pytest
from made_activations import activations
from scipy.cluster.hierarchy import fcluster, linkage

from neurowidget.analysis.grouping.correlation_clusters import correlation_clusters
from neurowidget.results.storage import load

module = importlib.import_module(correlation_clusters.__module__)


def mixed(seed: int = 0, neurons: int = 60) -> np.ndarray:
    """Columns between copies of 8 signals and noise, half of them negated."""
    rng = np.random.default_rng(seed)
    signals = rng.normal(size=(200, 8))
    noise = rng.normal(size=(200, neurons)) * rng.uniform(0.1, 1.2, neurons)
    return (signals[:, rng.integers(8, size=neurons)] + noise) * rng.choice([-1, 1], neurons) + 3


def partition(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist()) - {-1}}


def test_worked_out_by_hand() -> None:
    a = np.array([1.0, -1, 1, -1, 2, -2])
    b = np.array([1.0, 1, -1, -1, 0, 0])
    groups = correlation_clusters(activations(np.stack([a, b, -2 * a + 7, b + 1, np.full(6, 5)], axis=1)))
    assert groups.labels.tolist() == [0, 1, 0, 1, -1]
    assert [str(n) for n in groups.independent] == ["L0.mlp[0]", "L0.mlp[1]"]
    assert groups.redundancy == pytest.approx(0.5)
    assert groups.closeness[:4] == pytest.approx(1, abs=1e-6)
    assert np.isnan(groups.closeness[4])
    assert [str(n) for n in groups.group(1)] == ["L0.mlp[1]", "L0.mlp[3]"]


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("block", [1, 7, 2048])
def test_the_parts_give_what_scipy_gives_on_the_whole_matrix(threshold, block, monkeypatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    values = mixed()
    distances = 1 - np.abs(np.corrcoef(values.T))
    whole = fcluster(linkage(distances[np.triu_indices(60, 1)], "average"), threshold, "distance")
    groups = correlation_clusters(activations(values), threshold=threshold)
    assert partition(groups.labels) == partition(whole)
    assert 1 < len(groups) < 60


def test_groups_reach_across_layers_and_are_numbered_by_their_first_neuron(tmp_path) -> None:
    one, other = mixed(1, 10), mixed(2, 10)
    groups = correlation_clusters(activations(np.stack([one, np.concatenate([other[:, :9], one[:, :1]], axis=1)])))
    assert groups.group_of("L0.mlp[0]") == groups.group_of("L1.mlp[9]") == 0
    firsts = [int(np.flatnonzero(groups.labels == g)[0]) for g in range(len(groups))]
    assert firsts == sorted(firsts)
    assert all(groups.labels[place] == g for g, place in enumerate(groups.representatives))
    again = load(groups.save(tmp_path / "groups"))
    assert again.labels.tolist() == groups.labels.tolist()
    assert again.provenance.parameters["threshold"] == 0.3
    assert len(again.to_columns()["group"]) == 20


def test_too_large_a_part_says_what_to_do(monkeypatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 16)
    monkeypatch.setattr(module, "MOST_TOGETHER", 4)
    with pytest.raises(MemoryError, match="lower the threshold"):
        correlation_clusters(activations(mixed()), threshold=0.9)


@pytest.mark.parametrize("threshold", [-0.1, 1.0, 30])
def test_a_threshold_is_a_distance(threshold) -> None:
    with pytest.raises(ValueError, match="expected a distance"):
        correlation_clusters(activations(mixed()), threshold=threshold)


def test_nan_and_unknown_layers_are_refused() -> None:
    values = mixed()
    values[3, 4] = np.nan
    with pytest.raises(ValueError, match="1 of 200 rows have NaN"):
        correlation_clusters(activations(values))
    with pytest.raises(ValueError, match=r"layers=7: expected some of \[0\]"):
        correlation_clusters(activations(mixed()), layers=7)
