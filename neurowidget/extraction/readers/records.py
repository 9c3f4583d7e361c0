"""Records with named fields (of JSON lines, a table, a dataset) as sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurowidget.extraction.readers.malformed import Bad, MalformedFileError, shown
from neurowidget.extraction.sentence import UNNAMED, Sentence, joined_words, placed_words

LabelFields = str | Sequence[str] | Mapping[str, str] | None
_SURROGATE = re.compile("[\ud800-\udfff]")


class WrongRecordError(Exception):
    """What was found in a record, and what was expected."""


@dataclass(frozen=True)
class Fields:
    """Which fields of a record are what: its text, its words (a list of strings), its labels (name -> field).

    Without a text field a text is its words joined by spaces. `convert` has a function per label that makes its value.
    """

    text: str | None
    words: str | None
    labels: Mapping[str, str]
    convert: Mapping[str, Callable[[Any], Any]]
    optional: bool  # whether a record may lack the label fields

    @property
    def names(self) -> list[str]:
        """The fields that are read."""
        return list(dict.fromkeys(name for name in (self.text, self.words, *self.labels.values()) if name is not None))

    def present(self, columns: Iterable[str], source: str, place: str = "its columns") -> Fields:
        """The fields as they are in a table with these columns; raises MalformedFileError when one is not there."""
        there = list(columns)
        kept = {name: column for name, column in self.labels.items() if column in there or not self.optional}
        made = Fields(self.text, self.words, kept, self.convert, self.optional)
        for name in made.names:
            if name not in there:
                found = ", ".join(shown(column) for column in there[:20]) or "none"
                raise MalformedFileError(source, place, found, f"{name!r}; choose with text=, words= and labels=")
            if there.count(name) > 1:
                raise MalformedFileError(source, place, f"two columns {shown(name)}", "different names")
        return made


def fields(
    text: str | None,
    words: str | None,
    labels: LabelFields,
    convert: Mapping[str, Callable[[Any], Any]] | None = None,
) -> Fields:
    """The fields to read as a reader's options say; by default "text", and "label" where there is one."""
    if text is None and words is None:
        text = "text"
    if labels is None:
        named = {UNNAMED: UNNAMED}
    elif isinstance(labels, str):
        named = {labels: labels}
    else:
        named = dict(labels) if isinstance(labels, Mapping) else {name: name for name in labels}
    if unknown := set(convert or {}) - set(named):
        raise ValueError(f"convert={sorted(unknown)}: expected names of labels, which are {list(named)}")
    return Fields(text, words, named, convert or {}, optional=labels is None)


def sentence_of(record: Mapping[str, Any], fields: Fields) -> Sentence:
    """One record as a sentence; raises WrongRecordError(found, expected)."""
    for name in fields.names:
        if name not in record and not (fields.optional and name == UNNAMED):
            there = ", ".join(shown(key) for key in list(record)[:20]) or "none"
            raise WrongRecordError(f"the fields {there}", f"{name!r}; choose with text=, words= and labels=")
    text, spans = None, None
    if fields.text is not None:
        text = _checked_text(record[fields.text], fields.text)
    if fields.words is not None:
        words = _python(record[fields.words])
        if not isinstance(words, list | tuple) or not words or not all(isinstance(w, str) and w.strip() for w in words):
            raise WrongRecordError(f"{shown(words)} in {fields.words!r}", "a list of words as strings")
        if text is None:
            joined, spans = joined_words(words)
            text = _checked_text(joined, fields.words)
        else:
            try:
                spans = placed_words(text, words)
            except ValueError as error:
                raise WrongRecordError(str(error), f"the words in {fields.words!r} to be the text") from None
    made = Sentence(text or "", spans)
    labels = {name: _label(name, record.get(field), made, fields) for name, field in fields.labels.items()}
    if fields.optional:
        labels = {name: value for name, value in labels.items() if value is not None}
    return Sentence(made.text, made.words, labels)


def _checked_text(text: Any, name: str) -> str:
    if not isinstance(text, str):
        raise WrongRecordError(f"{shown(text)} in {name!r}", "a text as a string")
    if not text.strip():
        raise WrongRecordError(f"no text in {name!r}", "a text that is not empty")
    if lone := _SURROGATE.search(text):
        raise WrongRecordError(f"half of a character, {lone.group()!a}, in {name!r}", "Unicode text")
    return text


def _label(name: str, value: Any, sentence: Sentence, fields: Fields) -> Any:
    """A label as it is kept: a plain value, or a tuple of one per word."""
    field, value = fields.labels[name], _python(value)
    if isinstance(value, list | tuple):
        if len(value) != len(sentence.spans):
            raise WrongRecordError(
                f"{len(value)} labels in {field!r} for {len(sentence.spans)} words", "one label per word"
            )
        return tuple(_plain(one, name, fields) for one in value)
    return _plain(value, name, fields)


def _python(value: Any) -> Any:
    """Arrays and numbers of numpy as lists and numbers of Python."""
    return value.tolist() if hasattr(value, "tolist") else value


def _plain(value: Any, name: str, fields: Fields) -> Any:
    value = _python(value)
    if value is None or (isinstance(value, float) and value != value):
        return None
    if not isinstance(value, str | int | float | bool):
        raise WrongRecordError(f"{shown(value)} in {fields.labels[name]!r}", "a string or a number as label")
    if name in fields.convert:
        try:
            return fields.convert[name](value)
        except (ValueError, TypeError, KeyError) as error:
            wanted = getattr(fields.convert[name], "__name__", "convert")
            raise WrongRecordError(
                f"{shown(value)} in {fields.labels[name]!r}", f"what {wanted} takes ({error})"
            ) from None
    return value


def record_sentence(record: Mapping[str, Any], fields: Fields, source: str, place: str, bad: Bad) -> Sentence | None:
    """One record as a sentence, or None when it is malformed and went to `bad`."""
    try:
        return sentence_of(record, fields)
    except WrongRecordError as error:
        bad(MalformedFileError(source, place, *map(str, error.args)))
        return None
