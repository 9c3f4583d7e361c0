"""Compositional explanations: which formula over concepts holds where the neuron fires? (Mu and Andreas 2020)

With M the tokens where a > T, T a top quantile, the formula L maximises IoU(M, L) = |M and L| / |M or L|. As there,
formulas grow by one concept or its negation at a time, joined by AND or OR, and a beam of the best is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurowidget.analysis.examples.concept_masks import concept_masks
from neurowidget.analysis.examples.formulas import Formula, beam_search, holds, intersection_over_union, written
from neurowidget.analysis.examples.sources import evidence_of, shared
from neurowidget.analysis.examples.verdict import verdict
from neurowidget.neuron import Neuron
from neurowidget.results.explanations import Explanation, Statement

FEW = 10  # tokens above the threshold


def compositional(
    source: Any,
    neuron: Neuron | str,
    *,
    concepts: Mapping[str, Any] | None = None,
    labels: str | Sequence[str] | None = None,
    length: int = 3,
    beam: int = 10,
    top_fraction: float = 0.01,
    threshold: float | None = None,
    controls: int = 20,
    seed: int = 0,
) -> Explanation:
    """The formulas, such as "(NOUN AND NOT caps) OR year", that hold where the neuron is among its highest or lowest.

    `source` is Activations or a store; for `concepts` and `labels` see `concept_masks`. The neuron fires above the quantile
    1 - `top_fraction` of the first half, and with sign -1 below the quantile `top_fraction`; `threshold` replaces both by
    a > threshold. The statements are the best formula of up to `length` concepts and the best of those that are shorter, down
    to one concept, for both signs. Held out: IoU on the other half, at the same threshold, of the formula and sign that
    are best on the first.
    """
    if length < 1 or beam < 1 or not 0 < top_fraction < 1:
        raise ValueError(
            f"length={length}, beam={beam}, top_fraction={top_fraction}: expected 1 or more, 1 or more, and between 0 and 1"
        )
    evidence = shared(evidence_of(source, neuron, controls, seed), "compositional")
    names, masks = concept_masks(source, evidence, concepts, labels)
    columns, made = len(evidence.neurons), evidence.made
    if threshold is None:
        signs = [1, -1]
        signed = np.concatenate([evidence.values, -evidence.values], axis=1)
        thresholds = np.quantile(signed[made], 1 - top_fraction, axis=0, method="lower")
        # Many rows may share the highest value: they fire then, unless they are half of all.
        shared_peak = (signed[made] >= thresholds).mean(axis=0) < 0.5
        none_above = ~(signed[made] > thresholds).any(axis=0)
        thresholds = np.where(none_above & shared_peak, np.nextafter(thresholds, -np.inf), thresholds)
    else:
        signs, signed, thresholds = [1], evidence.values, np.full(columns, threshold, dtype=np.float32)
    fires = signed > thresholds

    searched = beam_search(masks[:, made], fires[made].T, length, beam)
    first = np.array([found[0][0] for found in searched]).reshape(len(signs), columns)
    held = np.array([
        float(intersection_over_union(holds(found[0][1], masks[:, ~made]), fires[~made, column]))
        for column, found in enumerate(searched)
    ]).reshape(len(signs), columns)  # fmt: skip
    best = first.argmax(axis=0)
    scores = held[best, np.arange(columns)]

    statements = [
        _statement(iou, formula, names, masks, fires[:, at * columns], made, sign, float(thresholds[at * columns]))
        for at, sign in enumerate(signs)
        for iou, formula in _steps(searched[at * columns])
    ]
    statements.sort(key=lambda statement: -statement.score)
    few = int(fires[made][:, best[0] * columns].sum())
    return verdict(
        source, evidence, "compositional", statements, scores, evidence.neurons,
        statement_score="IoU of the formula with the highest activations",
        score_name="held-out IoU of the best formula",
        score_range=(0.0, 1.0),
        warnings=[f"Only {few} tokens of the first half are above the threshold: take more text or a larger top_fraction."]
        if few < FEW else [],
        seed=seed, length=length, beam=beam, top_fraction=top_fraction, threshold=threshold, concepts=names,
    )  # fmt: skip


def _steps(found: Sequence[tuple[float, Formula]]) -> list[tuple[float, Formula]]:
    """The best formula of each length that covers more than every shorter one; `found` is best first."""
    best: list[tuple[float, Formula]] = []
    for iou, formula in found:
        if iou > 0 and (not best or len(formula) < len(best[-1][1])):
            best.append((iou, formula))
    return best


def _statement(
    iou: float, formula: Formula, names: Sequence[str], masks: np.ndarray, fires: np.ndarray, made: np.ndarray,
    sign: int, threshold: float,
) -> Statement:  # fmt: skip
    """A formula with its numbers on both halves; `threshold` is told in the neuron's own sign."""
    where = holds(formula, masks)
    both = where & fires
    details = {
        "held_out_iou": float(intersection_over_union(where[~made], fires[~made])),
        "precision": float(both[made].sum() / max(int(where[made].sum()), 1)),
        "recall": float(both[made].sum() / max(int(fires[made].sum()), 1)),
        "threshold": sign * threshold,
        "length": len(formula),
    }
    return Statement(written(formula, names), iou, sign, int(both[made].sum()), details)
