"""Some texts of a corpus with their tokens, as arrays: a hundred thousand texts are a few bytes per token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neurowidget.results.base import read_only
from neurowidget.results.tokens import Tokens


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class KeptTexts:
    """Texts by their number in a corpus, and their tokens one text after the other.

    `index` (text,) are the numbers, ascending; the tokens of text i are `starts[i]` to `starts[i + 1]`. `lengths` counts
    the characters of each token's piece; those of tokens that are not special follow one another in the text.
    `strings` are the tokenizer's own strings for `string_ids`, which hold every id that occurs. `sink` marks tokens
    that attention rests on (see `top_examples`).
    """

    index: np.ndarray  # int64 (text,)
    texts: tuple[str, ...]
    starts: np.ndarray  # int64 (text + 1,)
    ids: np.ndarray  # int64 (token,)
    lengths: np.ndarray  # int32 (token,)
    start: np.ndarray  # int32 (token,)
    end: np.ndarray  # int32 (token,)
    word: np.ndarray  # int32 (token,)
    special: np.ndarray  # bool (token,)
    shares: np.ndarray  # bool (token,)
    sink: np.ndarray  # bool (token,)
    string_ids: np.ndarray  # int64 (id,), ascending
    strings: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("index", "starts"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.int64))
        for name, dtype in _COLUMNS.items():
            object.__setattr__(self, name, read_only(getattr(self, name), dtype))
        object.__setattr__(self, "string_ids", read_only(self.string_ids, np.int64))
        texts, tokens = len(self.texts), len(self.ids)
        sizes = {name: len(getattr(self, name)) for name in _COLUMNS}
        steps = np.diff(self.starts)
        if len(self.index) != texts or (np.diff(self.index) <= 0).any():
            raise ValueError(f"index needs {texts} ascending numbers of texts, got {len(self.index)}")
        if len(self.starts) != texts + 1 or self.starts[0] != 0 or self.starts[-1] != tokens or (steps < 0).any():
            raise ValueError(f"starts needs {texts + 1} ascending places from 0 to {tokens}")
        if set(sizes.values()) != {tokens}:
            raise ValueError(f"every column needs one entry per token, got {sizes}")
        if len(self.strings) != len(self.string_ids) or not np.isin(self.ids, self.string_ids).all():
            raise ValueError("string_ids needs every id that occurs, and strings one entry for each")

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"KeptTexts({len(self)} texts, {len(self.ids)} tokens)"

    @classmethod
    def of(cls, tokens: Tokens, index: Sequence[int] | np.ndarray, sink: np.ndarray | None = None) -> KeptTexts:
        """All texts of `tokens`, which have the numbers `index` (text,), ascending, in the corpus."""
        counts = np.bincount(tokens.sentence_index, minlength=len(tokens.texts))
        string_ids, first = np.unique(tokens.ids, return_index=True)
        return cls(
            index=np.asarray(index),
            texts=tokens.texts,
            starts=np.concatenate([[0], np.cumsum(counts)]),
            lengths=np.array([len(piece) for piece in tokens.pieces], dtype=np.int32),
            sink=np.zeros(len(tokens), dtype=bool) if sink is None else sink,
            string_ids=string_ids,
            strings=tuple(tokens.raw[i] for i in first),
            **{name: getattr(tokens, name) for name in ("ids", "start", "end", "word", "special", "shares")},
        )

    @classmethod
    def none(cls) -> KeptTexts:
        """No texts."""
        columns: dict[str, np.ndarray] = {name: np.zeros(0, dtype=dtype) for name, dtype in _COLUMNS.items()}
        return cls(index=np.zeros(0), texts=(), starts=np.zeros(1), string_ids=np.zeros(0), strings=(), **columns)

    @classmethod
    def joined(cls, parts: Sequence[KeptTexts]) -> KeptTexts:
        """The texts of all parts, in order of their numbers; a text that several parts have is there once."""
        index = np.concatenate([part.index for part in parts])
        _, first = np.unique(index, return_index=True)
        strings: dict[int, str] = {}
        for part in parts:
            strings |= zip(part.string_ids.tolist(), part.strings, strict=True)
        texts = [text for part in parts for text in part.texts]
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
        steps = np.concatenate([np.diff(part.starts) for part in parts])
        return _taken(index, texts, steps, columns, strings, first)

    def only(self, wanted: np.ndarray) -> KeptTexts:
        """The texts whose numbers are among `wanted`."""
        strings = dict(zip(self.string_ids.tolist(), self.strings, strict=True))
        columns = {name: getattr(self, name) for name in _COLUMNS}
        rows = np.flatnonzero(np.isin(self.index, wanted))
        return _taken(self.index, self.texts, np.diff(self.starts), columns, strings, rows)

    def place(self, text_index: int) -> slice:
        """Where the tokens of a text of the corpus are; raises KeyError for one that was not kept."""
        row = int(np.searchsorted(self.index, text_index))
        if row == len(self.index) or self.index[row] != text_index:
            raise KeyError(
                f"text {text_index} of the corpus is not here: only the {len(self)} that an example uses are"
            )
        return slice(int(self.starts[row]), int(self.starts[row + 1]))

    def text(self, text_index: int) -> str:
        """A text by its number in the corpus."""
        self.place(text_index)
        return self.texts[int(np.searchsorted(self.index, text_index))]

    def pieces(self, text_index: int, first: int = 0, past: int | None = None) -> tuple[str, ...]:
        """The pieces of tokens `first` to `past` (all if left out) of a text by its number in the corpus."""
        here, text = self.place(text_index), self.text(text_index)
        special = self.special[here].tolist()
        lengths = np.where(self.special[here], 0, self.lengths[here])
        ends = np.cumsum(lengths).tolist()
        ids = self.ids[here].tolist()
        chosen = range(len(ids))[first:past]
        return tuple(
            self._string_of[ids[i]] if special[i] else text[ends[i] - int(lengths[i]) : ends[i]] for i in chosen
        )

    def tokens_of(self, text_index: int) -> Tokens:
        """The tokens of a text by its number in the corpus."""
        here = self.place(text_index)
        names = ("ids", "special", "shares", "word", "start", "end")
        return Tokens(
            texts=(self.text(text_index),),
            pieces=self.pieces(text_index),
            raw=tuple(self._string_of[number] for number in self.ids[here].tolist()),
            sentence_index=np.zeros(here.stop - here.start, dtype=np.int32),
            **{name: getattr(self, name)[here] for name in names},
        )

    def string_of(self, token_id: int) -> str:
        """The tokenizer's own string for an id that occurs here."""
        return self._string_of[token_id]

    @cached_property
    def _string_of(self) -> dict[int, str]:
        return dict(zip(self.string_ids.tolist(), self.strings, strict=True))


_COLUMNS = {
    "ids": np.int64, "lengths": np.int32, "start": np.int32, "end": np.int32, "word": np.int32,
    "special": np.bool_, "shares": np.bool_, "sink": np.bool_,
}  # fmt: skip


def _taken(
    index: np.ndarray,
    texts: Sequence[str],
    steps: np.ndarray,
    columns: Mapping[str, np.ndarray],
    strings: Mapping[int, str],
    rows: np.ndarray,
) -> KeptTexts:
    """The texts at `rows`, with the strings of the ids that they have."""
    ends = np.cumsum(steps)
    kept_steps = steps[rows]
    starts = np.concatenate([[0], np.cumsum(kept_steps)]).astype(np.int64)
    # Token j of the kept text i was at ends[i] - steps[i] + j.
    tokens = np.arange(starts[-1]) + np.repeat(ends[rows] - kept_steps - starts[:-1], kept_steps)
    kept = {name: column[tokens] for name, column in columns.items()}
    string_ids = np.unique(kept["ids"])
    return KeptTexts(
        index=index[rows],
        texts=tuple(texts[row] for row in rows.tolist()),
        starts=starts,
        string_ids=string_ids,
        strings=tuple(strings[number] for number in string_ids.tolist()),
        **kept,
    )
