"""Rankings as plain data: order, classes, places, columns, the report's text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurowidget.results.from_array import ranking_from_array
from neurowidget.results.storage import load


def made():
    return ranking_from_array(
        [[1, 5, 5], [0, 7, 2]],
        classes=("A", "B"),
        class_scores=[[[1, 0, 5], [0, 7, 2]], [[0, 5, 1], [0, 3, 2]]],
        signs=[[[1, 1, -1], [0, 1, 1]], [[-1, 1, 1], [0, -1, 1]]],
        layers=[2, 5],
    )


class TestOrder:
    def test_largest_first_ties_by_layer_and_index(self):
        assert [str(n) for n in made().neurons] == [
            "L5.mlp[1]", "L2.mlp[1]", "L2.mlp[2]", "L5.mlp[2]", "L2.mlp[0]", "L5.mlp[0]",
        ]  # fmt: skip
        assert made().top(2) == [(made().neurons[0], 7.0), (made().neurons[1], 5.0)]
        assert made().layers.tolist() == [2, 2, 2, 5, 5, 5]

    def test_places(self):
        ranking = made()
        assert ranking.place_of("L5.mlp[2]") == 5
        assert ranking.score_of("L5.mlp[1]") == 7.0
        for wrong in ("L2.mlp[3]", "L3.mlp[0]", "L2.attention[0]"):
            with pytest.raises(IndexError, match="was not ranked"):
                ranking.place_of(wrong)

    def test_for_class(self):
        of_a = made().for_class("A")
        assert [str(n) for n in of_a.neurons[:3]] == ["L5.mlp[1]", "L2.mlp[2]", "L5.mlp[2]"]
        assert of_a.signs.tolist() == [1, 1, -1, 0, 1, 1]
        assert of_a.scores.tolist() == [1, 0, 5, 0, 7, 2]
        with pytest.raises(KeyError, match="no class 'C' here; there are 'A', 'B'"):
            made().for_class("C")

    def test_signs_of_two_classes_are_those_of_the_second(self):
        assert made().signs.tolist() == [-1, 1, 1, 0, -1, 1]
        three = ranking_from_array(
            [[1, 2]], classes="ABC", class_scores=[[1, 0], [0, 0], [0, 2]], signs=[[-1, 1], [1, 1], [1, -1]]
        )
        assert three.signs.tolist() == [-1, -1]

    def test_columns_are_in_rank_order(self):
        columns = made().to_columns()
        assert columns["rank"] == [1, 2, 3, 4, 5, 6]
        assert columns["neuron"][0] == "L5.mlp[1]"
        assert columns["score"] == [7, 5, 5, 2, 1, 0]
        assert columns["B"] == [3, 5, 1, 2, 0, 0]


class TestFromArray:
    def test_least_that_is_needed(self, tmp_path):
        ranking = ranking_from_array([3, -1, 4], site="decoder.mlp")
        assert [str(n) for n in ranking.neurons] == ["decoder.L0.mlp[2]", "decoder.L0.mlp[0]", "decoder.L0.mlp[1]"]
        assert ranking.signs.tolist() == [1, -1, 1]
        assert load(ranking.save(tmp_path / "r")).neurons == ranking.neurons
        assert "NeuronRanking(ranking_from_array: decoder.L0.mlp[2]" in repr(ranking)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"scores": [np.nan, 1]}, "expected finite scores"),
            ({"scores": np.zeros((1, 2, 3))}, r"\(layer, neuron\)"),
            ({"scores": [1, 2], "classes": "AB", "class_scores": [1, 2]}, "class_scores of .* do not fit 2 classes"),
            ({"scores": [1, 2], "layers": [1, 2]}, "1 layers need 1 different numbers"),
        ],
    )
    def test_mistakes_are_named(self, options, message):
        with pytest.raises(ValueError, match=message):
            ranking_from_array(**options)


class TestChecks:
    def test_shapes(self):
        with pytest.raises(ValueError, match=r"6 neurons of L2\.mlp, L5\.mlp and 2 classes do not fit"):
            replace(made(), scores=np.zeros(5))
        with pytest.raises(ValueError, match="order should have each of 0 to 5 once"):
            replace(made(), order=np.array([0, 0, 1, 2, 3, 4]))

    def test_arrays_are_read_only(self):
        with pytest.raises(ValueError, match="read-only"):
            made().scores[0] = 1
