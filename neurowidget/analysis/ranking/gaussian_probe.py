"""Gaussian probe: which neurons, taken together, hold most bits about the class?

p(x, z) = p(z) N(x; mu_z, Sigma_z), fitted once; any subset of neurons is a marginal of it. Neurons are chosen greedily by
the mutual information H(Z) - CE of the subset on the training rows (Torroba Hennigen, Williams and Cotterell 2020,
"Intrinsic Probing through Dimension Selection"). Sigma_z is estimated under a normal-inverse-Wishart prior with D + 2 degrees
of freedom and the diagonal scale of the neurons' variances over all rows: its posterior mean, (prior + scatter) / (n_z + 1), is
the same whatever other neurons are there; `posterior="mode"` is the paper's, (prior + scatter) / (n_z + 2 D + 4).

No subset is fitted again. Given the chosen neurons, a candidate adds log N(x_j; m, v) with its conditional mean and
variance in each class, which one step of a Cholesky factorisation of Sigma_z carries on to the next choice.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from neurowidget.analysis.ranking.neuron_scores import NeuronScores, require_classes
from neurowidget.analysis.statistics.class_moments import ClassMoments, class_moments
from neurowidget.analysis.statistics.labelled_rows import LabelledRows
from neurowidget.models.progress import StopFlag, check

_CELLS = 1 << 21  # of one block of candidates: rows x candidates x classes


def gaussian_probe(
    train: LabelledRows,
    dev: LabelledRows,
    *,
    seed: int = 0,
    neurons: int = 50,
    posterior: str = "mean",
    progress: bool = False,
    should_stop: StopFlag | None = None,
) -> NeuronScores:
    """Order: the `neurons` chosen ones as they were chosen, then the others by their bits alone, which are the scores.

    `details`: `chosen` int (step,), `bits` float64 (step,), the mutual information of the first 1, 2, ... chosen, and
    `entropy`, H(Z) in bits, which bounds it. A class's score is its part of the neuron's bits.
    """
    require_classes(train, "gaussian_probe")
    if posterior not in ("mean", "mode"):
        raise ValueError(f"posterior={posterior!r}: expected 'mean' or 'mode'")
    if neurons < 1:
        raise ValueError(f"neurons={neurons}: expected 1 or more neurons to choose")
    moments = class_moments(train)
    model = _Conditionals(train, moments, posterior)
    chosen: list[int] = []
    bits: list[float] = []
    alone = of_classes = np.zeros(0)
    usable = ~moments.constant
    for step in tqdm(
        range(min(neurons, int(usable.sum()))), desc="gaussian_probe", unit=" neurons", disable=not progress
    ):
        check(should_stop)
        found, parts = model.information(with_classes=step == 0)
        found[~usable] = -math.inf
        if step == 0:
            alone, of_classes = np.where(usable, np.maximum(found, 0), 0.0), np.where(usable, parts, 0.0)
        found[chosen] = -math.inf
        chosen.append(int(found.argmax()))
        bits.append(float(found[chosen[-1]]))
        model.choose(chosen[-1])
    rest = np.argsort(-alone, kind="stable")
    order = np.concatenate([np.array(chosen, dtype=np.int64), rest[~np.isin(rest, chosen)]])
    return NeuronScores(
        "bits alone",
        np.maximum(of_classes, 0),
        moments.directions(),
        alone,
        order,
        {"chosen": np.array(chosen), "bits": np.array(bits), "entropy": model.entropy / math.log(2)},
    )


class _Conditionals:
    """For every class, each neuron's mean and variance given the neurons chosen so far."""

    def __init__(self, rows: LabelledRows, moments: ClassMoments, posterior: str) -> None:
        self.there = np.flatnonzero(moments.counts > 0)
        targets = np.searchsorted(self.there, rows.targets)
        self.classes = len(rows.classes)
        self.targets = torch.from_numpy(targets)
        values = rows.matrix()
        values -= moments.means.astype(np.float32)
        values /= moments.scales.astype(np.float32)
        self.values = torch.from_numpy(np.ascontiguousarray(values.T))  # (neuron, row)
        self.members = [np.flatnonzero(targets == number) for number in range(len(self.there))]
        counts = moments.counts[self.there]
        self.means = torch.from_numpy(
            ((moments.class_means[self.there] - moments.means) / moments.scales).astype(np.float32)
        )
        self.denominators = counts + (1.0 if posterior == "mean" else 2 * rows.width + 4)
        scatter = np.stack(
            [
                np.square(values[m] - mean).sum(0, dtype=np.float64)
                for m, mean in zip(self.members, self.means.numpy(), strict=True)
            ]
        )
        self.variances = (1.0 + scatter) / self.denominators[:, None]  # (class, neuron), of the standardised values
        prior = np.log(counts / counts.sum())
        self.entropy = float(-(counts / counts.sum() * prior).sum())
        # (class, row): log p(x_chosen, z)
        self.logs = torch.from_numpy(np.tile(prior[:, None], (1, len(rows))).astype(np.float32))
        self.factors = np.zeros(
            (len(self.there), 0, rows.width)
        )  # (class, chosen, neuron): rows of the Cholesky factor
        self.scores = torch.zeros(len(self.there), 0, len(rows))  # (class, chosen, row): standardised residuals

    def information(self, with_classes: bool) -> tuple[np.ndarray, np.ndarray]:
        """Bits of the chosen neurons with each candidate, (neuron,), and each class's part, (class, neuron)."""
        width, count = self.values.shape
        bits, parts = np.empty(width), np.zeros((self.classes, width))
        step = max(1, _CELLS // (count * len(self.there)))
        gold = self.targets[None, None, :]
        one_hot = torch.nn.functional.one_hot(self.targets, len(self.there)).float()
        for first in range(0, width, step):
            block = slice(first, min(first + step, width))
            logs = torch.empty(len(self.there), block.stop - block.start, count)
            for number, log in enumerate(logs):
                variance = torch.from_numpy(self.variances[number, block].astype(np.float32))[:, None]
                torch.sub(self.values[block], self.means[number, block, None], out=log)
                if len(self.scores[number]):
                    factor = torch.from_numpy(self.factors[number, :, block].T.astype(np.float32))
                    log.addmm_(factor, self.scores[number], alpha=-1)
                log.square_().mul_(-0.5 / variance).sub_(0.5 * (2 * math.pi * variance).log())
                log += self.logs[number]
            true = logs.gather(0, gold.expand(1, *logs.shape[1:]))[0]
            largest = logs.amax(0)  # logsumexp, in place
            true -= largest
            true -= logs.sub_(largest).exp_().sum(0).log_()
            bits[block] = self.entropy + true.mean(1, dtype=torch.float64).numpy()
            if with_classes:
                shares = (true @ one_hot / count).double().numpy().T
                prior = np.array([len(m) / count for m in self.members])
                parts[self.there, block] = shares - (prior * np.log(prior))[:, None]
        return bits / math.log(2), parts / math.log(2)

    def choose(self, neuron: int) -> None:
        """Condition everything on one more neuron."""
        new_factors, new_scores = [], []
        for number, members in enumerate(self.members):
            residual = self._residual(number, neuron)
            variance = float(self.variances[number, neuron])
            self.logs[number] -= (0.5 * residual.square() / variance + 0.5 * math.log(2 * math.pi * variance)).float()
            centred = torch.zeros(len(residual))
            centred[members] = self.values[neuron, members] - self.means[number, neuron]
            covariance = (
                (self.values @ centred).double() - centred.sum().double() * self.means[number].double()
            ).numpy()
            covariance = covariance / self.denominators[number]
            covariance[neuron] = self.variances[number, neuron] + np.square(self.factors[number, :, neuron]).sum()
            factor = (covariance - self.factors[number, :, neuron] @ self.factors[number]) / math.sqrt(variance)
            self.variances[number] = np.maximum(self.variances[number] - np.square(factor), 1e-9)
            new_factors.append(factor)
            new_scores.append((residual / math.sqrt(variance)).float())
        self.factors = np.concatenate([self.factors, np.stack(new_factors)[:, None]], axis=1)
        self.scores = torch.cat([self.scores, torch.stack(new_scores)[:, None]], dim=1)

    def _residual(self, number: int, neuron: int) -> Tensor:
        """float64 (row,): the neuron less its conditional mean in a class."""
        explained = torch.from_numpy(self.factors[number, :, neuron]) @ self.scores[number].double()
        return self.values[neuron].double() - self.means[number, neuron].double() - explained
