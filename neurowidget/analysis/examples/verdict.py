"""Statements and scores as an Explanation, with the warnings that a reader needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from neurowidget.analysis.examples.evidence import Evidence
from neurowidget.neuron import Neuron
from neurowidget.results.base import Provenance
from neurowidget.results.explanations import Explanation, Statement


def verdict(
    source: Any,
    evidence: Evidence,
    method: str,
    statements: Sequence[Statement],
    scores: np.ndarray,
    neurons: Sequence[Neuron],
    *,
    statement_score: str,
    score_name: str,
    score_range: tuple[float, float] = (-1.0, 1.0),
    chance: float = 0.0,
    warnings: Sequence[str] = (),
    seed: int = 0,
    **parameters: Any,
) -> Explanation:
    """The Explanation of `neurons[0]`; `scores` (neuron,) are held-out scores, those of the random neurons after its own."""
    own, others = float(scores[0]), np.asarray(scores[1:], dtype=np.float64)
    found = [*warnings, *evidence.notes]
    constant = bool(np.ptp(evidence.values[:, 0]) == 0) if len(evidence) else True
    if constant:
        found.append("The neuron has one and the same value everywhere here: there is nothing to explain.")
        statements = ()
    elif not np.isfinite(own):
        found.append("There is no held-out score: the second half of the sentences has nothing to score it on.")
    known = others[np.isfinite(others)]
    if np.isfinite(own) and len(known) and own <= np.percentile(known, 95):
        found.append(
            f"{np.mean(known >= own):.0%} of {len(known)} random neurons of the layer reach this held-out score: as an account of"
            " this neuron in particular it says little."
        )
    if not len(known):
        found.append("There are no random neurons to compare with.")
    return Explanation(
        neuron=str(neurons[0]),
        method=method,
        statements=tuple(statements),
        statement_score=statement_score,
        held_out_score=own,
        score_name=score_name,
        score_range=score_range,
        chance=chance,
        control_scores=others,
        control_neurons=tuple(map(str, neurons[1:])),
        warnings=tuple(found),
        provenance=_provenance(source, neurons[0], method, seed, parameters),
    )


def _provenance(source: Any, neuron: Neuron, method: str, seed: int, parameters: dict[str, Any]) -> Provenance:
    """That of the source, whose own method and parameters are kept under "source"."""
    given = getattr(source, "provenance", None)
    if not isinstance(given, Provenance):
        return Provenance(method=method, model="", site=neuron.site, seed=seed, parameters=parameters)
    before = {"method": given.method, "seed": given.seed, **given.parameters}
    return replace(given, method=method, site=neuron.site, seed=seed, parameters={**parameters, "source": before})


def both_ends(order: np.ndarray, scores: np.ndarray, top: int) -> list[int]:
    """Indices of the `top` highest positive and the `top` lowest negative scores; `order` is from high to low."""
    high = [int(i) for i in order[:top] if scores[i] > 0]
    return high + [int(i) for i in order[::-1][:top] if scores[i] < 0]
