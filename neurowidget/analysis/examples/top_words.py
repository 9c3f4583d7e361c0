"""Top words: which word types does the neuron fire on, and which does it keep silent on?

The score of a word type w is the mean over its occurrences of (a - mean) / sd, with its sign: a neuron that is high on
one word and low on another has both at the ends of one list. (Dalvi et al. 2019, "NeuroX", take the mean of the absolute
value, which makes the two alike.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurowidget.analysis.examples.evidence import Evidence, correlations, group_means
from neurowidget.analysis.examples.sources import evidence_of
from neurowidget.analysis.examples.verdict import both_ends, verdict
from neurowidget.neuron import Neuron
from neurowidget.results.explanations import Explanation, Statement


def top_words(
    source: Any,
    neuron: Neuron | str,
    *,
    top: int = 10,
    min_count: int = 3,
    fold_case: bool = False,
    controls: int = 20,
    seed: int = 0,
) -> Explanation:
    """The word types with the highest and the lowest mean activation, in standard deviations; `top` of each.

    `source` is Activations, a store or Examples; a word of several tokens has their mean. Word types with under
    `min_count` occurrences in the first half of the sentences are left out. Held out: the correlation, over the words of
    the other half, of the activation with the mean of the word's type (0, the overall mean, for a word without one).
    """
    parts = [evidence.by_word() for evidence in evidence_of(source, neuron, controls, seed)]
    types, counts, means, scores = _table(parts[0], min_count, fold_case)
    every = [scores, *(_table(part, min_count, fold_case)[3] for part in parts[1:])]
    own = means[:, 0]
    known = np.flatnonzero(counts >= min_count)
    order = known[np.lexsort((known, -counts[known], -own[known]))]
    statements = [
        Statement(types[i], float(own[i]), 1 if own[i] > 0 else -1, int(counts[i])) for i in both_ends(order, own, top)
    ]
    return verdict(
        source, parts[0], "top_words", statements, np.concatenate(every), [n for part in parts for n in part.neurons],
        statement_score="mean activation in standard deviations",
        score_name="correlation with held-out activations of the mean of the word's type",
        warnings=[] if len(known) else [f"No word occurs {min_count} times in the first half: give more text."],
        seed=seed, top=top, min_count=min_count, fold_case=fold_case,
    )  # fmt: skip


def _table(evidence: Evidence, min_count: int, fold_case: bool) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Word types, their counts (type,) and mean standardised values (type, column) on the first half, scores (column,)."""
    words = [word.casefold() for word in evidence.words] if fold_case else evidence.words
    number = {word: i for i, word in enumerate(dict.fromkeys(words))}
    groups = np.array([number[word] for word in words], dtype=np.int64)
    values, made = evidence.standardised, evidence.made
    counts, means = group_means(groups[made], values[made], len(number))
    means = np.where((counts >= min_count)[:, None], means, 0.0)
    scores = correlations(means[groups[~made]], values[~made])
    return list(number), counts, means, scores
