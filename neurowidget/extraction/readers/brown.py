"""The tagged Brown corpus as it is distributed: word/tag, one sentence a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neurowidget.extraction.readers.lines import LONGEST, lines
from neurowidget.extraction.readers.malformed import Bad, MalformedFileError, shown
from neurowidget.extraction.sentence import UNNAMED, Sentence, joined_words


def brown(path: Path, bad: Bad, encoding: str = "utf-8", longest: int = LONGEST) -> Iterator[Sentence]:
    """Sentences of words joined by spaces, the label of each is what stands after its last slash."""
    for number, line in lines(path, bad, encoding, longest):
        pairs = [token.rpartition("/") for token in line.split()]
        if wrong := next((pair for pair in pairs if not pair[0] or not pair[2]), None):
            found = f"{shown(''.join(wrong))} in {shown(line.strip())}"
            bad(MalformedFileError(str(path), f"line {number}", found, "a word, a slash and a tag"))
        elif pairs:
            text, spans = joined_words([word for word, _, _ in pairs])
            yield Sentence(text, spans, {UNNAMED: tuple(tag for _, _, tag in pairs)})
