"""The k best over a stream and the statistics of a stream, against sorting and numpy, in any order of the parts."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from neurowidget.analysis.examples.densities import BINS, Densities, Ranges
from neurowidget.analysis.examples.running_top import (
    Context,
    RunningTop,
    keys_by_distance,
    keys_by_value,
    least_of_rounded,
    rounded,
)

CPU = torch.device("cpu")


def values_of(rows: int, neurons: int, seed: int = 0) -> torch.Tensor:
    """Values with many ties."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-6, 7, (rows, neurons), generator=generator) / 4


def put_all(top: RunningTop, where: slice, keys: torch.Tensor, values: torch.Tensor, texts: torch.Tensor) -> None:
    neurons, slots, rows = top.enter(where, keys)
    own = values[rows, neurons - where.start]
    around = Context(own[:, None], torch.zeros_like(rows), torch.zeros_like(rows))
    top.put(neurons, slots, texts[rows], texts[rows], around, None)


def running(values: torch.Tensor, cuts: list[int], k: int) -> RunningTop:
    """Values (row, neuron) in pieces; row i is text i."""
    top = RunningTop(values.shape[1], k, 0, CPU)
    for rows in torch.arange(len(values)).tensor_split(cuts):
        keys = keys_by_value(values[rows], rows, torch.zeros_like(rows))
        for where in (slice(0, 2), slice(2, values.shape[1])):  # two sites
            put_all(top, where, keys[:, where], values[rows][:, where], rows)
    return top


def assert_sorted_best(top: RunningTop, values: torch.Tensor, k: int) -> None:
    top.sort()
    for neuron, own in enumerate(values.T.tolist()):
        expected = sorted(range(len(own)), key=lambda i: (-own[i], i))[:k]
        filled = len(expected)
        assert top.text[neuron].tolist() == expected + [-1] * (k - filled)
        assert top.value[neuron, :filled].tolist() == [own[i] for i in expected]
        assert torch.isnan(top.value[neuron, filled:]).all()


@pytest.mark.parametrize("cuts", [[], [1], [3, 4, 30], list(range(1, 60))])
@pytest.mark.parametrize("k", [1, 5, 80])
def test_the_k_best_are_those_of_sorting(cuts: list[int], k: int):
    values = values_of(60, 7)
    assert_sorted_best(running(values, cuts, k), values, k)


def test_merging_is_one_pass_whatever_the_order():
    values = values_of(60, 5)
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        parts = []
        for part in order:
            top = RunningTop(5, 4, 0, CPU)
            rows = torch.arange(20 * part, 20 * part + 20)
            keys = keys_by_value(values[rows], rows, torch.zeros_like(rows))
            put_all(top, slice(0, 5), keys, values[rows], rows)
            parts.append(top)
        parts[0].merge(parts[1])
        parts[0].merge(parts[2])
        assert_sorted_best(parts[0], values, 4)


def test_rounding_keeps_the_order_and_makes_neighbours_equal():
    values = torch.tensor([-3e38, -2.0, -1e-30, -0.0, 0.0, 1e-30, 1.0, 1.0000001, 1.01, 65504, 3e38])
    numbers = rounded(values)
    assert (numbers.diff() >= 0).all()
    assert numbers[3] == numbers[4]
    assert numbers[6] == numbers[7] < numbers[8]
    random = torch.randn(1000) * torch.logspace(-5, 5, 1000)
    least = least_of_rounded(random)
    assert (rounded(least) == rounded(random)).all()
    assert (least <= random).all()
    assert (rounded(torch.nextafter(least, torch.tensor(-torch.inf))) < rounded(random)).all()


def test_equal_keys_fill_the_slots_and_no_more():
    top = RunningTop(2, 3, 0, CPU)
    far = torch.full((5,), 20_000) + torch.arange(5)  # positions beyond what a key tells apart
    texts = torch.zeros(5, dtype=torch.long)
    put_all(top, slice(0, 2), keys_by_value(torch.ones(5, 2), texts, far), torch.ones(5, 2), far)
    assert top.text.tolist() == [[20_000, 20_001, 20_002]] * 2


def test_equal_distances_are_drawn_by_the_seed_alone():
    texts, positions = torch.arange(50), torch.zeros(50, dtype=torch.long)
    distances = torch.zeros(50, 1)
    one = keys_by_distance(distances, texts, positions, seed=1)
    assert len(set(one[:, 0].tolist())) == 50
    assert (
        one[:, 0].argsort().tolist() != keys_by_distance(distances, texts, positions, seed=2)[:, 0].argsort().tolist()
    )
    torch.testing.assert_close(one[20:], keys_by_distance(distances[20:], texts[20:], positions[20:], seed=1))
    nearer = keys_by_distance(torch.tensor([[0.0], [1.0], [2.0], [1e9]]), texts[:4], positions[:4], seed=1)
    assert nearer[:, 0].argsort(descending=True).tolist() == [0, 1, 2, 3]


def filled(densities: Densities, values: torch.Tensor, parts: int) -> Densities:
    for part in values.tensor_split(parts):
        for where in (slice(0, 3), slice(3, values.shape[1])):
            densities.add(where, part[:, where])
            densities.extremes(where, part[:, where], part[:, where])
        densities.close_part(len(part))
    return densities


def test_densities_are_those_of_numpy():
    values = torch.randn(700, 8, generator=torch.Generator().manual_seed(0)) * torch.arange(8)  # one constant neuron
    values[:, 7] += 1e4
    sample = values[:100]
    ranges = Ranges.around(sample.amin(0), sample.amax(0), sample.mean(0))
    densities = filled(Densities(ranges), values, 3)
    own = values.double().numpy()
    mean, variance = densities.moments()
    np.testing.assert_allclose(mean, own.mean(axis=0), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(variance, own.var(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(densities.positive, (own > 0).sum(axis=0))
    np.testing.assert_array_equal(densities.low, values.amin(0))
    np.testing.assert_array_equal(densities.high, values.amax(0))
    edges = densities.edges().numpy()
    assert edges.shape == (8, BINS + 1)
    assert (np.diff(edges, axis=1) > 0).all()
    assert (edges[:7] == 0).any(axis=1).all()
    for neuron in range(7):
        expected, _ = np.histogram(values[:, neuron].numpy(), edges[neuron])
        assert expected.sum() == 700 == densities.counts[neuron].sum()
        assert np.abs(np.cumsum(expected) - densities.counts[neuron].numpy().cumsum()).max() <= 1


def test_densities_of_parts_merge_exactly_in_any_order():
    values = torch.randn(300, 6, generator=torch.Generator().manual_seed(1))
    ranges = Ranges.around(values.amin(0), values.amax(0), values.mean(0))
    whole = filled(Densities(ranges), values, 3)
    parts = [filled(Densities(ranges), part, 1) for part in values.tensor_split(3)]
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        merged = copy.deepcopy(parts[order[0]])
        merged.merge(parts[order[1]])
        merged.merge(parts[order[2]])
        assert merged.tokens == whole.tokens
        for name in ("counts", "positive", "sums", "low", "high"):
            assert torch.equal(getattr(merged, name), getattr(whole, name)), name
