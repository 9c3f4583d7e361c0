"""The card of a neuron: from the click to its density and examples on screen, once Examples exist (claim: 150 ms or less).

`python bench/neuron_card.py [--examples brown.npz] [--rounds 20]` prints one JSON object. Measured in a real JupyterLab with
Chromium: in the explorer while its worker is idle, in the explorer while it still computes effects, and in NeuronCard.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), *(str(ROOT / folder) for folder in ("tests", "tests/browser", "bench"))]

CELL = """
import neurowidget as nw
model = nw.load_model("demo:sentiment")
examples = nw.load({path!r})
explorer = nw.NeuronExplorer(model, "The film was not bad at all, really.", examples=examples)
explorer.wait()
explorer
"""
CARD = "card = nw.NeuronCard(examples)\ncard"
# Milliseconds from a click to the frame after the card of another neuron has its bars and examples.
CLICK = """async ([root, row]) => {
  const view = document.querySelector(root);
  const name = () => view.querySelector('.nw-card-name')?.textContent;
  const before = name();
  const target = row === null
    ? view.querySelector("[aria-label='Next neuron']")
    : view.querySelectorAll('[role=tabpanel] .nw-ranked-list .nw-ranked-row')[row];
  const start = performance.now();
  target.click();
  const drawn = () => name() !== before && view.querySelector('.nw-example-list li') &&
    view.querySelector('.nw-density-plot path') && !view.querySelector('.nw-state-body[data-dim]');
  while (!drawn()) {
    if (performance.now() - start > 10000) return null;
    await new Promise((done) => requestAnimationFrame(done));
  }
  await new Promise((done) => requestAnimationFrame(done));
  return performance.now() - start;
}"""
# What any message to this kernel and back takes, beside: on a busy machine that is most of it.
ROUND_TRIP = """async () => {
  const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
  const start = performance.now();
  await kernel.requestKernelInfo();
  await new Promise((done) => requestAnimationFrame(done));
  return performance.now() - start;
}"""
IDLE = "import time\nwhile not explorer.wait(0.1): pass\nprint('idle')"


def bundled_examples(folder: Path) -> Path:
    """Examples of all mlp neurons over 200 bundled film reviews."""
    import neurowidget as nw
    from neurowidget.models.bundled import sample_texts

    model = nw.load_model("demo:sentiment")
    return nw.top_examples(model, nw.Corpus(sample_texts("movies")[:200]), progress=False).save(folder / "examples.npz")


def measure(examples: Path, rounds: int) -> dict[str, Any]:
    """Click times in milliseconds, by where."""
    import jupyterlab_server as jupyter
    from chromium import chromium
    from conftest import CHROMES, CHROMIUM_FLAGS
    from playwright.sync_api import sync_playwright
    from widget import spread

    path = os.environ.get("CHROME") or next(p for name in CHROMES if (p := shutil.which(name)))
    launch = {"executable_path": path, "args": list(CHROMIUM_FLAGS)}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        notebooks = Path(folder) / "notebooks"
        notebooks.mkdir()
        jupyter.notebook(notebooks / "card.ipynb", [CELL.format(path=str(examples.resolve())), CARD])
        with (
            jupyter.lab(Path(folder), notebooks) as address,
            chromium(playwright, launch, width=1400, height=2600) as watched,
        ):
            page = watched.page
            jupyter.open_notebook(page, address, "card.ipynb")
            jupyter.command(page, "notebook:run-all-cells")
            page.wait_for_selector(".nw-neuron-card .nw-example-list li", timeout=300_000)
            page.wait_for_selector(".nw-neuron-explorer canvas", timeout=300_000)
            page.locator(".nw-neuron-explorer").get_by_role("tab", name="Ranked").click()
            page.wait_for_selector("[role=tabpanel] .nw-ranked-row[role=option]")

            def clicks(root: str, still: bool, first: int | None) -> list[float]:
                times = []
                for number in range(rounds):
                    if still:
                        jupyter.run_code(page, IDLE, timeout=120)
                    took = page.evaluate(CLICK, [root, None if first is None else first + number])
                    if took is None:
                        raise RuntimeError(f"no card after click {number} in {root}: {watched.errors}")
                    times.append(round(took, 1))
                return times

            trips = [round(page.evaluate(ROUND_TRIP), 1) for _ in range(rounds)]
            found = {
                "kernel_round_trip_ms": trips,
                "explorer_idle_ms": clicks(".nw-neuron-explorer", True, 0),
                "explorer_while_it_computes_ms": clicks(".nw-neuron-explorer", False, 40),
                "neuron_card_next_ms": clicks(".nw-neuron-card", False, None),
            }
    return {
        name: spread(times) | {"95 %": sorted(times)[int(0.95 * (len(times) - 1))]} for name, times in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=Path, help="a saved Examples of all mlp neurons of demo:sentiment")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(options.examples or bundled_examples(Path(folder)), options.rounds)))


if __name__ == "__main__":
    main()
