"""Results as the JSON parts that views read (ARCHITECTURE.md, Wire)."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurowidget.results import Attribution, Prediction, Tokens

LONGEST_LIST = 100


def tokens(value: Tokens) -> dict[str, Any]:
    """The tokens of one text, or of several joined by their order."""
    return {
        "text": "\n".join(value.texts),
        "pieces": list(value.pieces),
        "raw": list(value.raw),
        "ids": value.ids.tolist(),
        "special": value.special.tolist(),
        "shares": value.shares.tolist(),
        "word": value.word.tolist(),
    }


def prediction(value: Prediction, target: tuple[str, float] | None = None) -> dict[str, Any]:
    """A prediction with, if there is one, the name and value of the target."""
    return {
        "kind": value.kind,
        "labels": list(value.labels[:LONGEST_LIST]),
        "ids": value.ids[:LONGEST_LIST].tolist(),
        "probabilities": numbers(value.probabilities[:LONGEST_LIST]),
        "target": None if target is None else {"name": target[0], "value": number(target[1])},
        "interventions": list(value.interventions),
    }


def scores(value: Attribution) -> dict[str, Any]:
    """The token scores of an attribution, for a token strip."""
    return {
        "values": numbers(value.scores),
        "name": value.provenance.method.replace("_", " "),
        "of": value.target,
        "signed": value.signed,
        "unit": "",
        "exclude_special": True,
    }


def attribution(value: Attribution) -> dict[str, Any]:
    """An attribution with what is needed to judge it."""
    return {
        "target": value.target,
        "method": value.provenance.method.replace("_", " "),
        "scores": numbers(value.scores),
        "baseline": value.baseline,
        "value": number(value.value),
        "baseline_value": number(value.baseline_value),
        "completeness_error": number(value.completeness_error),
        "warnings": list(value.warnings),
    }


def number(value: float | np.floating[Any] | None) -> float | None:
    """A JSON number; NaN and infinities, which JSON has not, become None."""
    return None if value is None or not np.isfinite(value) else float(value)


def numbers(values: np.ndarray) -> list[float | None]:
    """JSON numbers of an array of one axis, to 7 significant digits."""
    return [float(f"{v:.7g}") if np.isfinite(v) else None for v in np.asarray(values, dtype=float).tolist()]
