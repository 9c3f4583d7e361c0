"""Lines of a text file one at a time, decoded and bounded, and blocks of them between blank lines.

A line ends at a line feed (a carriage return before it is no part of it) and nowhere else: the other characters that
`str.splitlines` knows are part of texts.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from neurowidget.extraction.readers.malformed import Bad, MalformedFileError, shown

LONGEST = 10_000_000
Line = tuple[int, str]  # its number from 1, and its characters without the line end

_OTHER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def tried_lines(path: Path, encoding: str = "utf-8", longest: int = LONGEST) -> Iterator[Line | MalformedFileError]:
    """Each line or what is wrong with it: undecodable bytes, a NUL, or more than `longest` bytes.

    `encoding` is any in which a line feed is one byte, as in UTF-8 or Latin-1; a byte order mark of UTF-8 is left out.
    """
    try:
        plain = "\n".encode(encoding) == b"\n"
    except LookupError:
        raise ValueError(f"encoding={encoding!r}: Python knows no such encoding") from None
    if not plain:
        raise ValueError(f"encoding={encoding!r}: expected one in which a line feed is one byte; convert to UTF-8")
    with path.open("rb") as stream:
        number = 0
        while raw := stream.readline(longest + 1):
            number += 1
            place = f"line {number}"
            if number == 1:
                if mark := next((mark for mark in _OTHER_MARKS if raw.startswith(mark)), None):
                    found = f"the byte order mark of {_OTHER_MARKS[mark]}"
                    raise MalformedFileError(str(path), place, found, "UTF-8: convert the file")
                if codecs.lookup(encoding).name == "utf-8":
                    raw = raw.removeprefix(codecs.BOM_UTF8)
            if len(raw) > longest:
                _skip_line(stream, raw)
                found, expected = f"more than {longest:,} bytes", "a shorter line, or a larger longest="
                yield MalformedFileError(str(path), place, found, expected)
                continue
            try:
                text = raw.decode(encoding).removesuffix("\n").removesuffix("\r")
            except UnicodeDecodeError as error:
                found = f"the byte 0x{raw[error.start]:02x} at offset {error.start} of the line"
                yield MalformedFileError(str(path), place, found, f"{encoding} text; another encoding= may be right")
                continue
            if "\0" in text:
                found = f"a NUL character after {shown(text.partition(chr(0))[0])}"
                yield MalformedFileError(str(path), place, found, "text")
                continue
            yield number, text


def _skip_line(stream: IO[bytes], raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = stream.readline(65_536)


def lines(path: Path, bad: Bad, encoding: str = "utf-8", longest: int = LONGEST) -> Iterator[Line]:
    """The lines that are right; the others go to `bad`."""
    for line in tried_lines(path, encoding, longest):
        if isinstance(line, MalformedFileError):
            bad(line)
        else:
            yield line


def blocks(path: Path, bad: Bad, encoding: str = "utf-8", longest: int = LONGEST) -> Iterator[list[Line]]:
    """The lines between blank lines; a block with a malformed line, or with too many characters, goes to `bad` as a whole."""
    block: list[Line] = []
    size, wrong = 0, False
    for line in tried_lines(path, encoding, longest):
        if isinstance(line, MalformedFileError):
            if not wrong:
                bad(line)
            wrong = True
        elif not line[1].strip():
            if block and not wrong:
                yield block
            block, size, wrong = [], 0, False
        elif not wrong:
            block.append(line)
            size += len(line[1])
            if size > longest:
                bad(
                    MalformedFileError(
                        str(path),
                        f"line {block[0][0]}",
                        f"more than {longest:,} characters without a blank line",
                        "blank lines between sentences, or a larger longest=",
                    )
                )
                block, wrong = [], True
    if block and not wrong:
        yield block
