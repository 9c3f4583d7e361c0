"""What is wrong with a file, where, and what was expected; raised, or counted and told at the end."""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Callable
from typing import Any

SHOWN_PLACES = 5
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


class MalformedFileError(ValueError):
    """A file that is not what its format says: `source`, `place` ("line 3"), `found` and `expected`."""

    def __init__(self, source: str, place: str, found: str, expected: str) -> None:
        super().__init__(source, place, found, expected)
        self.source, self.place, self.found, self.expected = source, place, found, expected

    def __str__(self) -> str:
        return f"{self.source}, {self.place}: found {self.found}, expected {self.expected}"


Bad = Callable[[MalformedFileError], None]


def raised(error: MalformedFileError) -> None:
    """The way of `errors="raise"`."""
    raise error


class Skipped:
    """The way of `errors="skip"`: what is malformed is left out and counted."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[MalformedFileError] = []

    def __call__(self, error: MalformedFileError) -> None:
        self.count += 1
        if len(self.first) < SHOWN_PLACES:
            self.first.append(error)

    def warn(self) -> None:
        """Tell how many were left out, and where the first of them are."""
        if self.count:
            places = "\n".join(f"  {error}" for error in self.first)
            more = "\n  ..." if self.count > len(self.first) else ""
            warnings.warn(f"{self.count} malformed records were left out:\n{places}{more}", stacklevel=2)


def shown(value: Any) -> str:
    """A value out of a file for a message: a short repr, so that nothing in it acts on a terminal."""
    return _SHORT.repr(value)
