"""Proposed: an explanation by a callable of the user's, a language model for one, scored like every other.

The callable sees the top examples of the first half, each a sentence with the words marked on which the neuron fires. What
it says is scored on the other half in two ways (Bills et al. 2023; Paulo et al. 2024). Simulation: the correlation of
the activations that it predicts, word by word, with the true ones. Detection: does it tell sentences with high
activations from others? (The area under the ROC curve, 0.5 by chance.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from neurowidget.analysis.examples.concept_masks import word_mask
from neurowidget.analysis.examples.evidence import Evidence, correlations
from neurowidget.analysis.examples.sources import evidence_of
from neurowidget.analysis.examples.verdict import verdict
from neurowidget.models.progress import StopFlag, check
from neurowidget.neuron import Neuron
from neurowidget.results.explanations import Explanation, Statement

MARKS = ("«", "»")
FIRES = 0.5  # of the highest activation in the sentence: such words are marked
Scores = tuple[float, float]  # simulation and detection, NaN where there is none


def proposed(
    source: Any,
    neuron: Neuron | str,
    *,
    propose: Callable[[list[str]], Any] | None = None,
    judge: Callable[[Any, str], Any] | None = None,
    simulate: Callable[[Any, list[str]], Sequence[float]] | None = None,
    sign: int = 1,
    examples: int = 20,
    sentences: int = 20,
    controls: int = 5,
    seed: int = 0,
    progress: bool = True,
    should_stop: StopFlag | None = None,
) -> Explanation:
    """What `propose(examples)` says about the neuron, scored by simulation and by detection on held-out sentences.

    `source` is Activations, a store or Examples. `propose` gets the `examples` sentences with the highest values (lowest
    for `sign` -1), words on which the neuron fires in «marks», and returns words (a set or list), a compiled
    expression, a function of a word, or a text. Words and expressions predict 1 where they hold, else 0; a text needs
    `judge(explanation, sentence)`, True, False or a number that is higher where the neuron fires, or
    `simulate(explanation, words)`, one number per word. These are asked about `sentences` held-out sentences, half of
    them the highest and half drawn from the lower half. Held out: the simulation's correlation, without one 2 x detection - 1.
    `propose` is called once more for each of the `controls` random neurons. Raises ValueError for an answer that cannot be used.
    """
    if propose is None:
        raise ValueError(
            "proposed needs propose=, a function that is given the top examples and returns an explanation"
        )
    if sign not in (1, -1) or examples < 1 or sentences < 2:
        raise ValueError(f"sign={sign}, examples={examples}, sentences={sentences}: expected 1 or -1, 1 and 2 or more")
    parts = [part.by_word() for part in evidence_of(source, neuron, controls, seed)]
    found: list[tuple[Any, int, Scores]] = []
    columns = [(part, column) for part in parts for column in range(len(part.neurons))]
    for part, column in tqdm(columns, desc="proposed", unit=" neurons", disable=not progress):
        check(should_stop)
        shown = _shown(part, column, sign, examples)
        answer = propose(shown)
        rng = np.random.default_rng([seed, part.neurons[column].index])
        found.append((answer, len(shown), _scored(part, column, sign, answer, judge, simulate, sentences, rng)))
    answer, count, (simulation, detection) = found[0]
    simulated = is_rule(answer) or simulate is not None
    scores = np.array([score[0] if simulated else 2 * score[1] - 1 for _, _, score in found])
    name = (
        "correlation of predicted with held-out activations"
        if simulated
        else "held-out detection, 2 x area under the ROC curve - 1"
    )
    details = {"simulation": simulation, "detection": detection}
    return verdict(
        source, parts[0], "proposed", [Statement(_label(answer), float(scores[0]), sign, count, details)], scores,
        [neuron for part in parts for neuron in part.neurons],
        statement_score=name, score_name=name, seed=seed, sign=sign, examples=examples, sentences=sentences,
        propose=_label(propose), judge=None if judge is None else _label(judge),
        simulate=None if simulate is None else _label(simulate),
    )  # fmt: skip


def is_rule(answer: Any) -> bool:
    """Whether an explanation says by itself which words it is about."""
    return not isinstance(answer, str) and (
        callable(answer) or isinstance(answer, re.Pattern | set | frozenset | list | tuple)
    )


def _label(answer: Any) -> str:
    """An explanation, or a callable, as text."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, re.Pattern):
        return f"/{answer.pattern}/"
    if isinstance(answer, set | frozenset | list | tuple):
        return ", ".join(sorted(map(str, answer)) if isinstance(answer, set | frozenset) else map(str, answer))
    return str(getattr(answer, "__name__", type(answer).__name__))


def _shown(part: Evidence, column: int, sign: int, examples: int) -> list[str]:
    """The sentences with the highest values of the first half, the words that fire in marks."""
    shown = []
    signed = sign * part.standardised[:, column]
    for row in part.peaks(column, sign)[:examples].tolist():
        text = part.texts[part.sentence[row]]
        here = np.flatnonzero((part.sentence == part.sentence[row]) & (signed >= FIRES * signed[row]))
        for at in here[::-1].tolist():
            start, end = int(part.start[at]), int(part.end[at])
            text = f"{text[:start]}{MARKS[0]}{text[start:end]}{MARKS[1]}{text[end:]}"
        shown.append(text)
    return shown


def _scored(
    part: Evidence, column: int, sign: int, answer: Any, judge: Callable[[Any, str], Any] | None,
    simulate: Callable[[Any, list[str]], Sequence[float]] | None, sentences: int, rng: np.random.Generator,
) -> Scores:  # fmt: skip
    """Simulation and detection of an explanation on the held-out half."""
    rule = is_rule(answer)
    if not rule and not isinstance(answer, str):
        raise ValueError(
            f"propose returned {type(answer).__name__}: expected a text, words, a compiled expression or a function of a word"
        )
    if not rule and judge is None and simulate is None:
        raise ValueError(
            f"propose returned the text {answer[:60]!r}: pass judge= or simulate= to score it, or return words or an"
            " expression"
        )
    peaks = part.peaks(column, sign, held_out=True)
    few = min(sentences // 2, len(peaks) // 2)
    low = peaks[len(peaks) - len(peaks) // 2 :]
    chosen = peaks if rule and judge is None else np.concatenate([peaks[:few], rng.permutation(low)[:few]])
    rows = [np.flatnonzero(part.sentence == part.sentence[peak]) for peak in chosen.tolist()]
    words = [[part.words[row] for row in group.tolist()] for group in rows]
    predicted: list[np.ndarray] | None = None
    if rule:
        holds = word_mask("the proposal", answer, part.words)
        predicted = [holds[group].astype(np.float64) for group in rows]
    elif simulate is not None:
        predicted = [_numbers(simulate(answer, given), len(given)) for given in words]

    simulation = detection = float("nan")
    if predicted is not None and rows:
        together = np.concatenate(predicted)[:, None]
        simulation = float(correlations(together, sign * part.values[np.concatenate(rows)][:, [column]])[0])
    if judge is not None:
        told = np.array([float(judge(answer, part.texts[part.sentence[peak]])) for peak in chosen.tolist()])
    else:
        told = np.array([values.max(initial=-np.inf) for values in predicted or []])
    if few:
        high = np.isin(chosen, peaks[:few])
        apart = high | np.isin(chosen, low)
        detection = area_under_curve(told[apart], high[apart])
    return simulation, detection


def _numbers(predicted: Any, count: int) -> np.ndarray:
    values = np.asarray(predicted, dtype=np.float64)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise ValueError(
            f"simulate returned numbers of shape {values.shape} for {count} words: expected one number per word"
        )
    return values


def area_under_curve(scores: np.ndarray, positive: np.ndarray) -> float:
    """The chance that a positive has a higher score than a negative, ties counting half; NaN where one is missing."""
    from scipy.stats import rankdata

    count = int(positive.sum())
    if not 0 < count < len(positive):
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))
