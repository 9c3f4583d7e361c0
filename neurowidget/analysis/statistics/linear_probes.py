"""Linear probes of labelled rows: standardise on the training rows, fit, predict, score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from torch import Tensor

from neurowidget.analysis.statistics.class_moments import class_moments
from neurowidget.analysis.statistics.labelled_rows import LabelledRows
from neurowidget.analysis.statistics.probe_solver import Blocks, Loss, Solution, one_block, solve
from neurowidget.models.progress import StopFlag
from neurowidget.results.probe import LinearProbe

MOST_BYTES = 8 << 30  # of standardised training rows in memory; more are read and standardised anew on each pass
WARM_ROWS = 4000  # a first solution on so many rows saves passes over all of them
TOLERANCE = 3e-3
_ROWS = 512  # of a block that is summed in float32
ROUGH = 1e-2  # the tolerance where many small probes are compared


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Standardised training rows: (values - means) / scales, a constant neuron being 0 everywhere."""

    rows: LabelledRows
    means: np.ndarray  # float32 (neuron,)
    scales: np.ndarray
    values: Tensor | None  # float32 (row, neuron), or None when they do not fit

    @classmethod
    def of(cls, rows: LabelledRows) -> TrainingRows:
        """Read the rows, take their means and deviations, and keep them standardised if they fit in memory."""
        if len(rows) * rows.width * 4 > MOST_BYTES:
            moments = class_moments(rows)
            return cls(rows, moments.means.astype(np.float32), moments.scales.astype(np.float32), None)
        values = torch.from_numpy(rows.matrix())
        first = values[0].clone()
        constant = values.amin(0) == values.amax(0)
        means = torch.where(constant, first, _mean(values.split(_ROWS)))
        values -= means
        spread = _mean(block.square() for block in values.split(_ROWS)).sqrt()
        scales = torch.where(constant | (spread == 0), 1.0, spread)
        values /= scales
        return cls(rows, means.numpy(), scales.numpy(), values)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        if self.values is not None:
            yield slice(0, len(self.rows)), self.values
            return
        for block, found in self.rows.row_blocks():
            yield block, torch.from_numpy((found - self.means) / self.scales)

    def with_targets(self, targets: np.ndarray) -> TrainingRows:
        """The same rows with other targets."""
        return replace(self, rows=self.rows.with_targets(targets))

    def take_neurons(self, neurons: np.ndarray) -> Tensor:
        """Standardised values of some neurons, float32 (row, len(neurons))."""
        if self.values is not None:
            return self.values[:, torch.from_numpy(neurons)]
        return torch.from_numpy((self.rows.columns(neurons) - self.means[neurons]) / self.scales[neurons])


def _mean(blocks: Iterable[Tensor]) -> Tensor:
    """float32 (neuron,): means over rows, summed block by block so that float32 is exact enough and quick."""
    sums, count = torch.zeros(1, dtype=torch.float64), 0
    for block in blocks:
        sums = sums + block.sum(0)
        count += len(block)
    return (sums / count).float()


def fit_probe(
    training: TrainingRows,
    *,
    l1: float,
    l2: float,
    tolerance: float = TOLERANCE,
    should_stop: StopFlag | None = None,
) -> LinearProbe:
    """The linear probe of all neurons: mean cross entropy (numbers: half the squared error of the standardised number)
    + l1 |W|_1 + l2 |W|^2, bias free, from a first solution on 4,000 rows spread over the training rows."""
    rows = training.rows
    targets, centre, spread = solver_targets(rows)
    found = _solved(training.blocks, training.values, targets, rows, rows.width, l1, l2, tolerance, should_stop)
    return LinearProbe(
        weights=found.weights * spread,
        bias=found.bias * spread + centre,
        means=training.means,
        scales=training.scales,
        classes=rows.classes,
        sites=rows.sites,
        widths=rows.widths,
        l1=l1,
        l2=l2,
        objective=found.objective,
        gap=found.gap,
        iterations=found.iterations,
        converged=found.converged,
        pool=rows.pool,
    )


def _solved(
    blocks: Blocks,
    values: Tensor | None,
    targets: Tensor,
    rows: LabelledRows,
    width: int,
    l1: float,
    l2: float,
    tolerance: float,
    should_stop: StopFlag | None,
) -> Solution:
    """The solution on all rows; with their `values` in memory it starts from a rough one on some of them."""
    outputs = max(len(rows.classes), 1)
    loss: Loss = "cross_entropy" if rows.classes else "squared"
    start: Solution | None = None
    if len(rows) > 2 * WARM_ROWS and values is not None:
        some = torch.from_numpy(np.linspace(0, len(rows) - 1, WARM_ROWS).astype(np.int64))
        few = values[some]
        start = solve(
            one_block(few), targets[some], width, outputs,
            l1=l1, l2=l2, loss=loss, tolerance=10 * tolerance, should_stop=should_stop,
        )  # fmt: skip
    return solve(
        blocks, targets, width, outputs,
        l1=l1, l2=l2, loss=loss, start=start, tolerance=tolerance, should_stop=should_stop,
    )  # fmt: skip


def choose_probe(
    training: TrainingRows,
    dev: LabelledRows,
    l1: float | Sequence[float],
    l2: float | Sequence[float],
    *,
    tolerance: float = TOLERANCE,
    should_stop: StopFlag | None = None,
) -> tuple[LinearProbe, tuple[tuple[float, float, float], ...]]:
    """The probe, of several penalties that with the best score on dev, the first of equals; and (l1, l2, score) of all."""
    pairs = list(product(np.atleast_1d(l1).tolist(), np.atleast_1d(l2).tolist()))
    if not pairs:
        raise ValueError("there are no penalties: give l1 and l2 one or more numbers each")
    if len(pairs) > 1 and not len(dev):
        raise ValueError("several penalties are chosen among on dev rows, and there are none: leave dev above 0")
    probes = [fit_probe(training, l1=a, l2=b, tolerance=tolerance, should_stop=should_stop) for a, b in pairs]
    if len(pairs) == 1:
        return probes[0], ()
    scores = [score(probe_outputs(probe, dev), dev) for probe in probes]
    best = int(np.argmax(scores))
    return probes[best], tuple((a, b, found) for (a, b), found in zip(pairs, scores, strict=True))


def solver_targets(rows: LabelledRows) -> tuple[Tensor, float, float]:
    """Targets as the solver takes them, and the centre and spread by which numbers were standardised (0 and 1 for classes)."""
    if rows.classes:
        return torch.from_numpy(rows.targets), 0.0, 1.0
    centre, spread = float(rows.targets.mean()), float(rows.targets.std())
    if spread == 0:
        raise ValueError(f"all training labels are the number {centre:g}: there is nothing to rank by")
    standardised = (rows.targets - centre) / spread
    return torch.from_numpy(standardised.astype(np.float32))[:, None], centre, spread


def probe_outputs(probe: LinearProbe, rows: LabelledRows) -> np.ndarray:
    """What the probe says of each row, float32 (row, class), block by block."""
    found = [probe.outputs(values) for _, values in rows.row_blocks()]
    return np.concatenate(found) if found else np.zeros((0, len(probe.bias)), dtype=np.float32)


def score(outputs: np.ndarray, rows: LabelledRows) -> float:
    """Accuracy of the largest output, or R2 of numbers; NaN without rows."""
    if not len(rows):
        return float("nan")
    if rows.classes:
        return float((outputs.argmax(axis=1) == rows.targets).mean())
    spread = float(((rows.targets - rows.targets.mean()) ** 2).sum())
    return 1 - float(((outputs[:, 0] - rows.targets) ** 2).sum()) / spread if spread else float("nan")


def subset_outputs(
    training: TrainingRows, neurons: np.ndarray, others: list[LabelledRows], *, l1: float, l2: float
) -> list[np.ndarray]:
    """Outputs on other rows of a probe trained again on some neurons of the training rows."""
    rows = training.rows
    values = training.take_neurons(neurons)
    targets, centre, spread = solver_targets(rows)
    found = _solved(one_block(values), values, targets, rows, len(neurons), l1, l2, ROUGH, None)
    means, scales = training.means[neurons], training.scales[neurons]
    return [
        (((other.columns(neurons) - means) / scales) @ found.weights.T + found.bias) * spread + centre
        for other in others
    ]
