"""Rows of a treebank as the words of a text: multiword tokens, empty nodes, white space, labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurowidget.extraction.readers.malformed import shown
from neurowidget.extraction.sentence import placed_words
from neurowidget.models.words import Span


class WrongLineError(Exception):
    """The number of a line, what was found in it and what was expected."""


@dataclass(frozen=True)
class Unit:
    """A word as it stands in the text, and the rows that describe it: more than one for a fused multiword token."""

    form: str
    rows: tuple[Mapping[str, Any], ...]
    space_after: bool

    def value(self, name: str) -> str | None:
        """A column or a feature of the word; of a fused token what its rows have, joined by "+"."""
        found = [row.get(name) if name in row else (row.get("feats") or {}).get(name) for row in self.rows]
        return "+".join(str(value) for value in found if value not in (None, "_")) or None

    @property
    def features(self) -> list[str]:
        """The names of the features that a row of this word has."""
        return [name for row in self.rows for name in row.get("feats") or {}]


def units_of(rows: Iterable[Mapping[str, Any]], lines: Sequence[int]) -> list[Unit]:
    """The words of a sentence from its parsed rows, which stand in these lines; raises WrongLineError."""
    units: list[Unit] = []
    parts: list[Mapping[str, Any]] = []
    whole: Mapping[str, Any] | None = None  # the multiword token whose parts are being read
    upcoming, line = 1, lines[0]
    for row, line in zip(rows, lines, strict=True):
        match row["id"]:
            case int(number) if number == upcoming:
                upcoming += 1
                if whole is None:
                    units.append(Unit(row["form"], (row,), _space_after(row)))
                    continue
                parts.append(row)
                if number == whole["id"][2]:
                    units += _multiword(whole, parts)
                    whole, parts = None, []
            case (int(first), "-", int()) if whole is None and first == upcoming:
                whole = row
            case (int(), ".", int()):
                continue
            case _:
                raise WrongLineError(line, f"the id {_id(row['id'])}", f"the id {upcoming}")
    if whole is not None:
        raise WrongLineError(line, f"the end of the sentence in the token {_id(whole['id'])}", f"the id {upcoming}")
    if not units:
        raise WrongLineError(line, "a sentence of empty nodes", "a word")
    return units


def _multiword(whole: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> list[Unit]:
    if "".join(part["form"] for part in parts) != whole["form"]:
        return [Unit(whole["form"], tuple(parts), _space_after(whole))]
    last = len(parts) - 1
    return [Unit(part["form"], (part,), i == last and _space_after(whole)) for i, part in enumerate(parts)]


def _space_after(row: Mapping[str, Any]) -> bool:
    return (row.get("misc") or {}).get("SpaceAfter") != "No"


def _id(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, tuple) else str(value)


def text_of(given: str | None, units: Sequence[Unit], line: int) -> tuple[str, tuple[Span, ...]]:
    """The text of a sentence and its words in it: the `# text` that was given, or the words with the spaces after them."""
    forms = [unit.form for unit in units]
    if given is None:
        given = "".join(unit.form + " " * unit.space_after for unit in units).rstrip()
    try:
        return given, placed_words(given, forms)
    except ValueError as error:
        raise WrongLineError(line, str(error), f"the words of the sentence to be its # text {shown(given)}") from None
