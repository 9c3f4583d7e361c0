"""Words of a text by character offsets, a function of the text alone: two tokenizers see the same words.

A word is a maximal run of characters that are not white space, split further:

* punctuation and symbols are words of their own; a run of one such character (`...`, `!!!`) is one word;
* an apostrophe, hyphen or middle dot between letters stays inside the word (`don't`, `well-known`), a point or
  comma between digits stays inside the number (`1,000.5`), an underscore always;
* each Han ideograph is a word; other scripts without spaces (Thai, kana) stay whole runs;
* combining marks, joiners and modifiers belong to what they follow, so an emoji sequence or a flag is one word;
* a special token that is written out in the text (`[MASK]`, `<|im_start|>`) is one word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import numpy as np

Span = tuple[int, int]

_IN_WORDS = frozenset("'-’ʼ＇‐‑·‧·־׳״")
_IN_NUMBERS = frozenset(".,٫٬")
_HAN = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
_JOINER = "\u200d"


@cache
def kind_of(character: str) -> str:
    """What a character does in a word: "space", "extend", "han", "letter", "flag" or "mark"."""
    category, code = unicodedata.category(character), ord(character)
    if character.isspace() or category in ("Zs", "Zl", "Zp"):
        return "space"
    if category in ("Mn", "Me", "Mc", "Cf") or 0x1F3FB <= code <= 0x1F3FF:
        return "extend"
    if any(first <= code <= last for first, last in _HAN):
        return "han"
    if 0x1F1E6 <= code <= 0x1F1FF:
        return "flag"
    return "mark" if category[0] in "PS" and category != "Pc" else "letter"


def word_spans(text: str, specials: Sequence[str] = ()) -> list[Span]:
    """The words of `text` as (start, end), in order; `specials` are strings that are one word wherever they occur.

    A text of white space alone is one word, so that its tokens have one to belong to; an empty text has none.
    """
    spans: list[Span] = []
    done = 0
    if found := [string for string in specials if string and string in text]:
        pattern = "|".join(map(re.escape, sorted(found, key=len, reverse=True)))
        for match in re.finditer(pattern, text):
            spans += _runs(text, done, match.start())
            spans.append(match.span())
            done = match.end()
    spans += _runs(text, done, len(text))
    return spans or ([(0, len(text))] if text else [])


def _runs(text: str, start: int, end: int) -> Iterator[Span]:
    """The words between two positions by the rules at the top."""
    at = start
    while at < end:
        if kind_of(text[at]) == "space":
            at += 1
            continue
        first, base = at, -1  # base: the last character of the word that is no mark, joiner or modifier
        while at < end and (kind := kind_of(text[at])) != "space":
            if kind != "extend":
                if base >= 0 and not _joins(text, base, at, end):
                    break
                base = at
                if kind == "flag":
                    at = _after_flag(text, at, end)
                    continue
            at += 1
        yield first, at


def _joins(text: str, base: int, at: int, end: int) -> bool:
    """Whether the character at `at` goes on with the word whose last base character is at `base`."""
    before, here = kind_of(text[base]), kind_of(text[at])
    if before == "letter" and here == "letter":
        return True
    if text[at - 1] == _JOINER and here == "mark":
        return True
    if before == here == "mark" and text[base] == text[at]:
        return at == base + 1
    after = at + 1
    while after < end and kind_of(text[after]) == "extend":
        after += 1
    if before == "letter" and here == "mark" and after < end:
        return _is_inside(text[base], text[at], text[after])
    return before == "mark" and here == "letter" and base > 0 and _closes(text, base, at)


def _closes(text: str, base: int, at: int) -> bool:
    """Whether the mark at `base` was kept inside a word that `text[at]` continues."""
    earlier = base - 1
    while earlier >= 0 and kind_of(text[earlier]) == "extend":
        earlier -= 1
    return earlier >= 0 and _is_inside(text[earlier], text[base], text[at])


def _is_inside(before: str, mark: str, after: str) -> bool:
    if kind_of(before) != "letter" or kind_of(after) != "letter":
        return False
    if mark in _IN_NUMBERS:
        return before.isdigit() and after.isdigit()
    return mark in _IN_WORDS and before.isalnum() and after.isalnum()


def _after_flag(text: str, at: int, end: int) -> int:
    """The position after a flag: two regional indicators, or one that stands alone."""
    return at + 2 if at + 1 < end and kind_of(text[at + 1]) == "flag" else at + 1


def words_of_tokens(spans: Sequence[Span], starts: Iterable[int], ends: Iterable[int]) -> np.ndarray:
    """The word of each token span, int32 (token,): the first word that the span touches.

    A token of white space alone belongs to the word after it, at the end of the text to the last word.
    """
    word_ends = np.asarray([end for _, end in spans], dtype=np.int64)
    found = np.searchsorted(word_ends, np.asarray(list(starts), dtype=np.int64), side="right")
    return np.minimum(found, max(len(spans) - 1, 0)).astype(np.int32)
