"""Ready ids as text: what they decode to, and where each of them lies in it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from neurowidget.models.words import Span

_UNFINISHED = "\ufffd"  # what a decoder writes for bytes that are not (yet) a character
_MARKERS = "▁ĠĊ \t\n"
_FRESH_START, _CONTEXT = 64, 8  # tokens decoded together before decoding starts anew, and how many of them it repeats


def decode(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of ids, special tokens and spaces before punctuation kept."""
    if not len(ids):
        return ""
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def decoded_spans(tokenizer: Any, ids: Sequence[int]) -> tuple[str, list[Span]]:
    """The decoded text of ids and the span of each token in it.

    Spans come from decoding one more token at a time. Tokens that hold bytes of one character all have its span.
    A decoder that changes what it wrote before (WordPiece: `n ' t` becomes `n't`) is matched piece by piece instead.
    """
    text = decode(tokenizer, ids)
    spans = _growing_spans(tokenizer, list(ids), text)
    return text, spans if spans is not None else matched_spans(text, [decode(tokenizer, [i]) for i in ids])


def _growing_spans(tokenizer: Any, ids: list[int], text: str) -> list[Span] | None:
    """Spans by decoding prefixes, or None when the prefixes do not grow into `text`."""
    spans: list[Span] = []
    done = 0  # characters of `text` that are spoken for
    unfinished: int | None = None  # the first token of a character whose bytes are not complete
    base, overlap, before = 0, "", 0  # decoding starts at token `base`; `overlap` is written before position `before`
    for last in range(len(ids)):
        grown = decode(tokenizer, ids[base : last + 1])
        if not grown.startswith(overlap):
            return None
        new = grown[len(overlap) :]
        whole = before + len(new if last + 1 == len(ids) else new.rstrip(_UNFINISHED))
        if whole < done or text[before:whole] != new[: whole - before]:
            return None
        spans.append((done, whole))
        if whole > done and unfinished is not None:
            for token in range(unfinished, last):
                spans[token] = (spans[token][0], done + 1)
            unfinished = None
        if whole < before + len(new):
            unfinished = last if unfinished is None else unfinished
        elif last - base >= _FRESH_START:  # else long texts take time quadratic in their length
            base = last - _CONTEXT
            overlap, before = decode(tokenizer, ids[base : last + 1]), whole
        done = whole
    return spans


def matched_spans(text: str, surfaces: Sequence[str]) -> list[Span]:
    """The span of each token, by finding its surface (`##ing`, `▁the`) in the text, one after the other.

    Case, accents and compatibility forms are ignored. A surface that is not found near gets an empty span.
    """
    plain, where = _folded(text)
    spans: list[Span] = []
    at = 0
    for surface in surfaces:
        wanted = _folded(surface.strip(_MARKERS).removeprefix("##").removesuffix("</w>").removesuffix("@@"))[0]
        found = plain.find(wanted, at, at + len(wanted) + 40) if wanted else -1
        if found < 0:
            here = where[at] if at < len(where) else len(text)
            spans.append((here, here))
            continue
        at = found + len(wanted)
        spans.append((where[found], where[at - 1] + 1))
    return spans


def _folded(text: str) -> tuple[str, list[int]]:
    """`text` without case, accents and compatibility forms, and for each of its characters the position it came from."""
    plain: list[str] = []
    where: list[int] = []
    for position, character in enumerate(text):
        for part in unicodedata.normalize("NFKD", character).casefold():
            if not unicodedata.combining(part):
                plain.append(part)
                where.append(position)
    return "".join(plain), where
