"""The tokens and labels of one part of a store: columns of numbers, and strings as one run of UTF-8 bytes.

`token-columns` int32 (column, row): ids, special, shares, word, start, end, text (within the part), where its piece and its
raw string end in their bytes, and one code per label of words. `token-texts` int32 (column, text): where the text ends in
`token-characters`, past its last row, and one code per label of texts. A code is an index into the manifest's list of
values, -1 where there is no label.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurowidget.extraction.plain_arrays import PlainArray, StoreError
from neurowidget.extraction.store_format import Manifest, Table, table_arrays
from neurowidget.results.tokens import Tokens

NUMBERS = ("ids", "special", "shares", "word", "start", "end")
ROW_COLUMNS = (*NUMBERS, "text", "piece_end", "raw_end")
TEXT_COLUMNS = ("character_end", "row_end")


def table_of(tokens: Tokens, labels: Mapping[str, Sequence[Any]]) -> tuple[Table, dict[str, np.ndarray]]:
    """Tokens with named labels (one per row or one per text) as the sizes and the arrays of a table.

    Raises ValueError for labels that are neither strings nor numbers.
    """
    pieces, piece_ends = _joined(tokens.pieces)
    raw, raw_ends = _joined(tokens.raw)
    characters, character_ends = _joined(tokens.texts)
    if len(tokens) and not -(2**31) <= int(tokens.ids.min()) <= int(tokens.ids.max()) < 2**31:
        raise ValueError("a store keeps ids of up to 2**31 - 1")
    rows: dict[str, Any] = {name: getattr(tokens, name) for name in NUMBERS}
    rows |= {"text": tokens.sentence_index, "piece_end": piece_ends, "raw_end": raw_ends}
    row_ends = np.searchsorted(tokens.sentence_index, np.arange(len(tokens.texts)), side="right")
    texts: dict[str, Any] = {"character_end": character_ends, "row_end": row_ends}
    values: dict[str, tuple[Any, ...]] = {}
    for name, given in labels.items():
        codes, values[name] = _coded(name, given)
        (rows if len(given) == len(tokens) else texts)[f"label:{name}"] = codes
    table = Table(
        rows=len(tokens),
        level=tokens.level,
        columns=tuple(rows),
        text_columns=tuple(texts),
        bytes={"pieces": len(pieces), "raw": len(raw), "characters": len(characters)},
        labels=values,
    )
    arrays = {
        "columns": np.stack([np.asarray(column, dtype=np.int32) for column in rows.values()]),
        "texts": np.stack([np.asarray(column, dtype=np.int32) for column in texts.values()]),
        "pieces": pieces,
        "raw": raw,
        "characters": characters,
    }
    return table, arrays


class TokenTable:
    """The tokens of one stack in one finished part, read piece by piece."""

    def __init__(self, folder: Path, manifest: Manifest, stack: str) -> None:
        self.table = manifest.table(stack)
        self.texts = manifest.texts
        self.folder = folder
        self.arrays = table_arrays(folder, manifest, stack)

    def column(self, name: str, rows: slice = slice(None)) -> np.ndarray:
        """One column of some rows, int32."""
        return self._column("columns", self.table.columns, name, rows)

    def text_column(self, name: str, texts: slice = slice(None)) -> np.ndarray:
        """One column of some texts, int32."""
        return self._column("texts", self.table.text_columns, name, texts)

    def text_strings(self, texts: slice) -> list[str]:
        """Some texts of the part."""
        return self._strings("characters", self.text_column, "character_end", texts)

    def rows_of(self, text: int) -> slice:
        """The rows of one text of the part."""
        ends = self.text_column("row_end", slice(max(0, text - 1), text + 1)).tolist()
        return slice(ends[0] if text else 0, ends[-1])

    def tokens(self, rows: slice, texts: slice) -> Tokens:
        """Some rows as Tokens whose texts are some texts of the part; the rows should be theirs."""
        columns = {name: self.column(name, rows) for name in (*NUMBERS, "text")}
        return Tokens(
            texts=tuple(self.text_strings(texts)),
            pieces=tuple(self._strings("pieces", self.column, "piece_end", rows)),
            raw=tuple(self._strings("raw", self.column, "raw_end", rows)),
            sentence_index=columns.pop("text") - texts.start,
            level=self.table.level,
            **columns,
        )

    def row_labels(self, name: str, rows: slice) -> list[Any]:
        """One label per row, that of its text where texts are labelled, None where there is none."""
        values = self.table.labels.get(name, ())
        column = f"label:{name}"
        if column in self.table.columns:
            codes = self.column(column, rows)
        elif column in self.table.text_columns:
            codes = self.text_column(column)[self.column("text", rows)]
        else:
            return [None] * (rows.stop - rows.start)
        if codes.size and not -1 <= int(codes.min()) <= int(codes.max()) < len(values):
            raise StoreError(f"{self.folder}: the codes of the labels {name!r} fit no values; the part is damaged")
        return [None if code < 0 else values[code] for code in codes.tolist()]

    def _column(self, array: str, names: Sequence[str], name: str, rows: slice) -> np.ndarray:
        if name not in names:
            raise StoreError(f"{self.folder} has no column {name!r}; the part is damaged")
        at = names.index(name)
        return self.arrays[array].read(slice(at, at + 1), rows)[0]

    def _strings(self, array: str, column: Any, ends: str, rows: slice) -> list[str]:
        """The strings of some rows, from where each ends in the bytes of `array`."""
        if rows.stop <= rows.start:
            return []
        cuts = column(ends, slice(max(0, rows.start - 1), rows.stop)).tolist()
        cuts = [0, *cuts] if rows.start == 0 else cuts
        source: PlainArray = self.arrays[array]
        if cuts != sorted(cuts) or cuts[0] < 0 or cuts[-1] > source.shape[0]:
            raise StoreError(f"{self.folder}: the column {ends!r} is damaged")
        content = source.read(slice(cuts[0], cuts[-1])).tobytes()
        first = cuts[0]
        try:
            return [
                content[start - first : end - first].decode("utf-8", "surrogatepass")
                for start, end in itertools.pairwise(cuts)
            ]
        except UnicodeDecodeError as error:
            raise StoreError(f"{source.folder} is damaged: {error}") from None


def _joined(strings: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The UTF-8 bytes of all strings, and where each ends."""
    encoded = [string.encode("utf-8", "surrogatepass") for string in strings]
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), np.cumsum([len(one) for one in encoded], dtype=np.int64)


def _coded(name: str, labels: Sequence[Any]) -> tuple[np.ndarray, tuple[Any, ...]]:
    """A code for each label and the values they stand for, in order of appearance."""
    numbers: dict[tuple[type, str], int] = {}
    values: list[Any] = []
    codes = []
    for label in labels:
        label = label.item() if isinstance(label, np.generic) else label
        if label is None:
            codes.append(-1)
            continue
        if not isinstance(label, str | int | float | bool):
            raise ValueError(
                f"the labels {name!r} have a {type(label).__name__}: {str(label)[:40]!r}; a store keeps strings and numbers"
            )
        key = (type(label), repr(label))  # 1, 1.0 and True are different labels, all NaN one
        if key not in numbers:
            numbers[key] = len(values)
            values.append(label)
        codes.append(numbers[key])
    return np.asarray(codes, dtype=np.int32), tuple(values)
