"""What an Explanation says of itself."""

from __future__ import annotations

import numpy as np
import pytest

from neurowidget.results.base import Provenance
from neurowidget.results.explanations import Explanation, Statement


def made(**more):
    given = {
        "neuron": "L5.mlp[131]", "method": "top_words", "statement_score": "mean activation", "held_out_score": 0.5,
        "statements": (Statement("May", 2.5, 1, 4, {"kind": "word"}), Statement("film", -1.0, -1, 3, {"length": 2})),
        "score_name": "correlation", "score_range": (-1.0, 1.0), "control_scores": np.arange(21) / 100,
        "control_neurons": tuple(f"L5.mlp[{i}]" for i in range(21)), "warnings": ("few words",),
        "provenance": Provenance(method="top_words", model="tiny"),
    }  # fmt: skip
    return Explanation(**(given | more))


def test_scores_beside_it():
    found = made()
    assert found.control_mean == pytest.approx(0.10)
    assert found.control_95 == pytest.approx(0.19)
    with_gap = made(control_scores=np.array([0.25, np.nan, 0.75]), control_neurons=("a", "b", "c"))
    assert with_gap.control_mean == 0.5
    none = made(control_scores=np.zeros(0), control_neurons=())
    assert np.isnan(none.control_mean)
    assert np.isnan(none.control_95)
    with pytest.raises(ValueError, match="one score for each of the 2"):
        made(control_neurons=("a", "b"))


def test_reads_well():
    assert repr(made()) == (
        "Explanation(L5.mlp[131], top_words: +'May' 2.5; -'film' -1 | correlation 0.500, 21 random neurons 0.100 on"
        " average, 0.190 at the 95th percentile)"
    )
    lines = str(made()).splitlines()
    assert lines[0] == "L5.mlp[131] by top_words (mean activation)"
    assert lines[1].split() == ["+", "May", "2.500", "×4"]
    assert lines[-1] == "! few words"
    assert "no random neurons" in repr(made(control_scores=np.zeros(0), control_neurons=()))


def test_columns():
    columns = made().to_columns()
    assert columns == {
        "neuron": ["L5.mlp[131]"] * 2, "statement": ["May", "film"], "sign": [1, -1], "score": [2.5, -1.0],
        "count": [4, 3], "kind": ["word", None], "length": [None, 2],
    }  # fmt: skip
    assert made(statements=()).to_columns()["statement"] == []
