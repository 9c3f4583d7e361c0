"""Formulas over concepts, how they are written, and the beam search for those that cover a mask best.

A formula grows from the left, ((a AND NOT b) OR c), so it is a sequence of steps (operation, concept, negated); the
operation of the first step does nothing. Masks are bits: 64 rows are joined and counted by one instruction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Step = tuple[str, int, bool]
Formula = tuple[Step, ...]


def written(formula: Formula, names: Sequence[str]) -> str:
    """The formula as text: parentheses where the operation changes."""
    text, last = "", ""
    for at, (operation, concept, negated) in enumerate(formula):
        literal = f"NOT {names[concept]}" if negated else names[concept]
        if at == 0:
            text = literal
            continue
        if at > 1 and operation != last:
            text = f"({text})"
        text, last = f"{text} {operation} {literal}", operation
    return text


def holds(formula: Formula, masks: np.ndarray) -> np.ndarray:
    """Where the formula holds, bool (row,), from concept masks bool (concept, row)."""
    found = np.zeros(masks.shape[1], dtype=bool)
    for at, (operation, concept, negated) in enumerate(formula):
        literal = ~masks[concept] if negated else masks[concept]
        found = literal.copy() if at == 0 else found & literal if operation == "AND" else found | literal
    return found


def intersection_over_union(first: np.ndarray, second: np.ndarray) -> float:
    """|first and second| / |first or second| of two masks bool (row,); NaN where both are empty."""
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else float("nan")


def beam_search(masks: np.ndarray, wanted: np.ndarray, length: int, beam: int) -> list[list[tuple[float, Formula]]]:
    """For each of the `wanted` masks, bool (column, row), the best formulas as (IoU, formula), best first.

    `masks` are the concepts, bool (concept, row). Of formulas that hold in the same rows only the shortest is kept; at most
    `beam` are kept for each length up to `length`. Equal ones are ordered by length, then by the order of the concepts.
    """
    columns = len(wanted)
    leaves = _packed(np.concatenate([masks, ~masks]))  # a concept, and its negation
    literals: list[tuple[int, bool]] = [(i, negated) for negated in (False, True) for i in range(len(masks))]
    targets = _packed(wanted)
    sizes = wanted.sum(axis=1)[:, None]
    leaf_sizes = np.bitwise_count(leaves).sum(axis=1, dtype=np.int64)
    leaf_hits = np.stack([np.bitwise_count(targets & leaf).sum(axis=1, dtype=np.int64) for leaf in leaves], axis=1)

    found: list[list[tuple[float, Formula]]] = [[] for _ in range(columns)]
    seen: list[set[bytes]] = [set() for _ in range(columns)]
    scores = _iou(leaf_hits, leaf_sizes[None], sizes)
    beams: list[list[tuple[Formula, np.ndarray]]] = []
    for column in range(columns):
        options = [(float(scores[column, i]), i) for i in range(len(leaves))]
        options.sort(key=lambda option: (-option[0], option[1]))
        chosen: list[tuple[Formula, np.ndarray]] = []
        for iou, i in options:
            _keep(chosen, found[column], seen[column], iou, (("AND", *literals[i]),), leaves[i], beam)
            if len(chosen) == beam:
                break
        beams.append(chosen)

    for _ in range(1, length):
        width = max(map(len, beams), default=0)
        if not width:
            break
        bits = np.zeros((columns, width, leaves.shape[1]), dtype=np.uint64)
        for column, chosen in enumerate(beams):
            for at, (_, mask) in enumerate(chosen):
                bits[column, at] = mask
        hit = bits & targets[:, None]
        size = np.bitwise_count(bits).sum(axis=2, dtype=np.int64)
        hits = np.bitwise_count(hit).sum(axis=2, dtype=np.int64)
        scores = np.empty((2, columns, width, len(leaves)))
        for i, leaf in enumerate(leaves):
            both = np.bitwise_count(bits & leaf).sum(axis=2, dtype=np.int64)
            both_hits = np.bitwise_count(hit & leaf).sum(axis=2, dtype=np.int64)
            scores[0, :, :, i] = _iou(both_hits, both, sizes)
            either, either_hits = size + leaf_sizes[i] - both, hits + leaf_hits[:, i : i + 1] - both_hits
            scores[1, :, :, i] = _iou(either_hits, either, sizes)
        beams = [
            _grown(beams[column], scores[:, column], leaves, literals, found[column], seen[column], beam)
            for column in range(columns)
        ]
    for options_found in found:
        options_found.sort(key=lambda option: (-option[0], len(option[1])))
    return found


def _grown(
    chosen: Sequence[tuple[Formula, np.ndarray]],
    scores: np.ndarray,
    leaves: np.ndarray,
    literals: Sequence[tuple[int, bool]],
    found: list[tuple[float, Formula]],
    seen: set[bytes],
    beam: int,
) -> list[tuple[Formula, np.ndarray]]:
    """The next beam of one column: the best formulas that are one literal longer; scores (operation, beam, leaf)."""
    scores = scores[:, : len(chosen)]
    grown: list[tuple[Formula, np.ndarray]] = []
    for flat in np.argsort(-scores, axis=None, kind="stable").tolist():
        operation, at, leaf = np.unravel_index(flat, scores.shape)
        formula, mask = chosen[at]
        name, bits = ("AND", mask & leaves[leaf]) if operation == 0 else ("OR", mask | leaves[leaf])
        step = (name, *literals[leaf])
        _keep(grown, found, seen, float(scores[operation, at, leaf]), (*formula, step), bits, beam)
        if len(grown) == beam:
            break
    return grown


def _keep(
    chosen: list[tuple[Formula, np.ndarray]],
    found: list[tuple[float, Formula]],
    seen: set[bytes],
    iou: float,
    formula: Formula,
    mask: np.ndarray,
    beam: int,
) -> None:
    """Take a formula into the beam unless one with the same rows was there before."""
    key = mask.tobytes()
    if len(chosen) < beam and key not in seen:
        seen.add(key)
        chosen.append((formula, mask))
        found.append((iou, formula))


def _packed(masks: np.ndarray) -> np.ndarray:
    """bool (mask, row) as uint64 (mask, word); the bits past the last row are 0."""
    count, rows = masks.shape
    padded = np.zeros((count, -(-rows // 64) * 64), dtype=bool)
    padded[:, :rows] = masks
    return np.packbits(padded, axis=1).view(np.uint64)


def _iou(hits: np.ndarray, size: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """|M and L| / |M or L| from |M and L|, |L| and |M|; 0 where both are empty."""
    union = size + wanted - hits
    return np.divide(hits, union, out=np.zeros(np.broadcast_shapes(hits.shape, union.shape)), where=union > 0)
