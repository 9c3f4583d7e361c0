"""As many examples of each class: labels of words are taken away, or sentences left out."""

from __future__ import annotations

import random
import warnings
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from neurowidget.extraction.sentence import Sentence

Place = tuple[int, int | None]  # sentence, word (None: the whole text)


def balanced(sentences: Sequence[Sentence], label: str, per_class: int | None, seed: int) -> list[Sentence]:
    """The sentences with `per_class` examples of each class of a label, drawn at random (None: as many as the rarest has).

    Labels of words: every sentence stays, and the words that were not drawn have None. Labels of whole texts: the
    sentences that were not drawn are left out. Classes with fewer than `per_class` lose all their examples, with a warning.
    Raises ValueError for a label that nothing has, or that some texts have per word and others as a whole.
    """
    places: dict[Hashable, list[Place]] = {}
    for place, value in _labelled(sentences, label):
        places.setdefault(value, []).append(place)
    if not places:
        names = sorted({name for sentence in sentences for name in sentence.labels})
        raise ValueError(f"nothing is labelled {label!r}: the labels are {', '.join(map(repr, names)) or 'none'}")
    kinds = {word is None for found in places.values() for _, word in found}
    if len(kinds) == 2:
        raise ValueError(
            f"some texts have one label {label!r} and others one per word: these cannot be balanced together"
        )
    count = min(map(len, places.values())) if per_class is None else per_class
    if count < 1:
        raise ValueError(f"per_class={per_class}: expected 1 or more")
    if few := {value: len(found) for value, found in places.items() if len(found) < count}:
        if len(few) == len(places):
            raise ValueError(f"per_class={count}: every class of {label!r} has fewer, the most is {max(few.values())}")
        warnings.warn(f"classes of {label!r} with fewer than {count} examples are left out: {few}", stacklevel=3)
    rng = random.Random(seed)
    drawn = {place for found in places.values() if len(found) >= count for place in rng.sample(found, count)}
    if kinds == {True}:
        return [sentence for i, sentence in enumerate(sentences) if (i, None) in drawn]
    return [_with_drawn(sentence, label, i, drawn) for i, sentence in enumerate(sentences)]


def _labelled(sentences: Sequence[Sentence], label: str) -> Iterator[tuple[Place, Any]]:
    for i, sentence in enumerate(sentences):
        value = sentence.labels.get(label)
        if isinstance(value, tuple):
            yield from (((i, word), one) for word, one in enumerate(value) if one is not None)
        elif value is not None:
            yield (i, None), value


def _with_drawn(sentence: Sentence, label: str, index: int, drawn: set[Place]) -> Sentence:
    values = sentence.labels.get(label)
    if not isinstance(values, tuple):
        return sentence
    kept = tuple(value if (index, word) in drawn else None for word, value in enumerate(values))
    return replace(sentence, labels={**sentence.labels, label: kept})
