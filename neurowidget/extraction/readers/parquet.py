"""Parquet files, row batch by row batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from neurowidget.extraction.readers.malformed import Bad, MalformedFileError
from neurowidget.extraction.readers.records import LabelFields, fields, record_sentence
from neurowidget.extraction.sentence import Sentence

ROWS = 256


def parquet(
    path: Path,
    bad: Bad,
    text: str | None = None,
    words: str | None = None,
    labels: LabelFields = None,
    convert: Mapping[str, Callable[[Any], Any]] | None = None,
) -> Iterator[Sentence]:
    """The columns `text` and/or `words`, and the columns `labels`, as in `jsonl`; no other column is read."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise ModuleNotFoundError(
            f"{path} needs the package pyarrow: pip install 'neurowidget[corpus]'", name="pyarrow"
        ) from None
    wanted = fields(text, words, labels, convert)
    row = 0
    try:
        with ParquetFile(path, memory_map=True) as table:
            wanted = wanted.present(table.schema_arrow.names, str(path))
            for batch in table.iter_batches(ROWS, columns=wanted.names):
                for record in batch.to_pylist():
                    row += 1
                    if sentence := record_sentence(record, wanted, str(path), f"row {row}", bad):
                        yield sentence
    except (ArrowException, OSError) as error:
        place = f"row {row + 1}" if row else "its header"
        raise MalformedFileError(str(path), place, f"what pyarrow cannot read ({error})", "a Parquet file") from error
