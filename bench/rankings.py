"""Seconds of rankings over 46,080 neurons, activations in memory: 2,000 tokens, 12 classes, made-up numbers.

    python bench/rankings.py [--neurons 46080] [--tokens 2000] [--classes 12] [--json]

The width of SmolLM2-135M's MLP (30 layers x 1,536). Timed is the method alone, from the labelled rows to scores and
order; reading the labels and the report are not. A quarter of the values is 0, as after ReLU, so that ties are met.
Wall and processor seconds: on a busy machine compare the latter.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
TARGETS = {
    "probeless": 2.0, "mean_difference": 2.0, "class_selectivity": 2.0, "agreement of 6 rankings": 2.0,
    "average_precision": 5.0, "iou": 5.0,
}  # fmt: skip
ALSO = ("mutual_information", "k_sparse_probe", "random")


def timed(work: Any) -> tuple[Any, dict[str, float]]:
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    seconds = round(time.perf_counter() - wall, 2)
    return result, {"seconds": seconds, "processor_seconds": round(time.process_time() - processor, 2)}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    from neurowidget.analysis.ranking import METHODS
    from neurowidget.analysis.ranking.rank_neurons import rank_neurons
    from neurowidget.analysis.statistics.labelled_rows import labelled_rows
    from neurowidget.results.from_array import activations_from_array

    torch.set_num_threads(options.threads)
    generator = np.random.default_rng(0)
    layers = max(1, options.neurons // 1536)
    values = generator.standard_normal((layers, options.tokens, options.neurons // layers), dtype=np.float32)
    values[:, :, ::4] = np.maximum(values[:, :, ::4], 0)
    labels = generator.choice(
        options.classes, size=options.tokens, p=(p := 1 / np.arange(1, options.classes + 1)) / p.sum()
    )
    texts = np.arange(options.tokens) // 20
    acts = activations_from_array(values, labels.tolist(), texts, site="mlp")
    rows, _ = labelled_rows(acts)
    train, dev = rows.take(rows.texts % 10 > 0), rows.take(rows.texts % 10 == 0)
    result: dict[str, Any] = {
        "neurons": rows.width, "tokens": len(rows), "classes": len(rows.classes), "threads": options.threads,
        "cpus": os.cpu_count(), "load_before": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    for name in (*[name for name in TARGETS if name in METHODS], *ALSO):
        _, seconds = timed(lambda name=name: METHODS[name](train, dev, seed=0))
        result[name] = seconds | ({"target": TARGETS[name]} if name in TARGETS else {})
        print(f"{name:25s} {result[name]}", file=sys.stderr, flush=True)
    try:
        from neurowidget.analysis.evaluation.ranking_agreement import ranking_agreement
    except ImportError:
        return result
    six = [
        rank_neurons(acts, None, name, report=False, progress=False)
        for name in ("probeless", "mean_difference", "class_selectivity", "iou", "average_precision", "random")
    ]
    _, seconds = timed(lambda: ranking_agreement(six))
    result["agreement of 6 rankings"] = seconds | {"target": TARGETS["agreement of 6 rankings"]}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object; progress goes to stderr")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--neurons", type=int, default=46_080)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--classes", type=int, default=12)
    options = parser.parse_args()
    print(json.dumps(measure(options), indent=None if options.json else 2))


if __name__ == "__main__":
    main()
