"""The text files of NeuroX: sentences in one, their labels in the other, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from neurowidget.extraction.readers.lines import LONGEST, tried_lines
from neurowidget.extraction.readers.malformed import Bad, MalformedFileError, shown
from neurowidget.extraction.sentence import UNNAMED, Sentence

_BETWEEN_SPACES = re.compile(r"[^ \t]+")


def neurox(
    path: Path,
    bad: Bad,
    labels: str | Path | None = None,
    per: Literal["word", "text"] = "word",
    encoding: str = "utf-8",
    longest: int = LONGEST,
) -> Iterator[Sentence]:
    """Words between spaces with a label each, or (`per="text"`) one label per line; `labels` is by default the .label beside.

    Raises MalformedFileError when one file has more lines than the other: nothing says which are missing.
    """
    if per not in ("word", "text"):
        raise ValueError(f"per={per!r}: expected 'word' or 'text'")
    other = path.with_suffix(".label") if labels is None else Path(labels)
    if not other.is_file() or other == path:
        raise FileNotFoundError(f"{path} needs its labels in {other}, which is no file; name it with labels=")
    pairs = zip_longest(tried_lines(path, encoding, longest), tried_lines(other, encoding, longest))
    for number, (line, label_line) in enumerate(pairs, start=1):
        if line is None or label_line is None:
            shorter, more = (path, other) if line is None else (other, path)
            raise MalformedFileError(str(shorter), f"line {number}", "the end of the file", f"as many lines as {more}")
        if wrong := next((one for one in (line, label_line) if isinstance(one, MalformedFileError)), None):
            bad(wrong)
            continue
        assert not isinstance(line, MalformedFileError)
        assert not isinstance(label_line, MalformedFileError)
        text, given = line[1], label_line[1].strip()
        if not text.strip() and not given:
            continue
        spans = tuple(match.span() for match in _BETWEEN_SPACES.finditer(text))
        values = tuple(_BETWEEN_SPACES.findall(given))
        if per == "word" and len(values) != len(spans):
            found = f"{len(values)} labels ({shown(given)})"
            expected = f"{len(spans)}, one for each word of {shown(text)} in {path}"
            bad(MalformedFileError(str(other), f"line {number}", found, expected))
        elif not spans or not given:
            empty = path if not spans else other
            bad(
                MalformedFileError(
                    str(empty),
                    f"line {number}",
                    "an empty line",
                    f"a line for that of {path if empty == other else other}",
                )
            )
        else:
            yield Sentence(text, spans, {UNNAMED: values if per == "word" else given})
