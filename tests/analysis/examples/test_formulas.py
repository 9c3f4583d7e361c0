"""Beam search against every formula there is; IoU by hand; formulas as they are written."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from neurowidget.analysis.examples.formulas import beam_search, holds, intersection_over_union, written

NAMES = ["NOUN", "caps", "year", "x"]


def test_written_and_held():
    formula = (("AND", 0, False), ("AND", 1, True), ("OR", 2, False))
    assert written(formula, NAMES) == "(NOUN AND NOT caps) OR year"
    assert written((("AND", 0, True), ("AND", 1, False), ("AND", 2, False)), NAMES) == "NOT NOUN AND caps AND year"
    assert written((*formula, ("AND", 3, True)), NAMES) == "((NOUN AND NOT caps) OR year) AND NOT x"
    masks = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]], dtype=bool)
    assert holds(formula, masks).tolist() == [False, True, False, True]


def test_iou_by_hand():
    first, second = np.array([1, 1, 1, 0, 0], dtype=bool), np.array([0, 1, 1, 1, 0], dtype=bool)
    assert intersection_over_union(first, second) == 2 / 4
    assert np.isnan(intersection_over_union(np.zeros(3, dtype=bool), np.zeros(3, dtype=bool)))


def every_formula(concepts: int, length: int):
    """All formulas that grow from the left, of up to `length` literals."""
    literals = [(i, negated) for i in range(concepts) for negated in (False, True)]
    for size in range(1, length + 1):
        for chosen in product(literals, repeat=size):
            for operations in product(("AND", "OR"), repeat=size - 1):
                yield tuple((op, *literal) for op, literal in zip(("AND", *operations), chosen, strict=True))


@pytest.mark.parametrize("rows", [40, 64, 200])
def test_against_exhaustive_search(rows):
    rng = np.random.default_rng(rows)
    masks = rng.random((4, rows)) < 0.4
    wanted = np.stack([
        (masks[0] & ~masks[1]) | masks[2], ~masks[3] & masks[0], rng.random(rows) < 0.2, np.zeros(rows, dtype=bool)
    ])  # fmt: skip
    wanted[1] ^= rng.random(rows) < 0.1
    found = beam_search(masks, wanted, 3, 1000)
    formulas = list(every_formula(4, 3))
    held = np.array([holds(formula, masks) for formula in formulas])
    for column in range(4):
        union = (held | wanted[column]).sum(axis=1)
        iou = np.where(union > 0, (held & wanted[column]).sum(axis=1) / np.maximum(union, 1), 0.0)
        best, formula = found[column][0]
        assert best == pytest.approx(iou.max())
        assert best == pytest.approx(iou[formulas.index(formula)])
        shortest = min(len(f) for f, value in zip(formulas, iou, strict=True) if value == iou.max())
        assert len(formula) == shortest
        values = [value for value, _ in found[column]]
        assert values == sorted(values, reverse=True)
        for value, one in found[column]:
            assert value == pytest.approx(np.nan_to_num(intersection_over_union(holds(one, masks), wanted[column])))


def test_a_narrow_beam_is_no_better_and_finds_the_planted_formula():
    rng = np.random.default_rng(1)
    masks = rng.random((30, 3000)) < 0.1
    wanted = ((masks[3] & ~masks[7]) | masks[11])[None]
    narrow, wide = (beam_search(masks, wanted, 3, beam)[0] for beam in (3, 50))
    assert narrow[0][0] <= wide[0][0] == 1.0
    assert {step[1:] for step in wide[0][1]} == {(3, False), (7, True), (11, False)}
    assert len(narrow) == 3 * 3


def test_columns_do_not_meet():
    rng = np.random.default_rng(2)
    masks, wanted = rng.random((6, 130)) < 0.3, rng.random((5, 130)) < 0.2
    together = beam_search(masks, wanted, 3, 4)
    for column in range(5):
        assert beam_search(masks, wanted[column : column + 1], 3, 4)[0] == together[column]
