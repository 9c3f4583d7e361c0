"""Tab-separated tables, one text per row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from neurowidget.extraction.readers.csv import csv
from neurowidget.extraction.readers.lines import LONGEST
from neurowidget.extraction.readers.malformed import Bad
from neurowidget.extraction.readers.records import LabelFields
from neurowidget.extraction.sentence import Sentence


def tsv(
    path: Path,
    bad: Bad,
    text: str | None = None,
    labels: LabelFields = None,
    convert: Mapping[str, Callable[[Any], Any]] | None = None,
    quoted: bool = True,
    header: list[str] | None = None,
    encoding: str = "utf-8",
    longest: int = LONGEST,
) -> Iterator[Sentence]:
    """As `csv`, with tabs; files whose quotes are characters of the text, as in GLUE, need `quoted=False`."""
    return csv(path, bad, text, labels, convert, "\t", quoted, header, encoding, longest)
