"""Rows for training, for choosing (dev) and for the final score (test), whole texts or word types at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

By = Literal["sentence", "word_type"]
WAYS = ("sentence", "word_type")


@dataclass(frozen=True, eq=False)
class Split:
    """Places of rows, ascending; no group (text or word type) is in two of them."""

    train: np.ndarray
    dev: np.ndarray
    test: np.ndarray


def split_rows(
    groups: np.ndarray, targets: np.ndarray | None, *, dev: float, test: float, seed: int, what: str = "texts"
) -> Split:
    """Split rows by `groups` (row,): about `test` of the rows, then about `dev` of them, and the rest for training.

    Groups are drawn at random. With `targets` int (row,): a class that would have no row in training gets its first drawn
    group there. Raises ValueError for fewer than three groups, or shares that leave nothing to train on.
    """
    if not (0 <= dev < 1 and 0 <= test < 1 and dev + test < 1):
        raise ValueError(
            f"dev={dev}, test={test}: expected shares from 0 to less than 1 that leave something to train on"
        )
    names, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    needed = 1 + (dev > 0) + (test > 0)
    if len(names) < needed:
        raise ValueError(
            f"the labelled rows are of {len(names)} {what}, too few to hold some out: expected {needed} or more"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    before = np.cumsum(sizes[order]) - sizes[order]
    part_of = np.full(len(names), 2)  # 0 test, 1 dev, 2 train
    part_of[order[before < (test + dev) * len(groups)]] = 1
    part_of[order[before < test * len(groups)]] = 0
    if (part_of == 2).sum() == 0:
        part_of[order[-1]] = 2
    for number, share in ((1, dev), (0, test)):
        if share and not (part_of == number).any():  # one huge group took it all
            part_of[next(group for group in order if (part_of == part_of[group]).sum() > 1)] = number
    if targets is not None:
        _rescue_classes(part_of, order, group_of, targets)
    part = part_of[group_of]
    return Split(*(np.flatnonzero(part == number) for number in (2, 1, 0)))


def _rescue_classes(part_of: np.ndarray, order: np.ndarray, group_of: np.ndarray, targets: np.ndarray) -> None:
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    trained = set(np.unique(targets[part_of[group_of] == 2]).tolist())
    for label in sorted(set(np.unique(targets).tolist()) - trained):
        groups = np.unique(group_of[targets == label])
        in_dev = groups[part_of[groups] == 1]
        candidates = in_dev if len(in_dev) else groups
        part_of[candidates[np.argmin(place[candidates])]] = 2
