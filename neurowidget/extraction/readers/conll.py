"""CoNLL columns: a word and its labels per line, a blank line between sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from neurowidget.extraction.readers.lines import LONGEST, blocks
from neurowidget.extraction.readers.malformed import Bad, MalformedFileError, shown
from neurowidget.extraction.sentence import UNNAMED, Sentence, joined_words


def conll(
    path: Path,
    bad: Bad,
    columns: Sequence[str] = ("word", UNNAMED),
    comments: str | None = None,
    encoding: str = "utf-8",
    longest: int = LONGEST,
) -> Iterator[Sentence]:
    """Sentences of words joined by spaces; `columns` names all columns, "word" and the labels: ("word", "pos", "chunk", "ner").

    Columns are separated by tabs where a line has one, else by spaces. Lines that begin with `comments` are left out, and so
    are the -DOCSTART- lines of CoNLL-2003.
    """
    if list(columns).count("word") != 1 or len(columns) < 2 or len(set(columns)) != len(columns):
        raise ValueError(f"columns={list(columns)}: expected different names, one of them 'word'")
    for block in blocks(path, bad, encoding, longest):
        kept = [line for line in block if not (comments and line[1].startswith(comments))]
        kept = [line for line in kept if not line[1].startswith("-DOCSTART-")]
        rows = []
        for number, line in kept:
            row = _cells(line)
            if len(row) != len(columns) or not all(row):
                found = (
                    f"{len(row)} columns in {shown(line)}"
                    if len(row) != len(columns)
                    else f"an empty one in {shown(line)}"
                )
                expected = f"{len(columns)} columns ({', '.join(columns)}) separated by a tab or by spaces"
                bad(MalformedFileError(str(path), f"line {number}", found, expected))
                break
            rows.append(row)
        else:
            if rows:
                by_name = dict(zip(columns, zip(*rows, strict=True), strict=True))
                text, spans = joined_words(by_name.pop("word"))
                yield Sentence(text, spans, by_name)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()
