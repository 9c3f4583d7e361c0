"""Time and memory of correlation clusters over all 9,216 MLP neurons of MiniLM, beside scipy on the whole matrix.

    python bench/clusters.py [--json] [--tokens 8000] [--threshold 0.3] [--threads 2] [--peer]

Real sentences; extraction is outside the timings. `--peer` also runs numpy's corrcoef and scipy's average linkage over all
neurons at once, in the same process after ours, which takes several gigabytes.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def measure(tokens: int, threshold: float, threads: int, peer: bool) -> dict[str, Any]:
    """Seconds, peak memory above what the activations take, and how many groups."""
    import numpy as np
    import torch

    import neurowidget as nw
    from neurowidget.models.bundled import sample_texts

    torch.set_num_threads(threads)
    model = nw.load_model("demo:sentiment")
    texts, count = [], 0
    for text in sample_texts("prose") + sample_texts("movies"):
        if count >= tokens:
            break
        texts.append(text)
        count += len(model.tokenizer(text, add_special_tokens=False)["input_ids"])
    acts = nw.extract(model, texts, sites=["mlp"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    groups = nw.group_neurons(acts, threshold=threshold)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {
        "neurons": groups.count,
        "tokens": groups.tokens,
        "groups": len(groups),
        "largest": int(groups.sizes.max()),
        "redundancy": round(groups.redundancy, 4),
        "seconds": round(seconds, 2),
        "peak_memory_gb": round(after / 2**20, 2),
        "above_the_activations_gb": round((after - before) / 2**20, 2),
        "threads": threads,
    }
    if peer:
        from scipy.cluster.hierarchy import fcluster, linkage

        start = time.perf_counter()
        values = np.concatenate(list(acts["mlp"]), axis=1)[~acts.tokens.special]
        distances = 1 - np.abs(np.corrcoef(values.T))
        labels = fcluster(linkage(distances[np.triu_indices(len(distances), 1)], "average"), threshold, "distance")
        found["peer"] = {"seconds": round(time.perf_counter() - start, 2), "groups": int(labels.max())}
        found["peer"]["ratio"] = round(found["peer"]["seconds"] / seconds, 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--tokens", type=int, default=8000)
    parser.add_argument("--threshold", type=float, default=0.3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", action="store_true")
    options = parser.parse_args()
    found = measure(options.tokens, options.threshold, options.threads, options.peer)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:26s} {value}")


if __name__ == "__main__":
    main()
