"""Plain text: one text per line, or per paragraph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from neurowidget.extraction.readers.lines import LONGEST, blocks, lines
from neurowidget.extraction.readers.malformed import Bad
from neurowidget.extraction.sentence import Sentence


def txt(
    path: Path, bad: Bad, unit: Literal["line", "paragraph"] = "line", encoding: str = "utf-8", longest: int = LONGEST
) -> Iterator[Sentence]:
    """Each line that is not blank, or (`unit="paragraph"`) what is between blank lines, its line ends kept."""
    if unit not in ("line", "paragraph"):
        raise ValueError(f"unit={unit!r}: expected 'line' or 'paragraph'")
    if unit == "line":
        yield from (Sentence(line) for _, line in lines(path, bad, encoding, longest) if line.strip())
    else:
        for block in blocks(path, bad, encoding, longest):
            yield Sentence("\n".join(line for _, line in block))
