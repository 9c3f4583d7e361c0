"""Drawing a heatmap in a real Chromium: the layer view beside Plotly's heatmap of the same array.

`python bench/heatmap.py --json` prints one JSON object. Both draw the same seeded float32 array (3072 tokens x 2048
neurons unless told otherwise) into a box of the same size, in turns, each in a fresh page. First paint: from the array
in JavaScript to two frames after drawing. Frame: from one animation frame to the next while zooming in and out and
panning (one step a frame).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests")]
STATIC = ROOT / "neurowidget" / "static"
WIDTH, HEIGHT = 900, 500

SHARED = """
const array = (rows, cols) => {
  let state = 1;
  const out = new Float32Array(rows * cols);
  for (let i = 0; i < out.length; i++) {
    state = (state * 48271) % 2147483647;
    out[i] = (state % 2001 - 1000) / 1000 * (state % 97 === 0 ? 8 : 1);
  }
  return out;
};
const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
const run = async (steps, step) => {
  const times = [];
  let last = await frame();
  for (let i = 0; i < steps; i++) {
    await step(i);
    const now = await frame();
    times.push(now - last);
    last = now;
  }
  return times;
};
"""

PRODUCT = """
async ({rows, cols, steps}) => {
  const values = array(rows, cols);
  const state = {
    _kind: "neuron-heatmap", _live: false, _notes: [], _status: {state: "ready"}, last_error: null,
    selected_neuron: null, selected_token: null, _tokens: null, _preview: null,
    view: {tab: "layer", layer: 0, sort: "index", color: "activation", range: "text"},
    _model: {name: "bench", site: "mlp", stack: null, layers: [0], width: cols, hash: ""},
    _matrix: {data: new DataView(values.buffer), dtype: "float32", shape: [1, rows, cols]},
    _matrix_info: {name: "activation", of: "", signed: true, unit: ""},
  };
  const el = document.getElementById("box");
  const started = performance.now();
  const model = new NWHost.StaticModel(state);
  NW.default.render({model, el, signal: new AbortController().signal});
  await frame();
  await frame();
  const first = performance.now() - started;
  const canvas = el.querySelector("canvas");
  const pixel = () => canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data.join();
  const bounds = canvas.getBoundingClientRect();
  const at = {clientX: bounds.x + 400, clientY: bounds.y + 200, bubbles: true, cancelable: true};
  const before = canvas.toDataURL().length;
  const zoom = await run(steps, (i) => {
    canvas.dispatchEvent(new WheelEvent("wheel", {...at, ctrlKey: true, deltaY: i < steps / 2 ? -40 : 34}));
    pixel();
  });
  if (canvas.toDataURL().length === before) throw new Error("zooming changed nothing");
  const pointer = {...at, pointerId: 1, button: 0, buttons: 1, isPrimary: true};
  canvas.setPointerCapture = () => {};
  canvas.dispatchEvent(new PointerEvent("pointerdown", pointer));
  const pan = await run(steps, (i) => {
    const clientX = at.clientX - 6 * i, clientY = at.clientY - 4 * i;
    canvas.dispatchEvent(new PointerEvent("pointermove", {...pointer, clientX, clientY}));
    pixel();
  });
  return {first, frames: [...zoom, ...pan], cells: values.length};
}
"""

PLOTLY = """
async ({rows, cols, steps}) => {
  const values = array(rows, cols);
  const el = document.getElementById("box");
  const started = performance.now();
  const z = Array.from({length: rows}, (_, r) => values.subarray(r * cols, (r + 1) * cols));
  const layout = {width: el.clientWidth, height: 500, margin: {l: 60, r: 10, t: 20, b: 30}};
  await Plotly.newPlot(el, [{type: "heatmap", z, colorscale: "RdBu", zmid: 0}], layout);
  await frame();
  await frame();
  const first = performance.now() - started;
  const frames = await run(steps, (i) => {
    const half = 0.5 / (1 + i);
    const range = (n, shift) => [n * (0.5 + shift - half), n * (0.5 + shift + half)];
    return Plotly.relayout(el, {"xaxis.range": range(cols, i / 40), "yaxis.range": range(rows, i / 40)});
  });
  return {first, frames, cells: values.length};
}
"""


def page_of(scripts: list[str], folder: Path, name: str, css: str = "") -> str:
    """A page with a box of the measured size and the scripts inline; returns its file URL."""
    inline = "".join(f"<script>{script.replace('</script', '<' + chr(92) + '/script')}</script>" for script in scripts)
    html = (
        f'<!doctype html><meta charset="utf-8"><style>{css} body {{ margin: 0; background: white }}'
        f' #box {{ width: {WIDTH}px }}</style><body><div id="box"></div>{inline}'
    )
    path = folder / f"{name}.html"
    path.write_text(html, encoding="utf-8")
    return path.as_uri()


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium without a network."""
    import shutil

    from conftest import CHROMES, CHROMIUM_FLAGS
    from playwright.sync_api import sync_playwright

    names = [os.environ["CHROME"]] if os.environ.get("CHROME") else CHROMES
    found = [path for name in names if (path := shutil.which(name))]
    if not found:
        raise SystemExit("No Chrome or Chromium was found: install one or set CHROME to its path.")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found[0], args=list(CHROMIUM_FLAGS))
        try:
            yield opened
        finally:
            opened.close()


def measure(chromium: Any, url: str, script: str, rows: int, cols: int, steps: int) -> dict[str, Any]:
    """One run in a fresh page."""
    page = chromium.new_page(viewport={"width": WIDTH + 40, "height": HEIGHT + 250})
    page.set_default_timeout(600_000)
    try:
        page.goto(url)
        result: dict[str, Any] = page.evaluate(script, {"rows": rows, "cols": cols, "steps": steps})
        if result["cells"] != rows * cols:
            raise RuntimeError(f"drew {result['cells']} cells, expected {rows * cols}")
        return result
    finally:
        page.close()


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds; frames pooled over all of them, and the median of each round."""
    first = [run["first"] for run in runs]
    frames = sorted(t for run in runs for t in run["frames"])
    medians = [statistics.median(run["frames"]) for run in runs]
    return {
        "first_paint_ms": {
            "median": round(statistics.median(first), 1),
            "range": [round(min(first), 1), round(max(first), 1)],
        },
        "frame_ms": {
            "median": round(statistics.median(frames), 1),
            "p95": round(frames[int(0.95 * (len(frames) - 1))], 1),
            "range_of_medians": [round(min(medians), 1), round(max(medians), 1)],
            "frames": len(frames),
        },
    }


def main() -> None:
    """Measure and print a table, or JSON with --json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=3072)
    parser.add_argument("--neurons", type=int, default=2048)
    parser.add_argument("--frames", type=int, default=60, help="steps of zooming, and as many of panning, a round")
    parser.add_argument("--plotly-frames", type=int, default=6, help="relayouts a round (one takes seconds)")
    args = parser.parse_args()

    import plotly
    from plotly.offline import get_plotlyjs

    css = (STATIC / "neurowidget.css").read_text(encoding="utf-8")
    product = [(STATIC / name).read_text(encoding="utf-8") for name in ("neuron-heatmap.js", "static-host.js")]
    size = (args.tokens, args.neurons)
    ours: list[dict[str, Any]] = []
    theirs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="nw-bench-") as folder, browser() as chromium:
        pages = {
            "ours": page_of([SHARED, *product], Path(folder), "neurowidget", css),
            "theirs": page_of([SHARED, get_plotlyjs()], Path(folder), "plotly"),
        }
        for turn in range(args.rounds):
            turns = ["ours", "theirs"] if turn % 2 == 0 else ["theirs", "ours"]
            for who in turns:
                if who == "ours":
                    ours.append(measure(chromium, pages[who], PRODUCT, *size, args.frames))
                else:
                    theirs.append(measure(chromium, pages[who], PLOTLY, *size, args.plotly_frames))
        version = chromium.version
    result = {
        "cells": list(size),
        "rounds": args.rounds,
        "chromium": version,
        "plotly": plotly.__version__,
        "neurowidget_layer_heatmap": summary(ours),
        "plotly_heatmap": summary(theirs),
    }
    if args.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{size[0]} x {size[1]} cells, {args.rounds} rounds, Chromium {version}, Plotly {plotly.__version__}")
    print(f"{'':28}{'first paint':>16}{'frame median':>16}{'frame p95':>12}   (ms)")
    for name in ("neurowidget_layer_heatmap", "plotly_heatmap"):
        row = result[name]
        print(
            f"{name:28}{row['first_paint_ms']['median']:>16}{row['frame_ms']['median']:>16}{row['frame_ms']['p95']:>12}"
        )


if __name__ == "__main__":
    main()
