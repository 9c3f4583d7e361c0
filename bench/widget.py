"""Wire, start-up and size: kernel to browser, click to trait, import time, bytes of JavaScript and of pages.

`python bench/widget.py --json` prints one JSON object. The wire is measured in a real JupyterLab with Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser"), str(ROOT / "tests")]

CELL = """
import time, numpy as np
import neurowidget as nw
from neurowidget.export import arrays

rng = np.random.default_rng(0)
LAYERS, TOKENS, NEURONS = 8, 160, 2048  # 10 MiB of float32
acts = nw.activations_from_array(rng.normal(size=(LAYERS, TOKENS, NEURONS)).astype("f4"), site="mlp")
heat = nw.NeuronHeatmap(acts, dtype="float32")
seen = []
heat.observe(lambda change: seen.append((time.time(), change.new)), "selected_neuron")
heat
"""
SEND = """
big = rng.normal(size=(LAYERS, TOKENS, NEURONS)).astype("f4")
big[-1, 0, 0] = {peak}
wire = arrays.encode(big, "float32")
started = time.time()
heat._matrix = wire
print(started, len(wire["data"]))
"""


def spread(values: list[float]) -> dict[str, Any]:
    """Median and range."""
    return {"median": round(statistics.median(values), 4), "range": [round(min(values), 4), round(max(values), 4)]}


def import_seconds(rounds: int) -> dict[str, Any]:
    """`import neurowidget` in a fresh process, beside the bare interpreter and numpy alone."""
    code = "import time; t = time.perf_counter(); import {0}; print(time.perf_counter() - t)"
    took: dict[str, list[float]] = {"neurowidget": [], "numpy": []}
    for _ in range(rounds):
        for name, times in took.items():
            out = subprocess.run(
                [sys.executable, "-c", code.format(name)], capture_output=True, text=True, check=True, cwd=ROOT
            )
            times.append(float(out.stdout))
    check = "import neurowidget, sys; print('torch' in sys.modules)"
    torch = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.strip()
    return {name: spread(times) for name, times in took.items()} | {"loads_torch": torch == "True"}


def sizes() -> dict[str, Any]:
    """Bytes of the built files, and of the module that each live or saved view carries."""
    from neurowidget.export.static_files import notebook_module

    built = json.loads((ROOT / "neurowidget" / "static" / "build.json").read_text())["files"]
    scripts = {name: entry["bytes"] for name, entry in built.items()}
    stems = [name.removesuffix(".js") for name in scripts if name.endswith(".js") and name != "static-host.js"]
    carried = {stem: len(notebook_module(stem)) for stem in stems}
    return {"files": scripts, "all": sum(scripts.values()), "carried_by_a_view": carried}


def page_sizes(rounds: int) -> dict[str, Any]:
    """Bytes of an explorer's page against 350 kB + 1.5 bytes x cells, and the time of `to_html` once it is finished."""
    import neurowidget as nw

    model = nw.load_model("demo:sentiment")
    text = "The acting was great but the plot was terrible, and I would still see it again with my whole family."
    explorer = nw.NeuronExplorer(model, text)
    explorer.precompute(12)
    cells = count_cells(explorer.snapshot().state)
    took = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            started = time.perf_counter()
            path = explorer.to_html(Path(folder) / "page.html")
            took.append(time.perf_counter() - started)
        size = path.stat().st_size
        half = explorer.to_html(Path(folder) / "half.html", precision="float16").stat().st_size
    return {
        "cells": cells,
        "bytes_uint8": size,
        "allowed_uint8": 350_000 + 1.5 * cells,
        "bytes_float16": half,
        "allowed_float16": 350_000 + 3 * cells,
        "to_html_seconds": spread(took),
    }


def count_cells(value: Any) -> int:
    """Cells of every array in a state, and numbers of its longer lists."""
    if isinstance(value, dict):
        if "dtype" in value and "shape" in value:
            total = 1
            for n in value["shape"]:
                total *= n
            return total
        return sum(count_cells(item) for item in value.values())
    return sum(count_cells(item) for item in value) if isinstance(value, list) else 0


def wire(rounds: int) -> dict[str, Any]:
    """Seconds from the assignment in the kernel to the changed picture, and from a click to the trait in Python."""
    import shutil

    import jupyterlab_server as jupyter
    from chromium import chromium

    sys.path.insert(0, str(ROOT / "tests"))
    from conftest import CHROMES, CHROMIUM_FLAGS
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROME") or next(p for name in CHROMES if (p := shutil.which(name)))
    launch = {"executable_path": path, "args": list(CHROMIUM_FLAGS)}
    arrived, clicked = [], []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        notebooks = Path(folder) / "notebooks"
        notebooks.mkdir()
        jupyter.notebook(notebooks / "wire.ipynb", [CELL])
        with jupyter.lab(Path(folder), notebooks) as address, chromium(playwright, launch) as watched:
            page = watched.page
            jupyter.open_notebook(page, address, "wire.ipynb")
            jupyter.command(page, "notebook:run-all-cells")
            page.wait_for_selector(".nw canvas", timeout=60_000)
            page.evaluate(WATCH)
            for number in range(rounds):
                page.evaluate("window.nwPainted = 0")
                started, size = jupyter.run_code(page, SEND.format(peak=1000 + number)).split()
                page.wait_for_function("window.nwPainted > 0", timeout=60_000)
                arrived.append(page.evaluate("window.nwPainted") / 1000 - float(started))
            canvas = page.locator(".nw canvas").first
            for number in range(rounds):
                box = canvas.bounding_box()
                assert box is not None
                page.mouse.move(box["x"] + 100 + 40 * number, box["y"] + box["height"] / 2)
                before = page.evaluate("Date.now()") / 1000
                page.mouse.down()
                page.mouse.up()
                deadline = time.monotonic() + 30
                answer = ""
                while not answer and time.monotonic() < deadline:
                    answer = jupyter.run_code(
                        page, "print(*(f'{t} {n}' for t, n in seen)) if seen else None; seen.clear()"
                    ).strip()
                clicked.append(float(answer.split()[0]) - before)
    return {"bytes": int(size), "kernel_to_browser_seconds": spread(arrived), "click_to_trait_seconds": spread(clicked)}


WATCH = """() => {
  const root = document.querySelector('.nw');
  new MutationObserver(() => { window.nwPainted ||= Date.now(); })
    .observe(root, { subtree: true, childList: true, characterData: true, attributes: true });
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--skip-wire", action="store_true", help="leave out JupyterLab")
    options = parser.parse_args()
    found: dict[str, Any] = {"sizes": sizes(), "import_seconds": import_seconds(options.rounds)}
    found["page"] = page_sizes(options.rounds)
    if not options.skip_wire:
        found["wire"] = wire(options.rounds)
    print(json.dumps(found, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
