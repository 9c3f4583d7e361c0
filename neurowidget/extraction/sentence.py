"""One text of a corpus with its words and labels, and how words and texts are laid on each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from neurowidget.models.words import Span, word_spans

UNNAMED = "label"


@dataclass(frozen=True)
class Sentence:
    """One text; `words` are character spans in order (None: by the rules of `models.words`).

    `labels[name]` is one value for the text, or a tuple with one value per word (None: this word has no label).
    Raises ValueError for spans outside the text or out of order, and for a wrong number of labels.
    """

    text: str
    words: tuple[Span, ...] | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"the text is a {type(self.text).__name__}, expected a string: {self.text!r}")
        if self.words is not None:
            object.__setattr__(self, "words", tuple((int(start), int(end)) for start, end in self.words))
            last = 0
            for start, end in self.words or ():
                if not last <= start < end <= len(self.text):
                    raise ValueError(
                        f"word ({start}, {end}) of {self.text[:40]!r}: expected spans in order, without overlap, within"
                        f" the {len(self.text)} characters of the text"
                    )
                last = end
        labels = {name: tuple(value) if isinstance(value, list) else value for name, value in self.labels.items()}
        object.__setattr__(self, "labels", labels)
        for name, value in labels.items():
            if isinstance(value, tuple) and len(value) != len(self.spans):
                raise ValueError(
                    f"{len(value)} labels {name!r} for the {len(self.spans)} words of {self.text[:40]!r}: expected one"
                    " label per word, or one that is no list for the whole text"
                )

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """The words as character spans, by rule where none were given."""
        return tuple(word_spans(self.text)) if self.words is None else self.words

    @property
    def word_texts(self) -> list[str]:
        """The words as strings."""
        return [self.text[start:end] for start, end in self.spans]


def hash_of(sentences: Iterable[Sentence]) -> str:
    """sha256 over texts, given words and labels, in order."""
    digest = hashlib.sha256()
    for sentence in sentences:
        entry = [sentence.text, sentence.words, sorted(sentence.labels.items())]
        digest.update(json.dumps(entry, default=repr).encode() + b"\n")
    return digest.hexdigest()


def joined_words(words: Sequence[str], joined_by: str = " ") -> tuple[str, tuple[Span, ...]]:
    """The text of some words, and where each of them is in it."""
    spans, at = [], 0
    for word in words:
        spans.append((at, at + len(word)))
        at += len(word) + len(joined_by)
    return joined_by.join(words), tuple(spans)


def placed_words(text: str, words: Iterable[str]) -> tuple[Span, ...]:
    """Where words that were given as strings are in their text, in order, with nothing but white space between them.

    Raises ValueError with the first word that is not there.
    """
    spans, at = [], 0
    for word in words:
        while not text.startswith(word, at) and at < len(text) and text[at].isspace():
            at += 1
        if not word or not text.startswith(word, at):
            raise ValueError(f"{text[at : at + 30]!r} at character {at} of the text, where the next word is {word!r}")
        spans.append((at, at + len(word)))
        at += len(word)
    if rest := text[at:].strip():
        raise ValueError(f"{rest[:30]!r} after the last word of the text")
    return tuple(spans)
