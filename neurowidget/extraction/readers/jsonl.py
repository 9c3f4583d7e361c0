"""JSON lines: one object per line, with a text or a list of words, and labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from neurowidget.extraction.readers.lines import LONGEST, lines
from neurowidget.extraction.readers.malformed import Bad, MalformedFileError, shown
from neurowidget.extraction.readers.records import LabelFields, fields, record_sentence
from neurowidget.extraction.sentence import Sentence


def jsonl(
    path: Path,
    bad: Bad,
    text: str | None = None,
    words: str | None = None,
    labels: LabelFields = None,
    convert: Mapping[str, Callable[[Any], Any]] | None = None,
    encoding: str = "utf-8",
    longest: int = LONGEST,
) -> Iterator[Sentence]:
    """The field `text` (default "text") and/or `words`, and the fields `labels`: a value, or a list with one per word.

    `labels` is a field, a list of fields, or a mapping of names to fields; by default "label" where there is one.
    """
    wanted = fields(text, words, labels, convert)
    for number, line in lines(path, bad, encoding, longest):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            record = json.loads(line, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            why = "it nests too deeply" if isinstance(error, RecursionError) else error
            bad(MalformedFileError(str(path), place, shown(line), f"one JSON object ({why})"))
            continue
        if not isinstance(record, dict):
            hint = "; write an array of objects as one object per line" if isinstance(record, list) else ""
            bad(MalformedFileError(str(path), place, shown(line), f"one JSON object{hint}"))
        elif sentence := record_sentence(record, wanted, str(path), place, bad):
            yield sentence


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
