"""Labels without meaning, against which a probe's score is compared."""

from __future__ import annotations

import numpy as np


def control_labels(words: np.ndarray, targets: np.ndarray, seed: int) -> np.ndarray:
    """One random label per word type, int64 (row,): the control task of Hewitt and Liang (2019), section 2.1.

    Every type gets the label of a random row, so that labels are as frequent as in `targets` (row,); words that are
    written differently are different types.
    """
    names, word_of = np.unique(words, return_inverse=True)
    drawn = np.random.default_rng([seed, 1]).integers(0, len(targets), size=len(names))
    return targets[drawn][word_of]


def permuted_labels(targets: np.ndarray, seed: int) -> np.ndarray:
    """The same labels in random order: the control for labels of whole texts."""
    return np.random.default_rng([seed, 1]).permutation(targets)
