"""A corpus: named texts with labels, and a hash that says which texts they were."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True, eq=False)
class Corpus:
    """Texts, each with a label or none; iterating gives the texts.

    `labels` has one entry per text. Raises TypeError for texts that are no strings, ValueError for a wrong count.
    """

    texts: Sequence[str]
    labels: Sequence[Any] | None = None
    name: str = "corpus"

    def __post_init__(self) -> None:
        if isinstance(self.texts, str):
            raise TypeError(f"a corpus is made of a list of texts, got one text: write Corpus([{self.texts[:30]!r}])")
        object.__setattr__(self, "texts", tuple(self.texts))
        object.__setattr__(self, "labels", None if self.labels is None else tuple(self.labels))
        for index, text in enumerate(self.texts):
            if not isinstance(text, str):
                raise TypeError(f"text {index} of the corpus is a {type(text).__name__}, expected a string: {text!r}")
        if self.labels is not None and len(self.labels) != len(self.texts):
            raise ValueError(f"{len(self.texts)} texts and {len(self.labels)} labels: expected one label per text")

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __getitem__(self, index: int) -> str:
        return self.texts[index]

    def __repr__(self) -> str:
        labelled = ", labelled" if self.labels is not None else ""
        return f"Corpus({self.name!r}, {len(self)} texts{labelled})"

    @cached_property
    def hash(self) -> str:
        """sha256 of the texts and labels, in order."""
        digest = hashlib.sha256()
        for entry in zip(self.texts, self.labels or (None,) * len(self), strict=True):
            digest.update(json.dumps(entry, default=repr).encode() + b"\n")
        return digest.hexdigest()
