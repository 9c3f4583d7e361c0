"""Rows of activations: one per token, or one per word by the offsets of its tokens, never by tokenising words again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from neurowidget.models.words import Span, word_spans
from neurowidget.results.tokens import Tokens

WordValue = Literal["first", "last", "mean"]
WORD_VALUES = ("first", "last", "mean")


@dataclass(frozen=True, eq=False)
class Rows:
    """Which tokens of each text make which rows.

    `members[text]` has, for each row of that text, the positions of its tokens within the text; None means one row per
    token, all of them. `missing` are the (text, word) pairs whose characters the tokenizer dropped: no token, a row of NaN.
    """

    tokens: Tokens
    members: tuple[tuple[tuple[int, ...], ...], ...] | None
    starts: tuple[int, ...]  # first row of each text, and the number of rows at the end
    missing: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return self.starts[-1]

    def of(self, text: int) -> slice:
        """The rows of one text."""
        return slice(self.starts[text], self.starts[text + 1])

    def write(self, text: int, values: np.ndarray, out: np.ndarray, how: WordValue = "first") -> None:
        """Write the rows of one text to `out` (row, neuron), from the values of its tokens (token, neuron)."""
        if self.members is None:
            out[:] = values
            return
        members = self.members[text]
        filled = [row for row, group in enumerate(members) if group]
        if len(filled) < len(members):
            out[:] = np.nan
        if how == "mean" and any(len(group) > 1 for group in members):
            counts = np.array([len(members[row]) for row in filled])
            picked = values[[token for group in members for token in group]].astype(np.float32)
            sums = np.add.reduceat(picked, np.cumsum(counts) - counts, axis=0)
            out[filled] = sums / counts[:, None].astype(np.float32)
        elif filled:
            end = -1 if how == "last" else 0
            out[filled] = values[[members[row][end] for row in filled]]


def token_rows(tokens: Tokens, special_tokens: Literal["keep", "drop"]) -> Rows:
    """One row per token, with or without the tokens that the tokenizer added."""
    counts = np.bincount(tokens.sentence_index, minlength=len(tokens.texts))
    if special_tokens == "keep" or not tokens.special.any():
        return Rows(tokens, None, _cumulated(counts))
    kept = ~tokens.special
    first = np.repeat(np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    within = np.arange(len(tokens)) - first
    members = tuple(
        tuple((int(position),) for position in within[kept & (tokens.sentence_index == text)])
        for text in range(len(tokens.texts))
    )
    return Rows(_picked(tokens, np.flatnonzero(kept)), members, _cumulated([len(rows) for rows in members]))


def word_rows(
    tokens: Tokens,
    specials: Sequence[str],
    special_tokens: Literal["keep", "drop"],
    how: WordValue,
    words: Sequence[Sequence[Span] | None] | None = None,
) -> Rows:
    """One row per word of each text, in order; kept special tokens are rows of their own.

    `specials` are the special tokens that are one word when a text has them written out; `words` are the words of each
    text where it brings its own. The row of a word comes from
    the tokens that touch its characters and begin in it; a word inside a token that began before it (`."` as one
    token) gets that token. The number of rows therefore depends on the texts alone.
    """
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    members: list[tuple[tuple[int, ...], ...]] = []
    missing: list[tuple[int, str]] = []
    done = 0
    for text_index, text in enumerate(tokens.texts):
        count = int(np.searchsorted(tokens.sentence_index, text_index, side="right")) - done
        given = None if words is None else words[text_index]
        spans = word_spans(text, specials) if given is None else list(given)
        word_of = tokens.word[done : done + count].tolist()
        token_spans = list(
            zip(tokens.start[done : done + count].tolist(), tokens.end[done : done + count].tolist(), strict=True)
        )
        groups = _members(spans, word_of, token_spans)
        order = _order(word_of, len(spans), special_tokens == "keep")
        pieces = _word_pieces(text, spans)
        rows: list[tuple[int, ...]] = []
        for word, token in order:
            group = groups[word] if word >= 0 else (token,)
            rows.append(group)
            if not group:
                missing.append((text_index, text[slice(*spans[word])]))
            columns["ids"].append(int(tokens.ids[done + group[-1 if how == "last" else 0]]) if group else -1)
            columns["raw"].append(" ".join(tokens.raw[done + i] for i in group))
            columns["pieces"].append(pieces[word] if word >= 0 else tokens.pieces[done + token])
            columns["special"].append(word < 0)
            columns["word"].append(word)
            start, end = spans[word] if word >= 0 else token_spans[token]
            columns["start"].append(start)
            columns["end"].append(end)
            columns["sentence_index"].append(text_index)
        members.append(tuple(rows))
        done += count
    arrays: dict[str, Any] = {
        name: np.asarray(values) for name, values in columns.items() if name not in ("raw", "pieces")
    }
    made = Tokens(
        texts=tokens.texts,
        pieces=tuple(columns["pieces"]),
        raw=tuple(columns["raw"]),
        shares=np.zeros(len(columns["ids"]), dtype=np.bool_),
        level="word",
        **arrays,
    )
    return Rows(made, tuple(members), _cumulated([len(rows) for rows in members]), tuple(missing))


_COLUMNS = ("ids", "raw", "pieces", "special", "word", "start", "end", "sentence_index")


def _cumulated(counts: Sequence[int] | np.ndarray) -> tuple[int, ...]:
    return (0, *np.cumsum(counts, dtype=np.int64).tolist())


def _picked(tokens: Tokens, rows: np.ndarray) -> Tokens:
    """Some tokens of all texts, in order."""
    names = ("ids", "special", "shares", "word", "start", "end", "sentence_index")
    arrays: dict[str, Any] = {name: getattr(tokens, name)[rows] for name in names}
    pieces, raw = (tuple(strings[i] for i in rows) for strings in (tokens.pieces, tokens.raw))
    return Tokens(texts=tokens.texts, pieces=pieces, raw=raw, level=tokens.level, **arrays)


def _members(spans: Sequence[Span], words: Sequence[int], tokens: Sequence[Span]) -> list[tuple[int, ...]]:
    """The tokens of each word of one text, from the word and the span of each token."""
    own: list[list[int]] = [[] for _ in spans]
    blank: list[int] = []
    for i, (word, (start, end)) in enumerate(zip(words, tokens, strict=True)):
        if word >= 0 and spans and start < spans[word][1] and end > spans[word][0]:
            own[word].append(i)
        elif word >= 0:
            blank.append(i)
    for (first, past), group in zip(spans, own, strict=True):
        if not group:
            group += [i for i, (start, end) in enumerate(tokens) if words[i] >= 0 and start < past and end > first]
        if not group and len(spans) == 1:
            group += blank
    return [tuple(group) for group in own]


def _order(words: Sequence[int], count: int, keep: bool) -> list[tuple[int, int]]:
    """The rows of one text as (word, -1) or (-1, special token): words in order, special tokens where they stand."""
    last = max((i for i, word in enumerate(words) if word >= 0), default=-1)
    order: list[tuple[int, int]] = []
    upcoming = 0
    for i, word in enumerate(words):
        if word < 0:
            order += [(-1, i)] if keep else []
            continue
        reached = count if i == last else word + 1
        order += [(new, -1) for new in range(upcoming, reached)]
        upcoming = max(upcoming, reached)
    return order + [(new, -1) for new in range(upcoming, count)]


def _word_pieces(text: str, spans: Sequence[Span]) -> list[str]:
    """Words with the white space before them, the rest of the text with the last: they join to the text."""
    cuts = [0, *(end for _, end in spans[:-1]), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)] if spans else []
