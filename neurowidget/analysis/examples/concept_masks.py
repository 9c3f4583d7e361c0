"""Concepts as rows of True and False: classes of labels, word lists, expressions, functions of a word, ready masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurowidget.analysis.examples.evidence import Evidence
from neurowidget.extraction.concepts import marks_of
from neurowidget.extraction.sentence import Sentence, joined_words
from neurowidget.extraction.store import ActivationStore
from neurowidget.results.activations import Activations

MOST_CLASSES = 200


def concept_masks(
    source: Activations | ActivationStore,
    evidence: Evidence,
    concepts: Mapping[str, Any] | None,
    labels: str | Sequence[str] | None,
) -> tuple[list[str], np.ndarray]:
    """The names of the concepts and a mask bool (concept, row) over the rows of `evidence`.

    `labels` names sets of labels of the source, each class of which is a concept (True and False: one concept of the
    set's name); None takes all sets unless there are `concepts`. `concepts` maps names to a set of words, a compiled
    expression that a word must match in full, a function of a word, or one bool per row of the source. Concepts that
    hold nowhere or everywhere on the first half of the sentences are left out. Raises ValueError when none is left.
    """
    found: dict[str, np.ndarray] = {}
    sets = label_sets(source, labels, needed=concepts is None)
    if sets and evidence.neurons[0].stack == "decoder":
        raise ValueError(
            f"{evidence.neurons[0]} runs over the targets, and labels are about the texts: pass concepts= as rules"
        )
    for set_name in sets:
        classes = _classes(source, evidence, set_name)
        for name, mask in classes.items():
            _add(found, name if len(sets) == 1 or name == set_name else f"{set_name}={name}", mask)
    for name, rule in (concepts or {}).items():
        _add(found, str(name), _ruled(source, evidence, str(name), rule))
    kept = {name: mask for name, mask in found.items() if 0 < mask[evidence.made].sum() < evidence.made.sum()}
    if not kept:
        raise ValueError(
            f"none of the {len(found)} concepts holds in some rows and not in all of them: give labels to the source, or"
            " concepts={'year': re.compile(...), 'month': {'May', 'June'}}"
        )
    return list(kept), np.stack(list(kept.values()))


def label_sets(source: Activations | ActivationStore, labels: str | Sequence[str] | None, needed: bool) -> list[str]:
    """The names of the sets of labels that are asked for; raises ValueError for one that the source has not."""
    there = list(source.label_names) if isinstance(source, ActivationStore) else _names(source.labels)
    if labels is not None:
        wanted = [labels] if isinstance(labels, str) else list(labels)
        if missing := [name for name in wanted if name not in there]:
            raise ValueError(
                f"the source has no labels {missing[0]!r}; it has {', '.join(there) or 'none'}. Labels come with the corpus:"
                " nw.Corpus(texts, labels), activations_from_array(..., labels=)"
            )
        return wanted
    if needed and not there:
        raise ValueError(
            "this method needs concepts: extract from a corpus with labels, or pass concepts={'month': {'May', 'June'}}"
        )
    return there if needed else []


def _names(labels: Any) -> list[str]:
    return list(labels) if isinstance(labels, Mapping) else [] if labels is None else ["label"]


def _add(found: dict[str, np.ndarray], name: str, mask: np.ndarray) -> None:
    if name in found:
        raise ValueError(f"two concepts are called {name!r}: rename the one in concepts=")
    found[name] = mask


def _classes(source: Activations | ActivationStore, evidence: Evidence, name: str) -> dict[str, np.ndarray]:
    """The classes of one set of labels over the rows; rows without a label are in none of them."""
    every = list(source.row_labels(name))
    values = [every[row] for row in evidence.rows.tolist()]
    present = sorted({value for value in values if value is not None}, key=str)
    if set(present) <= {True, False} and all(isinstance(value, bool | np.bool_) for value in present):
        return {name: np.array([value is not None and bool(value) for value in values])}
    if len(present) > MOST_CLASSES:
        raise ValueError(
            f"the labels {name!r} have {len(present)} classes, more than {MOST_CLASSES}: name others with labels=, or pass"
            " concepts="
        )
    number = {value: i for i, value in enumerate(present)}
    codes = np.array([-1 if value is None else number[value] for value in values])
    return {str(value): codes == i for i, value in enumerate(present)}


def _ruled(source: Activations | ActivationStore, evidence: Evidence, name: str, rule: Any) -> np.ndarray:
    """One concept by rule, or by a mask over the rows of the source."""
    if isinstance(rule, np.ndarray) or (isinstance(rule, list | tuple) and rule and isinstance(rule[0], bool)):
        mask = np.asarray(rule)
        if mask.dtype != bool or mask.ndim != 1 or len(mask) <= evidence.rows.max(initial=-1):
            raise ValueError(
                f"concept {name!r}: expected one True or False for each row of the source, got {mask.shape}"
            )
        return np.asarray(mask[evidence.rows])
    return word_mask(name, rule, evidence.words)


def word_mask(name: str, rule: Any, words: Sequence[str]) -> np.ndarray:
    """For which words a rule holds, bool (word,); each different word is asked about once."""
    types = list(dict.fromkeys(word for word in words if word))
    sentence = Sentence(*joined_words(types))
    holds = dict(zip(types, marks_of({name: rule})[name](sentence), strict=True))
    return np.array([holds.get(word, False) for word in words], dtype=bool)
