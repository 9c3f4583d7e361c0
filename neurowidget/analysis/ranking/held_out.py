"""Rows to train on, to choose on and to score on: shares of the same texts, or other texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from neurowidget.analysis.ranking.report import Parts
from neurowidget.analysis.statistics.labelled_rows import ActivationSource, LabelledRows, labelled_rows
from neurowidget.analysis.statistics.linear_probes import TrainingRows
from neurowidget.analysis.statistics.splits import By, split_rows

Labels = str | Sequence[Any] | None


def held_out(
    rows: LabelledRows,
    labels: Labels,
    test: float | ActivationSource | tuple[ActivationSource, Sequence[Any]],
    dev: float,
    split: By,
    seed: int,
    where: dict[str, Any],
    classes: Sequence[Any] | None,
) -> tuple[LabelledRows, LabelledRows, LabelledRows]:
    """Rows to train on, to choose on and to score on."""
    if split == "word_type" and rows.pool is not None:
        raise ValueError("split='word_type' is for labels of words; these are labels of texts")
    if split == "word_type" and not isinstance(test, float | int):
        raise ValueError("split='word_type' holds out words of the same texts: test must be a share")
    share = float(test) if isinstance(test, float | int) else 0.0
    groups, what = (rows.texts, "texts") if split == "sentence" else (rows.words, "word types")
    parts = split_rows(groups, rows.targets if rows.classes else None, dev=dev, test=share, seed=seed, what=what)
    train, held_dev, held_test = (rows.take(part) for part in (parts.train, parts.dev, parts.test))
    if not isinstance(test, float | int):
        source, names = test if isinstance(test, tuple) else (test, labels)
        held_test = _given_test(source, names, rows, where, classes)
    return train, held_dev, held_test


def _given_test(
    source: ActivationSource, labels: Labels, rows: LabelledRows, where: dict[str, Any], classes: Sequence[Any] | None
) -> LabelledRows:
    if labels is not None and not isinstance(labels, str) and not hasattr(source, "__getitem__"):
        raise ValueError("labels were given as a list: give test=(activations, labels)")
    found, _ = labelled_rows(source, labels, classes=classes, **where)
    if found.sites != rows.sites or found.widths != rows.widths:
        raise ValueError(f"test has the neurons of {', '.join(found.sites)}, training those of {', '.join(rows.sites)}")
    unseen = [label for label in found.classes if label not in rows.classes]
    if unseen:
        raise ValueError(
            f"{len(unseen)} classes are only in test: {', '.join(map(repr, unseen[:5]))}; add them to the training texts,"
            " or leave them out with classes=[...]"
        )
    if not rows.classes:
        return found
    places = np.array([rows.classes.index(label) for label in found.classes], dtype=np.int64)
    return replace(found.with_targets(places[found.targets]), classes=rows.classes)


def rows_of_untrained(
    source: ActivationSource,
    labels: Labels,
    where: dict[str, Any],
    rows: LabelledRows,
    train: LabelledRows,
    dev: LabelledRows,
    test: LabelledRows,
    split: str,
) -> Parts:
    """The same rows of another model's activations."""
    arrays = {part.site: source[part.site] for part in rows.parts}
    for name, array in arrays.items():
        if tuple(array.shape) != tuple(rows.arrays[name].shape) and rows.pool is None:
            raise ValueError(
                f"untrained has {name} of shape {tuple(array.shape)}, the trained model {tuple(rows.arrays[name].shape)}:"
                " extract the same texts with the same options"
            )
    if rows.pool is not None:
        other, _ = labelled_rows(source, labels, **where)
        arrays = dict(other.arrays)
    if any(
        np.array_equal(np.asarray(arrays[p.site][p.position]), np.asarray(rows.arrays[p.site][p.position]))
        for p in rows.parts
    ):
        raise ValueError("untrained has the same activations as the trained model: its weights were not drawn again")
    if test.arrays is not rows.arrays:
        raise ValueError("untrained needs a test share of the same activations, not other activations")
    parts = [replace(part, arrays=arrays) for part in (train, dev, test)]
    return Parts(TrainingRows.of(parts[0]), parts[1], parts[2], split)
