"""Tables in memory: `datasets.Dataset` and pandas frames, told apart by what they can do, neither package imported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neurowidget.extraction.readers.malformed import Bad
from neurowidget.extraction.readers.records import Fields, record_sentence
from neurowidget.extraction.sentence import Sentence


def dataset_sentences(dataset: Any, fields: Fields, bad: Bad) -> Iterator[Sentence]:
    """The rows of a `datasets.Dataset` or `IterableDataset`; numbers of a ClassLabel become its names, -1 None."""
    features = getattr(dataset, "features", None)
    if features is not None:
        fields = fields.present(features, "the dataset")
        dataset = dataset.select_columns(fields.names)
    names = {field: found for field in fields.names if (found := _class_names((features or {}).get(field)))}
    for number, row in enumerate(dataset):
        record = {field: _named(value, names.get(field)) for field, value in row.items()}
        if sentence := record_sentence(record, fields, "the dataset", f"row {number}", bad):
            yield sentence


def _class_names(feature: Any) -> list[str] | None:
    """The class names of a ClassLabel, or of a list of them."""
    return getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)


def _named(value: Any, names: list[str] | None) -> Any:
    if names is None:
        return value
    if isinstance(value, list | tuple):
        return [_named(one, names) for one in value]
    return None if value is None or value == -1 else names[value] if isinstance(value, int) else value


def frame_sentences(frame: Any, fields: Fields, bad: Bad) -> Iterator[Sentence]:
    """The rows of a pandas frame; what it counts as missing is None."""
    fields = fields.present(frame.columns, "the frame")
    columns = [frame[name].astype(object).where(frame[name].notna(), None) for name in fields.names]
    for index, *values in zip(frame.index, *columns, strict=True):
        record = dict(zip(fields.names, values, strict=True))
        if sentence := record_sentence(record, fields, "the frame", f"row {index!r}", bad):
            yield sentence
