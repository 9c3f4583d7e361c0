"""The token x layer grid of `patching_effects` on SmolLM2, beside a loop of single patched forwards.

    python bench/patching.py [--json] [--threads 1] [--cells 30]

The prompts differ in their second token, so that nearly every cell has something to patch. The loop has the clean values
ready and runs one forward for each cell; it is timed on `--cells` cells spread over layers and positions, and its time
for the whole grid is that times the number of cells. CPU seconds of one process; both find the same numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

CLEAN = "The keys to the old wooden cabinet near the window of the house by the river"
CORRUPT = "The key to the old wooden cabinet near the window of the house by the river"


def measure(threads: int, cells: int) -> dict[str, Any]:
    """CPU seconds of the grid and of the loop, their ratio, and how far their numbers are apart."""
    import numpy as np
    import torch

    import neurowidget as nw
    from neurowidget.models import hooks, targets
    from neurowidget.neuron import LayerSite

    torch.set_num_threads(threads)
    model = nw.load_model("demo:lm")
    answer = (" are", " is")
    batch, source = model.encode([CORRUPT]), model.encode([CLEAN])
    target = targets.resolve(model, source, answer)
    model.forward(batch)
    model.weights_hash  # noqa: B018  computed once, kept

    start = time.process_time()
    found = nw.patching_effects(model, CLEAN, CORRUPT, target=answer, how="denoise", progress=False)
    grid = time.process_time() - start
    assert found.denoise is not None
    layers, tokens = found.denoise.shape

    sites = [LayerSite(layer, "residual") for layer in range(layers)]
    values = {site: value[0].clone() for site, value in hooks.record_values(model, source, sites).items()}
    before = float(targets.evaluate_target(model, batch, target))
    chosen = [(index * layers // cells, index % tokens) for index in range(cells)]
    single = []
    start = time.process_time()
    for layer, position in chosen:
        with model.intervene(nw.Patch(sites[layer], values[sites[layer]]), positions=[position]):
            single.append(float(targets.evaluate_target(model, batch, target)) - before)
    loop = (time.process_time() - start) / cells * layers * tokens
    worst = float(np.abs(np.array(single) - [found.denoise[cell] for cell in chosen]).max())
    return {
        "grid": [layers, tokens],
        "seconds": round(grid, 2),
        "loop_seconds": round(loop, 2),
        "ratio": round(loop / grid, 2),
        "worst_difference": worst,
        "largest_effect_among_them": round(max(map(abs, single)), 2),
        "threads": threads,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cells", type=int, default=30)
    options = parser.parse_args()
    result = measure(options.threads, options.cells)
    print(json.dumps(result) if options.json else "\n".join(f"{name:>20}  {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
