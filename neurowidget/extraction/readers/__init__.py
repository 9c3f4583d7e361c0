"""Files as corpora: one reader per format, each a generator that never holds more than one record."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from neurowidget.extraction.readers.brown import brown as _brown
from neurowidget.extraction.readers.conll import conll as _conll
from neurowidget.extraction.readers.conllu import conllu as _conllu
from neurowidget.extraction.readers.csv import csv as _csv
from neurowidget.extraction.readers.jsonl import jsonl as _jsonl
from neurowidget.extraction.readers.neurox import neurox as _neurox
from neurowidget.extraction.readers.parquet import parquet as _parquet
from neurowidget.extraction.readers.tsv import tsv as _tsv
from neurowidget.extraction.readers.txt import txt as _txt
from neurowidget.extraction.sentence import Sentence

FORMATS: dict[str, Callable[..., Iterator[Sentence]]] = {
    "txt": _txt,
    "jsonl": _jsonl,
    "csv": _csv,
    "tsv": _tsv,
    "conllu": _conllu,
    "conll": _conll,
    "brown": _brown,
    "neurox": _neurox,
    "parquet": _parquet,
}
SUFFIXES = {
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".conllu": "conllu",
    ".conllup": "conllu",
    ".conll": "conll",
    ".iob": "conll",
    ".bio": "conll",
    ".word": "neurox",
    ".parquet": "parquet",
}

__all__ = ["FORMATS", "SUFFIXES"]
