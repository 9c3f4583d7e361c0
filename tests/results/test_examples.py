"""Examples: one neuron's contexts, texts by their number in the corpus, the density, and what does not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurowidget.results.examples import Examples
from neurowidget.results.kept_texts import KeptTexts
from neurowidget.results.tokens import Tokens


@pytest.fixture
def examples(made) -> Examples:
    return made["Examples"]()


def words(*texts: str) -> Tokens:
    """One token per word, and a special token before each text."""
    rows = [(i, j, word) for i, text in enumerate(texts) for j, word in enumerate(["[CLS]", *text.split()])]
    starts = [0 if j == 0 else len(" ".join(texts[i].split()[: j - 1])) + (j > 1) for i, j, _ in rows]
    return Tokens(
        texts=texts,
        ids=np.array([sum(map(ord, word)) for _, _, word in rows]),
        pieces=tuple(word if j < 2 else " " + word for _, j, word in rows),
        raw=tuple(word for _, _, word in rows),
        special=np.array([j == 0 for _, j, _ in rows]),
        shares=np.zeros(len(rows)),
        word=np.array([j - 1 for _, j, _ in rows]),
        start=np.array(starts),
        end=np.array([start + (len(word) if j else 0) for start, (_, j, word) in zip(starts, rows, strict=True)]),
        sentence_index=np.array([i for i, _, _ in rows]),
    )


def test_an_example_is_its_token_in_its_context(examples):
    found = examples.for_neuron("L5.mlp[131]")
    assert list(found.groups) == ["top", "bottom"]
    (top,), (bottom,) = found.groups["top"], found.groups["bottom"]
    assert (top.text_index, top.position, top.value) == (4, 4, 7)
    assert top.pieces == ("", " \u2028<b>", "[SEP]")  # token 4 and one to each side
    assert (top.piece, top.focus, top.first) == (" \u2028<b>", 1, 3)
    assert top.special == (False, False, True)
    np.testing.assert_array_equal(top.values, [9, 10, 11])
    assert bottom.pieces == ("[CLS]", "né", " 😀")
    assert top.effect is None


def test_a_context_ends_with_its_text(examples):
    token = examples.token.copy()
    token[1, 0] = 5
    (top,) = replace(examples, token=token).for_neuron("L5.mlp[131]").groups["top"]
    assert (top.pieces, top.focus) == ((" \u2028<b>", "[SEP]"), 1)
    np.testing.assert_array_equal(top.values, [9, 10])


def test_statistics_of_a_neuron(examples):
    found = examples.for_neuron("L0.mlp[3]")
    assert (found.tokens, found.corpus, found.mean, found.variance) == (20, "née", 0.5, 1.0)
    assert (found.minimum, found.maximum, found.positive, found.sparsity) == (-1, 3, 0.5, 0.5)
    # 12 of 20 values lie in [-1, 1), 8 in [1, 3]
    np.testing.assert_allclose(found.percentile([-5, -1, 0, 1, 2, 3, 9]), [0, 0, 30, 60, 80, 100, 100])


def test_a_neuron_that_is_not_here(examples):
    for wrong in ("L0.mlp[131]", "L1.mlp[3]", "L0.residual[3]", "decoder.L0.mlp[3]"):
        with pytest.raises(IndexError, match="is not here: 2 neurons of site 'mlp'"):
            examples.for_neuron(wrong)
    assert [str(n) for n in examples.neurons] == ["L0.mlp[3]", "L5.mlp[131]"]


def test_tokens_of_a_kept_text_are_those_that_went_in(examples, made):
    tokens = examples.tokens_of(4)
    original = made["Attribution"]().tokens
    assert (tokens.texts, tokens.pieces, tokens.raw) == (original.texts, original.pieces, original.raw)
    for name in ("ids", "special", "shares", "word", "start", "end", "sentence_index"):
        np.testing.assert_array_equal(getattr(tokens, name), getattr(original, name))
    with pytest.raises(KeyError, match="text 3 of the corpus is not here"):
        examples.tokens_of(3)


def test_maximum_per_token(examples):
    assert examples.maximum_per_token("L5.mlp[131]") == [("nÃ©", 7.0, 3), ("Ł", 2.0, 1)]
    assert examples.maximum_per_token("L0.mlp[3]", k=1) == [("nÃ©", 3.0, 3)]
    with pytest.raises(ValueError, match="token_types=True"):
        replace(examples, type_maxima=None).maximum_per_token("L0.mlp[3]")


def test_columns(examples):
    columns = examples.to_columns()
    assert columns["group"] == ["top", "bottom", "top", "bottom"]
    assert columns["piece"] == [" 😀", "né", " \u2028<b>", "né"]
    assert columns["value"] == [3, -1, 7, 0]
    assert {len(column) for column in columns.values()} == {4}
    assert "effect" not in columns
    assert replace(examples, effects=np.ones((2, 3))).to_columns()["effect"] == [1, 1, 1, 1]


def test_arrays_that_do_not_fit_are_refused(examples):
    with pytest.raises(ValueError, match=r"value has the shape \(2, 4\), expected \(2, 3\)"):
        replace(examples, value=np.zeros((2, 4)))
    with pytest.raises(ValueError, match="an odd width, got 4"):
        replace(examples, contexts=np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match=r"edges has the shape \(2, 2\), expected \(2, 3\)"):
        replace(examples, edges=np.zeros((2, 2)))


def test_kept_texts_are_picked_and_joined():
    first = KeptTexts.of(words("one two", "three", "four five six"), [2, 5, 9])
    second = KeptTexts.of(words("seven", "three"), [3, 5])
    both = KeptTexts.joined([first, second])
    assert (both.index.tolist(), both.texts) == ([2, 3, 5, 9], ("one two", "seven", "three", "four five six"))
    assert both.pieces(9) == ("[CLS]", "four", " five", " six")
    assert both.tokens_of(3).raw == ("[CLS]", "seven")
    some = both.only(np.array([9, 2, 77]))
    assert (some.index.tolist(), some.texts) == ([2, 9], ("one two", "four five six"))
    assert set(some.strings) == {"[CLS]", "one", "two", "four", "five", "six"}
    assert some.pieces(9, 2, 4) == (" five", " six")
    assert len(both.only(np.array([], dtype=int))) == 0


def test_kept_texts_that_do_not_fit_are_refused():
    kept = KeptTexts.of(words("one two", "three"), [2, 5])
    for change, message in (
        ({"index": [5, 2]}, "ascending numbers"),
        ({"starts": [0, 3, 4]}, "starts needs 3"),
        ({"lengths": [1]}, "one entry per token"),
        ({"string_ids": [1], "strings": ("x",)}, "every id that occurs"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(kept, **change)
