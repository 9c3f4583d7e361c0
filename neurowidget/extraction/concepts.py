"""Concepts by rule: which words of a text are a year, a month, in capitals."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from neurowidget.extraction.sentence import Sentence

Within = Literal["word", "text"]
Marks = Callable[[Sentence], tuple[bool, ...]]


def with_concepts(sentences: Iterable[Sentence], marks: Mapping[str, Marks]) -> Iterator[Sentence]:
    """The sentences with one more label per concept, True or False for each word; `marks` are from `marks_of`.

    Raises ValueError where a sentence has a label of that name. A concept that no word has is told in a warning at the end.
    """
    unseen = dict.fromkeys(marks)
    some = False
    for sentence in sentences:
        if taken := [name for name in marks if name in sentence.labels]:
            raise ValueError(f"{sentence.text[:40]!r} already has labels {taken[0]!r}: give the concept another name")
        found = {name: mark(sentence) for name, mark in marks.items()}
        for name in [name for name in unseen if any(found[name])]:
            del unseen[name]
        some = True
        yield replace(sentence, labels={**sentence.labels, **found})
    if some and unseen:
        warnings.warn(f"no word of the corpus is {', '.join(map(repr, unseen))}", stacklevel=2)


def marks_of(concepts: Mapping[str, Any], ignore_case: bool = False, within: Within = "word") -> dict[str, Marks]:
    """The rules as functions of a sentence; raises ValueError or TypeError for a rule that is none."""
    if within not in ("word", "text"):
        raise ValueError(f"within={within!r}: expected 'word' or 'text'")
    if not isinstance(concepts, Mapping) or not concepts:
        raise TypeError("concepts: expected a mapping from names to rules, such as {'month': {'May', 'June'}}")
    return {str(name): _marks(str(name), rule, ignore_case, within) for name, rule in concepts.items()}


def _marks(name: str, rule: Any, ignore_case: bool, within: Within) -> Marks:
    if isinstance(rule, re.Pattern) and isinstance(rule.pattern, str):
        flags = rule.flags | (re.IGNORECASE if ignore_case else 0)
        pattern = re.compile(rule.pattern, flags)
        if within == "text":
            return lambda sentence: _covered(sentence, pattern)
        return _each_word(name, lambda word: pattern.fullmatch(word) is not None)
    if isinstance(rule, set | frozenset | list | tuple):
        if not rule or not all(isinstance(word, str) for word in rule):
            raise ValueError(f"concept {name!r}: expected one or more words as strings, got {str(rule)[:60]}")
        words = frozenset(word.casefold() if ignore_case else word for word in rule)
        return _each_word(name, lambda word: (word.casefold() if ignore_case else word) in words)
    if callable(rule):
        return _each_word(name, rule)
    shown = f"{rule!r}"[:60]
    raise TypeError(
        f"concept {name!r} is {shown}: expected a compiled expression (re.compile({shown}) of a string), a set of words,"
        " or a function of a word"
    )


def _each_word(name: str, rule: Callable[[str], Any]) -> Marks:
    def marks(sentence: Sentence) -> tuple[bool, ...]:
        found = []
        for word in sentence.word_texts:
            try:
                found.append(bool(rule(word)))
            except Exception as error:
                error.add_note(f"in the rule of the concept {name!r}, for the word {word!r} of {sentence.text[:40]!r}")
                raise
        return tuple(found)

    return marks


def _covered(sentence: Sentence, pattern: re.Pattern[str]) -> tuple[bool, ...]:
    """The words that lie wholly in one match of the expression in the text."""
    matches = [match.span() for match in pattern.finditer(sentence.text)]
    return tuple(any(first <= start and end <= past for first, past in matches) for start, end in sentence.spans)
