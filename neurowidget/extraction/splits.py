"""Splits of a corpus into training, development and test parts that share no sentence, no word type, or no document."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from neurowidget.extraction.sentence import Sentence


def split_sentences(
    sentences: Sequence[Sentence], shares: Mapping[str, float], by: str, seed: int
) -> dict[str, list[Sentence]]:
    """The sentences of each part, in the order of the corpus; `shares` has the share of each part but "train".

    "sentence": a part gets whole sentences, equal texts always the same part. A name of a sentence label: all
    sentences with the same label in the same part. "word_type": every part has all sentences, and in each only the
    words of its own types keep their word labels. Types are words without regard to case. Shares are of
    sentences, or of types.
    """
    for name, share in shares.items():
        if not 0 < share < 1:
            raise ValueError(f"{name}={share}: expected a share between 0 and 1")
    if sum(shares.values()) >= 1:
        raise ValueError(f"{shares} leaves nothing to train on: expected shares with a sum below 1")
    if by == "word_type":
        return _by_type(sentences, shares, seed)
    keys = [sentence.text for sentence in sentences] if by == "sentence" else _group_labels(sentences, by)
    part_of = _drawn(Counter(keys), shares, seed, f"different values of {by!r}" if by != "sentence" else "texts")
    parts: dict[str, list[Sentence]] = {name: [] for name in ("train", *shares)}
    for sentence, key in zip(sentences, keys, strict=True):
        parts[part_of[key]].append(sentence)
    return parts


def _by_type(sentences: Sequence[Sentence], shares: Mapping[str, float], seed: int) -> dict[str, list[Sentence]]:
    types: dict[str, int] = {}
    for sentence in sentences:
        for values in sentence.labels.values():
            if isinstance(values, tuple):
                for word, value in zip(sentence.word_texts, values, strict=True):
                    if value is not None:
                        types[word.casefold()] = 1  # a share is of types, however often one occurs
    if not types:
        raise ValueError("a split by word type needs labels of words, and this corpus has none")
    part_of = _drawn(types, shares, seed, "word types with labels")
    return {name: [_kept(sentence, part_of, name) for sentence in sentences] for name in ("train", *shares)}


def _kept(sentence: Sentence, part_of: Mapping[Hashable, str], part: str) -> Sentence:
    """The sentence with the word labels of one part."""
    own = [part_of.get(word.casefold()) == part for word in sentence.word_texts]
    labels = {
        name: tuple(value if mine else None for value, mine in zip(values, own, strict=True))
        if isinstance(values, tuple)
        else values
        for name, values in sentence.labels.items()
    }
    return replace(sentence, labels=labels)


def _group_labels(sentences: Sequence[Sentence], by: str) -> list[Hashable]:
    found = [sentence.labels.get(by) for sentence in sentences]
    if any(isinstance(value, tuple) for value in found) or not any(value is not None for value in found):
        raise ValueError(f"by={by!r}: expected 'sentence', 'word_type' or the name of a label of whole texts")
    if None in found:
        raise ValueError(f"text {found.index(None)} has no label {by!r}, so it belongs to no side of a split by it")
    return found


def _drawn(weights: Mapping[Any, int], shares: Mapping[str, float], seed: int, what: str) -> dict[Hashable, str]:
    """The part of each key: keys in random order fill the parts one after the other, "train" gets the rest.

    Every part gets a key, and another one only if that brings it nearer to its share of the weight.
    """
    if len(weights) <= len(shares):
        raise ValueError(f"{len(weights)} {what} are too few for {len(shares) + 1} parts")
    order = list(weights)
    random.Random(seed).shuffle(order)
    part_of: dict[Hashable, str] = {}
    for filled, (name, share) in enumerate(shares.items()):
        wanted = share * sum(weights.values())
        kept_back, taken = len(shares) - filled, False
        while len(order) > kept_back and (not taken or weights[order[-1]] <= 2 * wanted):
            wanted -= weights[order[-1]]
            part_of[order.pop()], taken = name, True
    return part_of | dict.fromkeys(order, "train")
