"""One row per text from one row per token."""

from __future__ import annotations

from typing import Literal

import numpy as np

from neurowidget.results.tokens import Tokens

Pool = Literal["mean", "max", "first", "last"]
POOLS = ("mean", "max", "first", "last")


def pool_texts(values: np.ndarray, tokens: Tokens, how: str) -> np.ndarray:
    """float32 (text, neuron) from (token, neuron); NaN for a text without tokens.

    "mean" and "max" leave special tokens and rows of NaN out; "first" and "last" are the first and last row of the text,
    special or not (so "first" is [CLS] where it was kept). Raises ValueError for another `how`.
    """
    if how not in POOLS:
        raise ValueError(f"pool={how!r}: expected one of {', '.join(map(repr, POOLS))}")
    rows = np.arange(len(tokens))
    if how in ("mean", "max"):
        rows = rows[~tokens.special & ~np.isnan(values[:, 0])]
    pooled = np.full((len(tokens.texts), values.shape[1]), np.nan, dtype=np.float32)
    if not len(rows):
        return pooled
    rows = rows[np.argsort(tokens.sentence_index[rows], kind="stable")]
    texts, starts = np.unique(tokens.sentence_index[rows], return_index=True)
    ends = np.append(starts[1:], len(rows))
    if how == "mean":
        sums = np.add.reduceat(values[rows], starts, axis=0, dtype=np.float64)
        pooled[texts] = sums / (ends - starts)[:, None]
    elif how == "max":
        pooled[texts] = np.maximum.reduceat(values[rows], starts, axis=0)
    else:
        pooled[texts] = values[rows[starts if how == "first" else ends - 1]]
    return pooled
