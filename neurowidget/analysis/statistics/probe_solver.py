"""Linear probes with an elastic net: the minimum of mean loss + l1 |W|_1 + l2 |W|^2, with a bias that is not penalised.

OWL-QN (Andrew and Gao 2007, "Scalable training of L1-regularized log-linear models"): L-BFGS on the smooth part, the
direction kept in the orthant of the pseudo-gradient, a backtracking line search. How far the answer can be from the
minimum is known without the minimum: the duality gap (Kim, Koh and Boyd 2007) is its upper bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from neurowidget.models.progress import StopFlag, check

Loss = Literal["cross_entropy", "squared"]
Blocks = Callable[[], Iterable[tuple[slice, Tensor]]]
MEMORY = 12  # pairs that L-BFGS remembers
_SUFFICIENT, _BACKTRACKS = 1e-4, 25


@dataclass(frozen=True, eq=False)
class Solution:
    """`weights` (output, neuron) and `bias` (output,); `objective` is the value reached, at most `gap` above the minimum.

    `gap` is NaN where there is no bound (l2 = 0). `converged` is False when the iterations ran out first.
    """

    weights: np.ndarray
    bias: np.ndarray
    objective: float
    gap: float
    iterations: int
    converged: bool


def solve(
    blocks: Blocks,
    targets: Tensor,
    width: int,
    outputs: int,
    *,
    l1: float,
    l2: float,
    loss: Loss = "cross_entropy",
    start: Solution | None = None,
    tolerance: float = 1e-4,
    most_iterations: int = 500,
    should_stop: StopFlag | None = None,
) -> Solution:
    """Minimise over weights (output, neuron) and bias: mean loss + l1 |W|_1 + l2 |W|^2.

    `blocks()` gives, as often as it is called, the rows in order as (slice of rows, float32 (row, neuron)); one block
    when they fit in memory. `targets` is int64 (row,) for cross entropy over `outputs` classes (nats), float32
    (row, output) for "squared", which is half the mean squared error summed over outputs. Stops when the objective fell
    by less than `tolerance` of itself over five iterations. `start` is where to begin. Raises ValueError for negative penalties.
    """
    if l1 < 0 or l2 < 0:
        raise ValueError(f"l1={l1}, l2={l2}: penalties are 0 or more")
    problem = _Problem(blocks, targets, width, outputs, l2, loss)
    point = problem.start(start)
    penalty = torch.full_like(point, l1)
    penalty[:, -1] = 0.0  # the bias
    smooth, gradient = problem(point)
    value = smooth + _l1(point, penalty)
    history = _History()
    values = [value]
    converged = False
    iteration = 0
    while iteration < most_iterations and not converged:
        check(should_stop)
        pseudo = _pseudo_gradient(point, gradient, penalty)
        direction = history.direction(pseudo)
        direction = torch.where(direction * pseudo < 0, direction, 0.0) if l1 else direction
        slope = float((direction * pseudo).sum())
        if slope >= 0:  # the curvature that was remembered no longer holds
            if not history.pairs:
                converged = True
                break
            history = _History()
            continue
        orthant = torch.where(point != 0, torch.sign(point), -torch.sign(pseudo)) if l1 else None
        step = 1.0 if history.pairs else min(1.0, 1.0 / float(pseudo.norm()))
        for _ in range(_BACKTRACKS):
            moved = point + step * direction
            if orthant is not None:
                inside = (moved * orthant > 0) | (penalty == 0)
                moved = torch.where(inside, moved, 0.0)
            new_smooth, new_gradient = problem(moved)
            new_value = new_smooth + _l1(moved, penalty)
            if new_value <= value + _SUFFICIENT * float(((moved - point) * pseudo).sum()):
                break
            step *= 0.5 if history.pairs else 0.2
        else:
            if not history.pairs:
                converged = True
                break
            history = _History()
            continue
        history.add(moved - point, new_gradient - gradient)
        point, gradient, value = moved, new_gradient, new_value
        values.append(value)
        iteration += 1
        converged = len(values) > 5 and values[-6] - value <= tolerance * max(abs(value), 1e-12)
    return Solution(
        weights=point[:, :-1].numpy().copy(),
        bias=point[:, -1].numpy().copy(),
        objective=value,
        gap=problem.gap(point, value, l1),
        iterations=iteration,
        converged=converged,
    )


def one_block(values: Tensor) -> Blocks:
    """All rows (row, neuron) at once."""
    return lambda: [(slice(0, len(values)), values)]


class _Problem:
    """The smooth part, loss + l2 |W|^2, and its gradient at a point, which is (output, neuron + 1): weights, then bias."""

    def __init__(self, blocks: Blocks, targets: Tensor, width: int, outputs: int, l2: float, loss: Loss) -> None:
        self.blocks, self.targets, self.width, self.outputs, self.l2, self.loss = (
            blocks, targets, width, outputs, l2, loss,
        )  # fmt: skip

    def start(self, solution: Solution | None) -> Tensor:
        if solution is not None:
            return torch.from_numpy(np.column_stack([solution.weights, solution.bias]).astype(np.float32))
        return torch.zeros(self.outputs, self.width + 1)

    def __call__(self, point: Tensor) -> tuple[float, Tensor]:
        weights = point[:, :-1]
        gradient = torch.zeros_like(point)
        total = 0.0
        for rows, values in self.blocks():
            loss, residual = self.residual(values @ weights.T + point[:, -1], self.targets[rows])
            total += loss
            gradient[:, :-1].addmm_(residual.T, values)
            gradient[:, -1] += residual.sum(0)
        gradient /= len(self.targets)
        gradient[:, :-1] += 2 * self.l2 * weights
        return total / len(self.targets) + self.l2 * float(weights.square().sum(dtype=torch.float64)), gradient

    def residual(self, outputs: Tensor, targets: Tensor) -> tuple[float, Tensor]:
        """The loss summed over rows, and its gradient (row, output) with respect to the outputs."""
        if self.loss == "squared":
            residual = outputs - targets
            return 0.5 * float(residual.square().sum(dtype=torch.float64)), residual
        log = torch.log_softmax(outputs, dim=1)
        total = -float(log.gather(1, targets[:, None]).sum(dtype=torch.float64))
        residual = log.exp_()
        residual.scatter_add_(1, targets[:, None], torch.full((len(targets), 1), -1.0))
        return total, residual

    def gap(self, point: Tensor, value: float, l1: float) -> float:
        """How far `value` is above the minimum at most: value - dual, at the dual point that the residuals are.

        dual(R) = -mean conjugate(R) - sum max(|X'R / n| - l1, 0)^2 / (4 l2), for residuals that sum to 0 over rows,
        which Newton steps on the bias alone bring about.
        """
        if not self.l2:
            return float("nan")
        outputs = torch.cat([values @ point[:, :-1].T for _, values in self.blocks()]).double()
        residual, conjugate = self._balanced(outputs, point[:, -1].double())
        correlation = torch.zeros(self.outputs, self.width)
        for rows, values in self.blocks():
            correlation.addmm_(residual[rows].float().T, values)
        excess = (correlation.double().abs() / len(outputs) - l1).clamp_min(0)
        return max(value - (conjugate - float(excess.square().sum()) / (4 * self.l2)), 0.0)  # rounding aside

    def _balanced(self, outputs: Tensor, bias: Tensor) -> tuple[Tensor, float]:
        """The residuals at the best bias for these outputs, and minus their mean conjugate."""
        count = len(outputs)
        if self.loss == "squared":
            targets = self.targets.double()
            residual = outputs - targets
            residual = residual - residual.mean(0)
            return residual, -float((0.5 * residual.square() + residual * targets).sum()) / count
        gold = torch.nn.functional.one_hot(self.targets, self.outputs).double()
        for _ in range(20):
            probability = torch.softmax(outputs + bias, dim=1)
            slope = (probability - gold).mean(0)
            if float(slope.abs().max()) < 1e-12:
                break
            curvature = torch.diag(probability.mean(0)) - probability.T @ probability / count
            bias = bias - torch.linalg.lstsq(curvature + 1e-12 * torch.eye(self.outputs), slope).solution
        residual = probability - gold
        entropy = -torch.special.entr(probability).sum(1)
        return residual, -float(entropy.mean())


class _History:
    """The last steps and changes of the gradient, and the direction that L-BFGS makes of them."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor, float]] = []

    def add(self, step: Tensor, change: Tensor) -> None:
        curvature = float((step * change).sum())
        if curvature > 1e-12 * float(change.square().sum()):
            self.pairs = [*self.pairs[-(MEMORY - 1) :], (step, change, curvature)]

    def direction(self, gradient: Tensor) -> Tensor:
        found = -gradient
        shares = []
        for step, change, curvature in reversed(self.pairs):
            share = float((step * found).sum()) / curvature
            shares.append(share)
            found = found.sub_(change, alpha=share)
        if self.pairs:
            _, change, curvature = self.pairs[-1]
            found *= curvature / float(change.square().sum())
        for (step, change, curvature), share in zip(self.pairs, reversed(shares), strict=True):
            found = found.add_(step, alpha=share - float((change * found).sum()) / curvature)
        return found


def _l1(point: Tensor, penalty: Tensor) -> float:
    return float((point.abs() * penalty).sum(dtype=torch.float64))


def _pseudo_gradient(point: Tensor, gradient: Tensor, penalty: Tensor) -> Tensor:
    """The gradient of the whole objective, in the direction of steepest descent where it has a kink."""
    at_zero = torch.where(gradient.abs() > penalty, gradient - penalty * torch.sign(gradient), 0.0)
    return torch.where(point != 0, gradient + penalty * torch.sign(point), at_zero)
