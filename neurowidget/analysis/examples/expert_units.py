"""Expert units: of which concept is the neuron, taken as a classifier, the best one?

The average precision of ranking tokens, or sentences by their highest token, by activation (Suau, Zappella and
Apostoloff 2020, section 3), for the activation and for its negative. A ranking by chance gets the base rate of the concept,
so concepts are compared by (AP - base) / (1 - base).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from neurowidget.analysis.examples.concept_masks import concept_masks
from neurowidget.analysis.examples.evidence import Evidence
from neurowidget.analysis.examples.sources import evidence_of, shared
from neurowidget.analysis.examples.verdict import verdict
from neurowidget.neuron import Neuron
from neurowidget.results.explanations import Explanation, Statement

Level = Literal["token", "sentence"]


def expert_units(
    source: Any,
    neuron: Neuron | str,
    *,
    concepts: Mapping[str, Any] | None = None,
    labels: str | Sequence[str] | None = None,
    level: Level = "token",
    top: int = 10,
    controls: int = 20,
    seed: int = 0,
) -> Explanation:
    """The concepts that the neuron, or its negative, finds best, by average precision above the base rate.

    `source` is Activations or a store; for `concepts` and `labels` see `concept_masks`. `level` "token" ranks rows,
    "sentence" whole sentences by their highest row, which have a concept when one of their rows has it; both numbers are
    in the details. Held out: (AP - base) / (1 - base), on the other half, of the concept and sign that are best on the
    first half; 0 is chance, 1 perfect.
    """
    if level not in ("token", "sentence"):
        raise ValueError(f"level={level!r}: expected 'token' or 'sentence'")
    evidence = shared(evidence_of(source, neuron, controls, seed), "expert_units")
    names, masks = concept_masks(source, evidence, concepts, labels)
    columns = len(evidence.neurons)
    found = {at: _halves(evidence, masks, at) for at in ("token", "sentence")}
    (first, base), (held, held_base) = found[level]
    lift, held_lift = _above(first, base), _above(held, held_base)

    every = np.nan_to_num(lift, nan=-np.inf).reshape(
        len(names), 2, columns
    )  # the columns are both signs of each neuron
    best = every.reshape(-1, columns).argmax(axis=0)
    scores = held_lift.reshape(-1, columns)[best, np.arange(columns)]

    own = every[:, :, 0]
    sign = own.argmax(axis=1)
    strongest = own.max(axis=1)
    statements = []
    for i in np.lexsort((np.arange(len(names)), -strongest))[:top].tolist():
        if not np.isfinite(strongest[i]):  # it holds in every sentence
            continue
        column = sign[i] * columns
        details = {"above_base_rate": float(strongest[i]), "base_rate": float(base[i])}
        details |= {"held_out_ap": float(held[i, column]), "held_out_base_rate": float(held_base[i])}
        details |= {f"{at}_ap": float(found[at][0][0][i, column]) for at in found}
        count = int(masks[i][evidence.made].sum())
        statements.append(Statement(names[i], float(first[i, column]), 1 - 2 * int(sign[i]), count, details))
    return verdict(
        source, evidence, "expert_units", statements, scores, evidence.neurons,
        statement_score=f"average precision over {level}s",
        score_name=f"held-out average precision over {level}s above the base rate, (AP - base) / (1 - base)",
        seed=seed, level=level, top=top, concepts=names,
    )  # fmt: skip


def average_precisions(values: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The average precision of each column as a score of each concept, float64 (concept, column); NaN without a positive.

    `values` is (row, column), `masks` bool (concept, row). The sum over thresholds of the gain in recall times the
    precision there; rows of one value share a threshold, as in scikit-learn's average_precision_score.
    """
    rows, columns = values.shape
    positives = masks.sum(axis=1)
    concept, row = np.nonzero(masks)
    first = np.repeat(np.cumsum(positives) - positives, positives)  # where the positives of a concept begin
    found = np.full((len(masks), columns), np.nan)
    for column in range(columns if rows else 0):
        order = np.argsort(-values[:, column], kind="stable")
        ends = np.append(np.flatnonzero(np.diff(values[order, column])), rows - 1) + 1
        reached = np.empty(rows, dtype=np.int64)  # how many rows have this row's value or a higher one
        reached[order] = np.repeat(ends, np.diff(ends, prepend=0))
        ranks = np.sort(concept * (rows + 1) + reached[row])
        hits = np.searchsorted(ranks, ranks, side="right") - first
        total = np.bincount(concept, hits / (ranks % (rows + 1)), minlength=len(masks))
        np.divide(total, positives, out=found[:, column], where=positives > 0)
    return found


def _halves(
    evidence: Evidence, masks: np.ndarray, level: str
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """For each half of the sentences, (concept, column) average precisions and (concept,) base rates.

    The columns are the values of all neurons, then their negatives.
    """
    values, held_out = np.concatenate([evidence.values, -evidence.values], axis=1), evidence.held_out
    if level == "sentence":
        starts = np.flatnonzero(np.diff(evidence.sentence, prepend=-1))
        values = np.maximum.reduceat(values, starts, axis=0)
        masks, held_out = np.logical_or.reduceat(masks, starts, axis=1), held_out[starts]
    first, second = (
        (average_precisions(values[half], masks[:, half]), masks[:, half].mean(axis=1))
        for half in (~held_out, held_out)
    )
    return first, second


def _above(precision: np.ndarray, base: np.ndarray) -> np.ndarray:
    """(AP - base) / (1 - base), NaN for a concept that holds everywhere."""
    room = 1 - base[:, None]
    return np.divide(precision - base[:, None], room, out=np.full_like(precision, np.nan), where=room > 0)
