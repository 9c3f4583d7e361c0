"""Words of a text, by offsets alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurowidget.models.words import word_spans, words_of_tokens


def words(text: str, *specials: str) -> list[str]:
    return [text[start:end] for start, end in word_spans(text, specials)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the cat sat", ["the", "cat", "sat"]),
        ("  two\tspaces\u2028lines\n", ["two", "spaces", "lines"]),
        ("Don't stop: it's well-known.", ["Don't", "stop", ":", "it's", "well-known", "."]),
        ("he said 'yes' - twice", ["he", "said", "'", "yes", "'", "-", "twice"]),
        ("wait... what?!!", ["wait", "...", "what", "?", "!!"]),
        ("1,000.5 or 3.14, ok", ["1,000.5", "or", "3.14", ",", "ok"]),
        ("e.g. U.S.", ["e", ".", "g", ".", "U", ".", "S", "."]),
        ("snake_case(x)", ["snake_case", "(", "x", ")"]),
        ("<script>alert()</script>", ["<", "script", ">", "alert", "(", ")", "<", "/", "script", ">"]),
        ("我爱 NLP模型", ["我", "爱", "NLP", "模", "型"]),
        ("👍🏽 👩‍👩‍👧❤️🇫🇷🇩🇪😀😀", ["👍🏽", "👩‍👩‍👧", "❤️", "🇫🇷", "🇩🇪", "😀😀"]),
        ("cafe\u0301s l'e\u0301te\u0301", ["cafe\u0301s", "l'e\u0301te\u0301"]),
        ("שלום עולם צה״ל בית־ספר", ["שלום", "עולם", "צה״ל", "בית־ספר"]),
        ("مرحبا، كيف حَالُكَ؟", ["مرحبا", "،", "كيف", "حَالُكَ", "؟"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("a \x00 b", ["a", "\x00", "b"]),
        (" \n ", [" \n "]),
        ("", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


def test_a_special_token_in_the_text_is_one_word():
    assert words("the [MASK], sat", "[MASK]") == ["the", "[MASK]", ",", "sat"]
    assert words("<|im_start|>user", "<|im_start|>", "<|im_end|>") == ["<|im_start|>", "user"]
    assert words("<s><s>>", "<s>", "<s>>") == ["<s>", "<s>>"]


@given(st.text())
def test_words_tile_all_but_white_space(text):
    spans = word_spans(text)
    done = 0
    for start, end in spans:
        assert done <= start < end
        assert not text[done:start].strip() or not text.strip()
        done = end
    assert not text[done:].strip()


def test_tokens_belong_to_the_first_word_they_touch():
    spans = [(0, 2), (3, 4), (4, 6)]  # "ab c!!  "
    assert words_of_tokens(spans, [0, 1, 2, 2, 3, 6], [1, 3, 3, 6, 5, 8]).tolist() == [0, 0, 1, 1, 1, 2]
