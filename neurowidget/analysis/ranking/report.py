"""The report that every ranking carries: held-out score, controls, and how few neurons are enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from neurowidget.analysis.statistics.control_labels import control_labels, permuted_labels
from neurowidget.analysis.statistics.labelled_rows import LabelledRows
from neurowidget.analysis.statistics.linear_probes import (
    TrainingRows,
    fit_probe,
    probe_outputs,
    score,
    subset_outputs,
)
from neurowidget.models.progress import StopFlag, check
from neurowidget.results.probe import LinearProbe
from neurowidget.results.ranking import RankingReport

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
DRAWS = 2  # of random neurons
_WITHIN = 0.01


@dataclass(frozen=True, eq=False)
class Parts:
    """The rows of a ranking: what it was made from, what choices were made on, what nothing but scores is read from."""

    training: TrainingRows
    dev: LabelledRows
    test: LabelledRows
    split: str


@dataclass(frozen=True, eq=False)
class Control:
    """A probe's score on labels without meaning; NaN where it would mean nothing, and why."""

    score: float
    comparable: bool
    note: str
    seen: float


def make_report(
    parts: Parts,
    order: np.ndarray,
    probe: LinearProbe,
    *,
    seed: int,
    control: bool,
    untrained: Parts | None,
    sizes: Sequence[int] | None,
    left_out: dict[str, int],
    choices: dict[str, Any],
    progress: bool,
    should_stop: StopFlag | None,
) -> RankingReport:
    """The report on an order of neurons (neuron,) and the probe of all of them, which was fitted on `parts.training`."""
    train, dev, test = parts.training.rows, parts.dev, parts.test
    on_test, full_dev = probe_outputs(probe, test), score(probe_outputs(probe, dev), dev)
    held_out = score(on_test, test)
    against = _control(parts, probe, seed, should_stop) if control else Control(np.nan, False, "switched off", np.nan)
    curve = _curve(parts, order, probe, full_dev, seed, sizes, progress, should_stop)
    return RankingReport(
        score_name="accuracy" if train.classes else "R2",
        held_out=held_out,
        train=score(probe_outputs(probe, train), train),
        majority=_majority(train, test),
        control=against.score,
        selectivity=held_out - against.score if against.comparable else float("nan"),
        control_note=against.note,
        control_seen=against.seen,
        classes=train.classes,
        confusion=_confusion(on_test, test),
        full_dev=full_dev,
        split=parts.split,
        rows=_counts(parts) | left_out,
        choices=choices
        | {name: getattr(probe, name) for name in ("l1", "l2", "iterations", "objective", "gap", "converged")},
        untrained=None if untrained is None else _refitted(untrained, probe, should_stop),
        **curve,
    )


def _counts(parts: Parts) -> dict[str, int]:
    named = {"train": parts.training.rows, "dev": parts.dev, "test": parts.test}
    rows = {name: len(part) for name, part in named.items()}
    return rows | {f"{name} texts": len(np.unique(part.texts)) for name, part in named.items()}


def _refitted(parts: Parts, probe: LinearProbe, should_stop: StopFlag | None) -> float:
    """The held-out score of the same probe on other rows or labels."""
    other = fit_probe(parts.training, l1=probe.l1, l2=probe.l2, should_stop=should_stop)
    return score(probe_outputs(other, parts.test), parts.test)


def _majority(train: LabelledRows, test: LabelledRows) -> float:
    if not train.classes:
        return 0.0
    return float((test.targets == train.counts().argmax()).mean()) if len(test) else float("nan")


def _confusion(outputs: np.ndarray, rows: LabelledRows) -> np.ndarray:
    count = len(rows.classes)
    if not count:
        return np.zeros((0, 0), dtype=np.int64)
    cells = rows.targets * count + outputs.argmax(axis=1)
    return np.bincount(cells, minlength=count * count).reshape(count, count)


def _control(parts: Parts, probe: LinearProbe, seed: int, should_stop: StopFlag | None) -> Control:
    train, test = parts.training.rows, parts.test
    nothing = float("nan")
    if train.pool is not None:
        targets = permuted_labels(np.concatenate([train.targets, test.targets]), seed)
        note = "labels of texts: control is the score on permuted labels, and selectivity is for labels of words"
        return Control(_with_targets(parts, targets, probe, should_stop), False, note, nothing)
    if parts.split == "word_type":
        return Control(
            nothing, False, "no word type of the held-out rows was in training, so control labels are chance", 0.0
        )
    seen = float(np.isin(test.words, train.words).mean())
    if seen < 0.05:
        note = f"{seen:.0%} of the held-out rows have a word that was in training, so control labels are chance"
        return Control(nothing, False, note, seen)
    targets = control_labels(
        np.concatenate([train.words, test.words]), np.concatenate([train.targets, test.targets]), seed
    )
    return Control(_with_targets(parts, targets, probe, should_stop), True, "", seen)


def _with_targets(parts: Parts, targets: np.ndarray, probe: LinearProbe, should_stop: StopFlag | None) -> float:
    train, test = np.split(targets, [len(parts.training.rows)])
    other = Parts(parts.training.with_targets(train), parts.dev, parts.test.with_targets(test), parts.split)
    return _refitted(other, probe, should_stop)


def _curve(
    parts: Parts,
    order: np.ndarray,
    probe: LinearProbe,
    full: float,
    seed: int,
    sizes: Sequence[int] | None,
    progress: bool,
    should_stop: StopFlag | None,
) -> dict[str, Any]:
    """Scores of the top neurons and of random ones, size by size until the top ones are as good as all."""
    wanted = sorted({int(size) for size in (SIZES if sizes is None else sizes)})
    if wanted and wanted[0] < 1:
        raise ValueError(f"sizes={wanted}: expected numbers of neurons, 1 or more")
    width = len(order)
    wanted = [size for size in wanted if size < width] + ([width] if wanted and wanted[-1] >= width else [])
    training, dev = parts.training, parts.dev

    def scores(neurons: np.ndarray) -> tuple[float, float]:
        check(should_stop)
        outputs = subset_outputs(training, neurons, [dev, parts.test], l1=probe.l1, l2=probe.l2)
        return score(outputs[0], dev), score(outputs[1], parts.test)

    top: list[tuple[float, float]] = []
    random: list[list[tuple[float, float]]] = []
    if not len(dev):
        wanted = []
    for size in tqdm(wanted, desc="probes of the top neurons", unit=" sizes", disable=not progress):
        top.append(scores(order[:size]))
        random.append([scores(drawn) for drawn in _random_neurons(width, size, seed)])
        if sizes is None and top[-1][0] >= full - _WITHIN:
            break
    sizes_done = np.array(wanted[: len(top)], dtype=np.int64)
    on_dev = np.array([found[0] for found in top])
    enough = np.flatnonzero(on_dev >= full - _WITHIN)
    minimal = int(sizes_done[enough[0]]) if len(enough) else None
    last = int(enough[0]) if len(enough) else len(top) - 1
    for_95 = np.flatnonzero(on_dev >= 0.95 * full)
    return {
        "sizes": sizes_done,
        "top_scores": on_dev,
        "random_scores": np.array([[found[0] for found in draws] for draws in random]).reshape(len(top), DRAWS).T,
        "minimal_size": minimal,
        "size_for_95": int(sizes_done[for_95[0]]) if len(for_95) else None,
        "minimal_held_out": top[last][1] if minimal is not None else float("nan"),
        "random_held_out": np.array([found[1] for found in random[last]] if minimal is not None else []),
    }


def _random_neurons(width: int, size: int, seed: int) -> Iterator[np.ndarray]:
    for draw in range(DRAWS):
        yield np.sort(np.random.default_rng([seed, 2, draw]).permutation(width)[:size])
