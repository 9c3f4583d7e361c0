"""Which rows count, what labels fit, and that blocks are the whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurowidget.analysis.statistics.class_moments import class_moments
from neurowidget.analysis.statistics.labelled_rows import classes_of, labelled_rows, word_types
from neurowidget.results.activations import Activations
from neurowidget.results.from_array import activations_from_array
from neurowidget.results.tokens import Tokens

VALUES = np.random.default_rng(0).standard_normal((2, 8, 5)).astype(np.float32)
TEXTS = [0, 0, 0, 1, 1, 2, 2, 2]


def made(values=VALUES, labels="ABABABAB", **more) -> Activations:
    return activations_from_array(values, list(labels), TEXTS, site="mlp", layers=[3, 7][: len(values)], **more)


class TestRows:
    def test_layers_stand_one_after_the_other(self):
        rows, left_out = labelled_rows(made())
        assert rows.sites == ("L3.mlp", "L7.mlp")
        np.testing.assert_array_equal(rows.matrix(), np.concatenate(VALUES, axis=1))
        assert rows.classes == ("A", "B")
        assert rows.targets.tolist() == [0, 1] * 4
        assert sum(left_out.values()) == 0

    def test_blocks_are_the_whole(self):
        rows = labelled_rows(made())[0].take(np.array([1, 2, 5, 7]))
        whole = np.concatenate(VALUES, axis=1)[[1, 2, 5, 7]]
        found = np.full(whole.shape, np.nan)
        for neurons, values in rows.neuron_blocks(2):
            found[:, neurons] = values
        np.testing.assert_array_equal(found, whole)
        np.testing.assert_array_equal(np.concatenate([values for _, values in rows.row_blocks(cells=20)]), whole)
        some = np.array([9, 0, 4, 5])
        np.testing.assert_array_equal(rows.columns(some), whole[:, some])

    def test_what_only_slices_reads_the_same(self):
        class Stored:
            shape = VALUES.shape

            def __getitem__(self, key):
                assert all(isinstance(one, int | slice) for one in key)
                return VALUES[key].astype(np.float16)

        rows = labelled_rows(made())[0].take(np.array([1, 2, 5, 7]))
        stored = replace(rows, arrays={"mlp": Stored()})
        np.testing.assert_allclose(stored.matrix(), rows.matrix(), atol=2e-3)
        np.testing.assert_allclose(stored.columns(np.array([9, 0])), rows.columns(np.array([9, 0])), atol=2e-3)
        np.testing.assert_allclose(class_moments(stored).class_means, class_moments(rows).class_means, atol=2e-3)

    def test_left_out_and_counted(self):
        acts = made(labels=["A", None, float("nan"), "B", "A", "C", "B", "A"])
        special = acts.tokens.special.copy()
        special[0] = True
        acts = replace(acts, tokens=replace(acts.tokens, special=special))
        rows, left_out = labelled_rows(acts, classes=["A", "B"])
        assert rows.rows.tolist() == [3, 4, 6, 7]
        assert left_out == {"special tokens": 1, "no label": 2, "other classes": 1, "no token": 0}

    def test_words_without_a_token_are_left_out(self):
        values = VALUES.copy()
        values[:, 4] = np.nan
        rows, left_out = labelled_rows(made(values))
        assert left_out["no token"] == 1
        assert 4 not in rows.rows

    def test_word_types_are_words_as_they_are_written(self):
        acts = made(tokens=["The", "old", "the", "a", "b", "x", "y", "z"])
        assert word_types(acts.tokens).tolist() == ["The", "old", "the", "a", "b", "x", "y", "z"]
        pieces = Tokens(
            texts=("unhappy cat",), ids=[1, 2, 3, 4, 5], pieces=("[CLS]", "un", "happy", " cat", "[SEP]"), raw=("",) * 5,
            special=[1, 0, 0, 0, 1], shares=[0] * 5, word=[-1, 0, 0, 1, -1], start=[0, 0, 2, 8, 11], end=[0, 2, 7, 11, 11],
            sentence_index=[0] * 5,
        )  # fmt: skip
        assert word_types(pieces).tolist() == ["", "unhappy", "unhappy", "cat", ""]


class TestTexts:
    @pytest.mark.parametrize(
        ("pool", "expected"),
        [
            ("mean", VALUES[:, 3:5].mean(1)),
            ("max", VALUES[:, 3:5].max(1)),
            ("first", VALUES[:, 3]),
            ("last", VALUES[:, 4]),
        ],
    )
    def test_one_row_per_text(self, pool, expected):
        rows, _ = labelled_rows(made(labels="XYX"), pool=pool)
        assert len(rows) == 3
        np.testing.assert_allclose(rows.matrix()[1], np.concatenate(expected), rtol=1e-6)
        np.testing.assert_allclose(
            labelled_rows(made(labels="XYX"), pool=pool, layers=7)[0].matrix()[1], expected[1], rtol=1e-6
        )

    def test_special_tokens_are_no_part_of_a_mean(self):
        acts = made(labels="XYX")
        special = acts.tokens.special.copy()
        special[3] = True
        acts = replace(acts, tokens=replace(acts.tokens, special=special))
        np.testing.assert_allclose(labelled_rows(acts)[0].matrix()[1], np.concatenate(VALUES[:, 4]), rtol=1e-6)
        np.testing.assert_allclose(
            labelled_rows(acts, pool="first")[0].matrix()[1], np.concatenate(VALUES[:, 3]), rtol=1e-6
        )


class TestLabels:
    def test_sorted_whatever_they_are(self):
        assert classes_of(["b", "a", "b"], "classes") == ("a", "b")
        assert classes_of([True, False], "classes") == (False, True)
        assert classes_of([10, 2, 1.0], "classes") == (1.0, 2, 10)
        assert classes_of(["a", 3], "classes") == (3, "a")
        assert classes_of([1, 2.5], "numbers") == ()

    def test_numbers(self):
        rows, _ = labelled_rows(made(), np.arange(8) / 2, task="numbers")
        assert rows.classes == ()
        np.testing.assert_array_equal(rows.targets, np.arange(8) / 2)

    @pytest.mark.parametrize(
        ("labels", "more", "message"),
        [
            (["A"] * 5, {}, "5 labels fit neither the 8 rows nor the 3 texts"),
            (["A"] * 8, {}, "all 8 labels are 'A': expected two or more classes"),
            ([None] * 8, {}, "none of the 8 labels can be used"),
            ("upos", {}, "no labels 'upos' in these activations; there are 'label'"),
            (None, {"layers": 5}, r"layers=5: not among the layers of these activations \(mlp: 3, 7\)"),
            (None, {"sites": "attention"}, "no site 'attention'"),
            (None, {"task": "numbers"}, "needs labels that are numbers, got 'A'"),
            ([0.5, 0.25] * 4, {"classes": [1, 2]}, "none of the 8"),
            ("XYX", {"pool": "median"}, "pool='median'"),
        ],
    )  # fmt: skip
    def test_mistakes_are_named(self, labels, more, message):
        acts = made()
        if labels == "XYX":
            labels = list(labels)
        with pytest.raises(ValueError, match=message):
            labelled_rows(acts, labels, **more)

    def test_many_different_numbers_are_no_classes(self):
        acts = activations_from_array(np.zeros((30, 2)))
        with pytest.raises(ValueError, match="look like numbers: pass task='numbers'"):
            labelled_rows(acts, np.random.default_rng(0).random(30))

    def test_several_sets_need_a_name(self):
        acts = replace(made(), labels={"upos": tuple("ABABABAB"), "text": tuple("XYX")})
        assert labelled_rows(acts, "text")[0].pool == "mean"
        with pytest.raises(ValueError, match="several sets of labels: pass labels= one of 'upos', 'text'"):
            labelled_rows(acts)

    @pytest.mark.parametrize("wrong", [np.nan, np.inf])
    def test_activations_that_are_not_finite(self, wrong):
        values = VALUES.copy()
        values[1, 2, 3] = wrong
        with pytest.raises(
            ValueError, match=r"1 neurons have activations that are NaN or infinite, the first L7.mlp\[3\] in 1 of 8"
        ):
            labelled_rows(made(values))


class TestMoments:
    def test_naive(self):
        rows, _ = labelled_rows(made(labels="AABBCCAB"))
        found, values = class_moments(rows), np.concatenate(VALUES, axis=1)
        for label in range(3):
            np.testing.assert_allclose(found.class_means[label], values[rows.targets == label].mean(0), atol=1e-6)
            np.testing.assert_allclose(found.rest_means()[label], values[rows.targets != label].mean(0), atol=1e-6)
        np.testing.assert_allclose(found.deviations, values.std(0), rtol=1e-6)
        np.testing.assert_array_equal(found.highest, values.max(0))

    def test_a_constant_is_exactly_constant(self):
        values = np.full((300, 3), 0.1, dtype=np.float32)
        values[5, 1] = 0.2
        found = class_moments(labelled_rows(activations_from_array(values, ["A", "B", "C"] * 100))[0])
        assert found.constant.tolist() == [True, False, True]
        assert (found.differences()[:, [0, 2]] == 0).all()
        assert (found.directions()[:, 0] == 0).all()
        assert found.scales[0] == 1
