"""Top n-grams: after which words does the neuron fire? (Kádár, Chrupała and Alishahi 2017: top k contexts.)

The score of an n-gram is the mean standardised activation at its last token, over its occurrences.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurowidget.analysis.examples.evidence import Evidence, correlations, group_means
from neurowidget.analysis.examples.sources import evidence_of
from neurowidget.analysis.examples.verdict import both_ends, verdict
from neurowidget.neuron import Neuron
from neurowidget.results.explanations import Explanation, Statement


def top_ngrams(
    source: Any,
    neuron: Neuron | str,
    *,
    longest: int = 3,
    top: int = 10,
    min_count: int = 3,
    fold_case: bool = False,
    controls: int = 20,
    seed: int = 0,
) -> Explanation:
    """The n-grams, n = 1 to `longest`, with the highest and lowest mean activation at their last token; `top` of each.

    `source` is Activations, a store or Examples; n-grams are of its rows, tokens or words, and stay within a sentence.
    One that occurs under `min_count` times in the first half of the sentences is left out, and so is a longer one with the
    same occurrences as its own ending. Held out: the correlation, over the rows of the other half, of the
    activation with the mean of the longest known n-gram that ends there (0, the overall mean, where there is none).
    """
    if longest < 1:
        raise ValueError(f"longest={longest}: expected the length of the longest n-grams, 1 or more")
    parts = evidence_of(source, neuron, controls, seed)
    tables, scores = zip(*(_tables(part, longest, min_count, fold_case) for part in parts), strict=True)
    found: list[tuple[float, int, int, str]] = []
    for length, (counts, means, first) in enumerate(tables[0], start=1):
        for i in np.flatnonzero(counts >= min_count):
            found.append((float(means[i, 0]), int(counts[i]), length, _text(parts[0], int(first[i]), length)))
    found.sort(key=lambda item: (-item[0], -item[1], item[2], item[3]))
    chosen = both_ends(np.arange(len(found)), np.array([item[0] for item in found]), top)
    statements = [
        Statement(text, mean, 1 if mean > 0 else -1, count, {"length": length})
        for mean, count, length, text in (found[i] for i in chosen)
    ]
    return verdict(
        source, parts[0], "top_ngrams", statements, np.concatenate(scores), [n for part in parts for n in part.neurons],
        statement_score="mean activation at the last token in standard deviations",
        score_name="correlation with held-out activations of the mean of the longest known n-gram",
        warnings=[] if found else [f"No n-gram occurs {min_count} times in the first half: give more text."],
        seed=seed, longest=longest, top=top, min_count=min_count, fold_case=fold_case,
    )  # fmt: skip


def _tables(
    evidence: Evidence, longest: int, min_count: int, fold_case: bool
) -> tuple[list[tuple[np.ndarray, np.ndarray, np.ndarray]], np.ndarray]:
    """For each length counts (n-gram,), means (n-gram, column), a row where each ends; and the scores (column,).

    An n-gram with as many occurrences as its ending has the same ones: its count is then 0.
    """
    made, values = evidence.made, evidence.standardised
    single = _numbers(evidence, fold_case)
    position = _places(evidence.runs)
    predicted = np.zeros_like(values)
    tables = []
    gram = single.copy()  # the number of the n-gram that ends at each row
    inside = np.ones(len(evidence), dtype=bool)
    endings: np.ndarray | None = None  # how often the n-gram one shorter occurs, per row
    for length in range(1, longest + 1):
        if length > 1:
            inside = position >= length - 1
            before = np.concatenate([[0], gram[:-1]])
            pairs = before * (int(single.max(initial=0)) + 1) + single
            gram = np.unique(np.where(inside, pairs, -1), return_inverse=True)[1]
        here = made & inside
        count = int(gram.max(initial=-1)) + 1
        counts, means = group_means(gram[here], values[here], count)
        first = np.zeros(count, dtype=np.int64)
        first[gram[here][::-1]] = np.flatnonzero(here)[::-1]
        known = inside & (counts[gram] >= min_count)
        predicted = np.where(known[:, None], means[gram], predicted)
        per_row = np.where(inside, counts[gram], 0)
        listed = counts.copy()
        if endings is not None:
            listed[counts == endings[first]] = 0
        tables.append((listed, means, first))
        endings = per_row
    return tables, correlations(predicted[~made], values[~made])


def _numbers(evidence: Evidence, fold_case: bool) -> np.ndarray:
    """A number for each kind of row: its text, and whether it goes on with the word of the row before."""
    goes_on = np.zeros(len(evidence), dtype=bool)
    goes_on[1:] = (np.diff(evidence.word) == 0) & (np.diff(evidence.runs) == 0)
    number: dict[tuple[str, bool], int] = {}
    found = []
    for row, on in enumerate(goes_on.tolist()):
        text = _text(evidence, row, 1)
        found.append(number.setdefault((text.casefold() if fold_case else text, on), len(number)))
    return np.array(found, dtype=np.int64)


def _places(runs: np.ndarray) -> np.ndarray:
    """The position of each row in its run."""
    starts = np.flatnonzero(np.diff(runs, prepend=-1))
    return np.asarray(np.arange(len(runs)) - np.repeat(starts, np.diff(starts, append=len(runs))))


def _text(evidence: Evidence, last: int, length: int) -> str:
    """The n-gram of `length` rows that ends at row `last`, as it is written."""
    text = evidence.texts[evidence.sentence[last]]
    return text[evidence.start[last - length + 1] : evidence.end[last]].strip()
