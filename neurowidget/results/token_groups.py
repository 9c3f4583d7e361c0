"""Tokens joined to words, and words to phrases: groups of neighbours, whose pieces still join to the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from neurowidget.results.tokens import Tokens

Groups = Literal["words"] | Sequence[Sequence[int]]


def group_numbers(tokens: Tokens, groups: Groups | None = None) -> np.ndarray:
    """The number of the group that each token of one text is in, int64 (token,), counting from 0 along the text.

    `groups` is "words", or lists of neighbouring positions such as [[1, 2], [4, 5, 6]]; a token that is named nowhere,
    or is special or in no word, is a group of its own. Raises ValueError for positions that are not neighbours, outside
    the text, or named twice.
    """
    count = len(tokens)
    if groups is None:
        return np.arange(count)
    if isinstance(groups, str):
        if groups != "words":
            raise ValueError(f"expected 'words' or lists of positions, got {groups!r}")
        same = (tokens.word[1:] == tokens.word[:-1]) & (tokens.word[1:] >= 0)
        return np.concatenate([[0], np.cumsum(~same)]).astype(np.int64) if count else np.zeros(0, np.int64)
    joined = np.zeros(count, dtype=bool)  # whether a token belongs to the group of the one before it
    named: set[int] = set()
    for group in groups:
        places = [int(place) for place in group]
        if not places or places != list(range(places[0], places[0] + len(places))):
            raise ValueError(f"a group is a list of neighbouring positions such as [3, 4, 5], got {places}")
        if places[0] < 0 or places[-1] >= count:
            raise ValueError(f"positions {places} are outside the text, which has {count} tokens")
        if named & set(places):
            raise ValueError(f"position {min(named & set(places))} is in two groups")
        named |= set(places)
        joined[places[1:]] = True
    return np.cumsum(~joined) - 1


def merged(tokens: Tokens, numbers: np.ndarray) -> Tokens:
    """The tokens of one text with those of a group joined: the first id, all pieces, from the first start to the last end."""
    first = np.flatnonzero(np.diff(numbers, prepend=-1))
    last = np.append(first[1:], len(numbers)) - 1
    spans = [range(start, stop + 1) for start, stop in zip(first, last, strict=True)]
    return Tokens(
        texts=tokens.texts,
        ids=tokens.ids[first],
        pieces=tuple("".join(tokens.pieces[i] for i in span) for span in spans),
        raw=tuple(" ".join(tokens.raw[i] for i in span) for span in spans),
        special=tokens.special[first],
        shares=tokens.shares[first],
        word=tokens.word[first],
        start=tokens.start[first],
        end=tokens.end[last],
        sentence_index=tokens.sentence_index[first],
        level="word",
    )
