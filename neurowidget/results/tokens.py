"""The tokens that a result is about: exactly the ids that were fed, with lossless display pieces."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from neurowidget.results.base import read_only


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Tokens:
    """Tokens (or words) of one or more texts, flat; row i of every field is about token i.

    The pieces of one text that are not special, joined, are exactly that text. A token that shares its character
    with the token before it (byte-level pieces of one emoji) has the piece "" and `shares[i]` is True.
    `word` counts words within a text, -1 for special tokens; `start`/`end` are character offsets in the text.
    """

    texts: tuple[str, ...]
    ids: np.ndarray  # int64 (token,)
    pieces: tuple[str, ...]
    raw: tuple[str, ...]  # the tokenizer's own strings: "Ġnot", "##ing"
    special: np.ndarray  # bool (token,)
    shares: np.ndarray  # bool (token,)
    word: np.ndarray  # int32 (token,)
    start: np.ndarray  # int32 (token,)
    end: np.ndarray  # int32 (token,)
    sentence_index: np.ndarray  # int32 (token,): index into texts
    level: str = field(default="token")  # "token" or "word"

    def __post_init__(self) -> None:
        for name, dtype in _ARRAYS.items():
            object.__setattr__(self, name, read_only(getattr(self, name), dtype))
        sizes = {name: len(getattr(self, name)) for name in ("pieces", "raw", *_ARRAYS)}
        if len(set(sizes.values())) != 1:
            raise ValueError(f"every field of Tokens needs one entry per token, got {sizes}")
        if len(self) and not 0 <= int(self.sentence_index.min()) <= int(self.sentence_index.max()) < len(self.texts):
            raise ValueError(f"sentence_index should be 0 to {len(self.texts) - 1}, for {len(self.texts)} texts")

    def __len__(self) -> int:
        return len(self.pieces)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.pieces[:8])) + (", ..." if len(self) > 8 else "")
        return f"Tokens({len(self)} {self.level}s of {len(self.texts)} texts: {shown})"

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.pieces)

    def sentence(self, index: int) -> Tokens:
        """The tokens of one text as Tokens of their own; raises IndexError past the end."""
        text = self.texts[index]
        rows = np.flatnonzero(self.sentence_index == index % len(self.texts))
        arrays = {name: getattr(self, name)[rows] for name in _ARRAYS}
        arrays["sentence_index"] = np.zeros(len(rows), dtype=np.int32)
        pieces, raw = tuple(self.pieces[i] for i in rows), tuple(self.raw[i] for i in rows)
        return Tokens(texts=(text,), pieces=pieces, raw=raw, level=self.level, **arrays)


_ARRAYS = {
    "ids": np.int64,
    "special": np.bool_,
    "shares": np.bool_,
    "word": np.int32,
    "start": np.int32,
    "end": np.int32,
    "sentence_index": np.int32,
}
