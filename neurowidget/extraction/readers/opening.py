"""Opening files as sentences: which reader, with which options, and what becomes of malformed records."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from neurowidget.extraction.readers import FORMATS, SUFFIXES
from neurowidget.extraction.readers.malformed import Bad, Skipped, raised
from neurowidget.extraction.sentence import Sentence

Errors = Literal["raise", "skip"]
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def opened_files(
    paths: Paths, format: str | None, errors: Errors, options: Mapping[str, Any]
) -> Callable[[], Iterator[Sentence]]:
    """A function that reads the files from the first; the options are checked now, and that there is a first sentence.

    Raises FileNotFoundError, ValueError for formats, TypeError for options that the format has not, MalformedFileError.
    """
    files = [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]
    if not files:
        raise ValueError("there are no files to read")
    readers = [_reader(file, format, options) for file in files]
    sentences = partial(_sentences, readers, options, errors)
    if errors not in ("raise", "skip"):
        raise ValueError(f"errors={errors!r}: expected 'raise' or 'skip'")
    if next(sentences(), None) is None:
        where = f"{files[0]} has" if len(files) == 1 else f"{files[0]} to {files[-1]} have"
        raise ValueError(f"{where} no texts" + (" that could be read" if errors == "skip" else ""))
    return sentences


def with_errors(read: Callable[[Bad], Iterator[Sentence]], errors: Errors) -> Iterator[Sentence]:
    """What `read` gives; what it calls malformed is raised, or skipped and told at the end."""
    if errors == "raise":
        yield from read(raised)
        return
    skipped = Skipped()
    yield from read(skipped)
    skipped.warn()


def _sentences(readers: Sequence[tuple[Path, str]], options: Mapping[str, Any], errors: Errors) -> Iterator[Sentence]:
    yield from with_errors(partial(_each_file, readers, options), errors)


def _each_file(readers: Sequence[tuple[Path, str]], options: Mapping[str, Any], bad: Bad) -> Iterator[Sentence]:
    for file, name in readers:
        yield from FORMATS[name](file, bad, **options)


def _reader(file: Path, format: str | None, options: Mapping[str, Any]) -> tuple[Path, str]:
    name = SUFFIXES.get(file.suffix.lower()) if format is None else format
    if name not in FORMATS:
        if format is None:
            known = ", ".join(SUFFIXES)
            raise ValueError(f"{file}: no format has this suffix ({known}); name one: format= {', '.join(FORMATS)}")
        raise ValueError(f"format={format!r}: expected one of {', '.join(FORMATS)}")
    if not file.is_file():
        raise FileNotFoundError(f"{file} is {'a folder' if file.is_dir() else 'not there'}: expected a file to read")
    allowed = [option for option in inspect.signature(FORMATS[name]).parameters if option not in ("path", "bad")]
    if unknown := [option for option in options if option not in allowed]:
        raise TypeError(f"{', '.join(unknown)}: the options of the format {name!r} are {', '.join(allowed)}")
    return file, name
