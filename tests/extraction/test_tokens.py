"""Words as rows: as many as the text has, each from its own tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tokenizers import bert_like, gpt2_like, llama_like, marian_like, roberta_like

from neurowidget.extraction.tokens import token_rows, word_rows
from neurowidget.models.batching import Encoded
from neurowidget.models.display import special_strings, tokens_of_encoded
from neurowidget.models.words import word_spans
from neurowidget.results.tokens import Tokens

TOKENIZERS = {f.__name__: f for f in (bert_like, roberta_like, gpt2_like, llama_like, marian_like)}
TEXTS = [
    "The plot was not good.",
    "  two  spaces\n\nand a line ",
    "unbelievable naïve café — 你好 🙂 end",
    'she said "no..." (twice), don\'t ask',
    "word",
]


def tokens_for(name: str, texts: list[str]) -> Tokens:
    tokenizer = TOKENIZERS[name]()
    rows = []
    for text in texts:
        got = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
        special = [bool(mark) for mark in got["special_tokens_mask"]]
        rows.append(Encoded(text, list(got["input_ids"]), special, None, tuple(map(tuple, got["offset_mapping"]))))
    return tokens_of_encoded(tokenizer, rows)


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("how", ["first", "last", "mean"])
def test_rows_are_words(name, how):
    tokens = tokens_for(name, TEXTS)
    specials = special_strings(TOKENIZERS[name]())
    rows = word_rows(tokens, specials, "drop", how)
    words = [text[slice(*span)] for text in TEXTS for span in word_spans(text, specials)]
    assert [rows.tokens.texts[s][a:b] for s, a, b in _spans(rows.tokens)] == words
    assert rows.missing == ()
    for index, text in enumerate(TEXTS):
        assert "".join(rows.tokens.pieces[rows.of(index)]) == text
        assert rows.tokens.word[rows.of(index)].tolist() == list(range(len(word_spans(text, specials))))

    # One value per token: its own position. What comes out must be tokens that touch the word.
    for index in range(len(TEXTS)):
        here = tokens.sentence(index)
        values = np.arange(len(here), dtype=np.float32)[:, None]
        out = np.empty((rows.of(index).stop - rows.of(index).start, 1))
        rows.write(index, values, out, how)
        for (_, start, end), value in zip(_spans(rows.tokens.sentence(index)), out[:, 0].tolist(), strict=True):
            touching = [
                i for i in range(len(here)) if here.word[i] >= 0 and here.start[i] < end and here.end[i] > start
            ]
            own = [i for i in touching if here.word[i] == here.word[touching[-1]]] or touching
            expected = {"first": own[0], "last": own[-1], "mean": float(np.mean(own))}[how]
            assert value == pytest.approx(expected)


def _spans(tokens: Tokens) -> list[tuple[int, int, int]]:
    return list(zip(tokens.sentence_index.tolist(), tokens.start.tolist(), tokens.end.tolist(), strict=True))


@settings(max_examples=100, deadline=None)
@given(text=st.text(min_size=1, max_size=30), name=st.sampled_from(sorted(TOKENIZERS)))
def test_the_number_of_rows_depends_on_the_text_alone(text, name):
    tokens = tokens_for(name, [text, "the end"])
    specials = special_strings(TOKENIZERS[name]())
    rows = word_rows(tokens, specials, "drop", "first")
    assert rows.starts[1] == len(word_spans(text, specials))
    assert rows.tokens.pieces[rows.starts[1] :] == ("the", " end")
    assert "".join(rows.tokens.pieces[rows.of(0)]) == text
    assert not rows.tokens.special.any()


def test_special_tokens_stand_where_they_stood():
    tokens = tokens_for("bert_like", ["good film", "old"])
    kept = word_rows(tokens, (), "keep", "first")
    assert kept.tokens.pieces == ("[CLS]", "good", " film", "[SEP]", "[CLS]", "old", "[SEP]")
    assert kept.tokens.special.tolist() == [True, False, False, True, True, False, True]
    assert kept.tokens.word.tolist() == [-1, 0, 1, -1, -1, 0, -1]
    assert kept.tokens.level == "word"
    out = np.empty((4, 1))
    kept.write(0, np.arange(4.0)[:, None], out)
    assert out[:, 0].tolist() == [0, 1, 2, 3]


def test_dropped_words_have_no_token_and_nan():
    tokens = tokens_for("bert_like", ["good \x00\x01 film \x02"])
    rows = word_rows(tokens, (), "keep", "mean")
    assert rows.missing == ((0, "\x00\x01"), (0, "\x02"))
    assert rows.tokens.ids[2] == rows.tokens.ids[4] == -1
    assert rows.tokens.raw[2] == ""
    assert rows.tokens.word.tolist() == [-1, 0, 1, 2, 3, -1]
    out = np.empty((6, 2))
    rows.write(0, np.ones((4, 2)), out, "mean")
    assert np.isnan(out).all(axis=1).tolist() == [False, False, True, False, True, False]


def test_a_word_inside_a_token_gets_that_token():
    """A tokenizer that joins a point and a quotation mark: both are words, both have the value of the token."""
    tokens = Tokens(
        texts=('so." x',), ids=np.array([5, 6, 7]), pieces=("so", '."', " x"), raw=("so", '."', "x"),
        special=np.zeros(3), shares=np.zeros(3), word=np.array([0, 1, 3]), start=np.array([0, 2, 5]),
        end=np.array([2, 4, 6]), sentence_index=np.zeros(3),
    )  # fmt: skip
    rows = word_rows(tokens, (), "drop", "last")
    assert rows.members == (((0,), (1,), (1,), (2,)),)
    assert rows.tokens.pieces == ("so", ".", '"', " x")


def test_dropping_special_tokens_keeps_the_rest():
    tokens = tokens_for("bert_like", TEXTS)
    rows = token_rows(tokens, "drop")
    assert len(rows) == int((~tokens.special).sum())
    assert rows.tokens.ids.tolist() == tokens.ids[~tokens.special].tolist()
    whole = token_rows(tokens, "keep")
    assert whole.tokens is tokens
    assert whole.members is None
    for index in range(len(TEXTS)):
        here = tokens.sentence(index)
        out = np.empty((rows.of(index).stop - rows.of(index).start, 1))
        rows.write(index, here.ids.astype(np.float32)[:, None], out)
        assert out[:, 0].tolist() == here.ids[~here.special].tolist()
