"""Comma-separated tables (RFC 4180: quoted fields may hold commas, quotes and line ends), one text per row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from csv import QUOTE_MINIMAL, QUOTE_NONE, Error, field_size_limit, reader
from pathlib import Path
from typing import Any

from neurowidget.extraction.readers.lines import LONGEST, Line, tried_lines
from neurowidget.extraction.readers.malformed import Bad, MalformedFileError, shown
from neurowidget.extraction.readers.records import LabelFields, fields, record_sentence
from neurowidget.extraction.sentence import Sentence


def csv(
    path: Path,
    bad: Bad,
    text: str | None = None,
    labels: LabelFields = None,
    convert: Mapping[str, Callable[[Any], Any]] | None = None,
    delimiter: str = ",",
    quoted: bool = True,
    header: list[str] | None = None,
    encoding: str = "utf-8",
    longest: int = LONGEST,
) -> Iterator[Sentence]:
    """The column `text` (default "text") and the columns `labels` (default "label" where there is one): whole-text labels.

    The first row names the columns, or `header` does. Labels are strings, an empty one is None; `convert={"rating": float}`
    makes them something else. `quoted=False` takes quotes as characters.
    """
    records = _records(path, delimiter, quoted, encoding, longest)
    columns, origin = header, "its columns"
    if columns is None:
        first = next(records, None)
        if first is None:
            return
        if isinstance(first, MalformedFileError):
            raise first
        columns, origin = first[1], f"line {first[0]}"
    wanted = fields(text, None, labels, convert).present(columns, str(path), origin)
    label_columns = set(wanted.labels.values())
    for record in records:
        if isinstance(record, MalformedFileError):
            bad(record)
            continue
        number, row = record
        place = f"line {number}"
        if len(row) != len(columns):
            expected = f"{len(columns)} ({', '.join(map(shown, columns[:10]))})"
            bad(MalformedFileError(str(path), place, f"{len(row)} fields", expected))
            continue
        values: dict[str, str | None] = dict(zip(columns, row, strict=True))
        values |= {name: values[name] or None for name in label_columns if name != wanted.text}
        if sentence := record_sentence(values, wanted, str(path), place, bad):
            yield sentence


def _records(
    path: Path, delimiter: str, quoted: bool, encoding: str, longest: int
) -> Iterator[tuple[int, list[str]] | MalformedFileError]:
    """Each row with the number of its first line, or what is wrong with it."""
    feed = _Feed(path, tried_lines(path, encoding, longest), longest)
    rows = reader(feed, delimiter=delimiter, quoting=QUOTE_MINIMAL if quoted else QUOTE_NONE, strict=True)
    while True:
        feed.next_record()
        before = field_size_limit(longest)  # of the whole process: put back after each row
        try:
            row = next(rows)
        except StopIteration:
            return
        except MalformedFileError as error:
            yield error
            continue
        except Error as error:
            found = f"{shown(feed.last)} ({error})" if feed.last else f"{error}"
            if str(error) == "unexpected end of data":
                found = f"a quote that is still open at the end of the file, line {feed.number}"
            expected = "fields whose quotes are closed and doubled inside; quoted=False takes quotes as characters"
            yield MalformedFileError(str(path), f"line {feed.first}", found, expected)
            continue
        finally:
            field_size_limit(before)
        if row:
            yield feed.first, row


class _Feed:
    """Lines for the csv module, which asks for as many as a record has: no more than `longest` characters for one."""

    def __init__(self, path: Path, lines: Iterator[Line | MalformedFileError], longest: int) -> None:
        self.path, self.lines, self.longest = path, lines, longest
        self.number, self.last = 0, ""
        self.next_record()

    def next_record(self) -> None:
        self.first, self.size = 0, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        if isinstance(line, MalformedFileError):
            raise line
        self.number, self.last = line
        self.first = self.first or self.number
        self.size += len(self.last) + 1
        if self.size > self.longest + 1:
            raise MalformedFileError(
                str(self.path),
                f"line {self.first}",
                f"a row of more than {self.longest:,} characters, up to line {self.number}",
                "a quote to close before; quoted=False takes quotes as characters, longest= allows longer rows",
            )
        return self.last + "\n"
