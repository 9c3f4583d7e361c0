// Pixels to cells and back, zooming, pooling, and where neurons are drawn.
import { describe, expect, it } from "vitest";
import { bands, cellOf, placeOf, stepFrom } from "../src/lib/bands";
import { cellAt, cellBox, visible } from "../src/lib/hit";
import { halvings, Levels, poolRuns } from "../src/lib/pool";
import {
  canPan,
  clamp,
  type Frame,
  panBy,
  reveal,
  START,
  transform,
  zoomAt,
  zoomRange,
} from "../src/lib/zoom";
import { niceStep } from "../src/views/layer-heatmap";
import { integers } from "./synthetic";

const FRAME: Frame = {
  rows: 100,
  cols: 300,
  width: 650,
  height: 220,
  left: 50,
  top: 20,
  kx: 2,
  ky: 2,
  maxKx: 24,
  maxKy: 18,
};

describe("hit", () => {
  it("a cell is under every point of its own box, at any zoom and place", () => {
    const draw = integers(4);
    for (let i = 0; i < 200; i++) {
      const t = { x: 50 - draw(500), y: 20 - draw(300), kx: (1 + draw(80)) / 4, ky: (1 + draw(60)) / 4 };
      const cell = { row: draw(100), col: draw(300) };
      const box = cellBox(t, cell);
      for (const share of [0.01, 0.5, 0.99]) {
        expect(cellAt(t, box.x + share * box.width, box.y + share * box.height, 100, 300)).toEqual(cell);
      }
    }
  });

  it("there is nothing outside the grid", () => {
    const t = { x: 50, y: 20, kx: 2, ky: 2 };
    for (const [x, y] of [
      [49, 30],
      [60, 19],
      [651, 30],
      [60, 221],
      [Number.NaN, 30],
    ]) {
      expect(cellAt(t, x, y, 100, 300)).toBeNull();
    }
  });

  it("knows which cells are seen", () => {
    expect(visible(50, 2, 50, 650, 300)).toEqual([0, 300]);
    expect(visible(-50, 2, 50, 61, 300)).toEqual([50, 56]);
    expect(visible(700, 2, 50, 650, 300)).toEqual([0, 0]);
  });
});

describe("zoom", () => {
  it("keeps the cell under the pointer", () => {
    let view = START;
    const [px, py] = [333, 111];
    const before = cellAt(transform(view, FRAME), px, py, FRAME.rows, FRAME.cols);
    for (const factor of [1.3, 1.7, 2, 1.1]) view = zoomAt(view, factor, px, py, FRAME);
    expect(view.zoom).toBeGreaterThan(4);
    expect(cellAt(transform(view, FRAME), px, py, FRAME.rows, FRAME.cols)).toEqual(before);
  });

  it("comes back to the start, and never leaves the grid", () => {
    const view = zoomAt(zoomAt(START, 5, 600, 200, FRAME), 1 / 100, 60, 30, FRAME);
    expect(view).toEqual({ zoom: zoomRange(FRAME)[0], scrollX: 0, scrollY: 0 });
    const far = panBy(zoomAt(START, 4, 100, 100, FRAME), 1e9, 1e9, FRAME);
    const t = transform(far, FRAME);
    expect(t.x + FRAME.cols * t.kx).toBeCloseTo(FRAME.width, 6);
    expect(t.y + FRAME.rows * t.ky).toBeCloseTo(FRAME.height, 6);
  });

  it("lets cells grow to their largest size on each axis and no further", () => {
    const t = transform(zoomAt(START, 1e6, 300, 100, FRAME), FRAME);
    expect([t.kx, t.ky]).toEqual([24, 18]);
  });

  it("zooms out of what does not fit until it does", () => {
    const tall = { ...FRAME, rows: 400 };
    const [low] = zoomRange(tall);
    expect(low).toBeCloseTo(0.25, 6);
    expect(transform(clamp({ ...START, zoom: 0 }, tall), tall).ky * 400).toBeCloseTo(200, 6);
  });

  it("leaves the wheel to the page when there is nothing to pan", () => {
    expect(canPan(START, 0, 100, FRAME)).toBe(false);
    const tall = { ...FRAME, rows: 400 };
    expect(canPan(START, 0, 100, tall)).toBe(true);
    expect(canPan(START, 0, -100, tall)).toBe(false);
    expect(canPan(panBy(START, 0, 1e6, tall), 0, 100, tall)).toBe(false);
  });

  it("scrolls a cell into view and not further than it must", () => {
    const zoomed = zoomAt(START, 8, 50, 20, FRAME);
    const view = reveal(zoomed, 90, 250, FRAME);
    const box = cellBox(transform(view, FRAME), { row: 90, col: 250 });
    expect(box.x).toBeGreaterThanOrEqual(FRAME.left);
    expect(box.x + box.width).toBeLessThanOrEqual(FRAME.width);
    expect(box.y + box.height).toBeLessThanOrEqual(FRAME.height);
    expect(reveal(view, 90, 250, FRAME)).toEqual(view);
  });
});

describe("pool", () => {
  it("keeps the value of largest size with its sign, and NaN only where there is nothing else", () => {
    const n = Number.NaN;
    expect([...poolRuns(Float32Array.of(1, -3, 2, n, 0, n, n, n, -5), 3)]).toEqual([-3, 0, -5]);
    expect([...poolRuns(Float32Array.of(n, n, 4), 2)]).toEqual([n, 4]);
    const same = Float32Array.of(1, 2);
    expect(poolRuns(same, 1)).toBe(same);
  });

  it("is the same in one step as in several, for every level of a grid", () => {
    const draw = integers(9);
    const [rows, cols] = [37, 101];
    const cells = Float32Array.from({ length: rows * cols }, () => {
      const value = draw(4001) - 2000;
      return value % 17 ? value : Number.NaN;
    });
    const levels = new Levels({ rows, cols, row: (r) => cells.subarray(r * cols, (r + 1) * cols) });
    for (const [lx, ly] of [
      [0, 0],
      [1, 0],
      [1, 1],
      [2, 1],
      [2, 2],
      [3, 4],
      [0, 2],
    ]) {
      const level = levels.get(lx, ly);
      expect([level.rows, level.cols]).toEqual([Math.ceil(rows / 2 ** ly), Math.ceil(cols / 2 ** lx)]);
      for (let r = 0; r < level.rows; r++) {
        for (let c = 0; c < level.cols; c++) {
          let most = -1;
          for (let i = r << ly; i < Math.min(rows, (r + 1) << ly); i++) {
            for (let j = c << lx; j < Math.min(cols, (c + 1) << lx); j++) {
              const size = Math.abs(cells[i * cols + j]);
              if (size > most) most = size;
            }
          }
          const found = Math.abs(level.row(r)[c]);
          expect(Number.isNaN(found) ? -1 : found).toBe(most);
        }
      }
      expect(levels.get(lx, ly)).toBe(level);
    }
  });

  it("halves until no cell is thinner than a pixel", () => {
    expect([3, 1, 0.9, 0.5, 0.26, 0.25, 0.24].map(halvings)).toEqual([0, 0, 1, 1, 2, 2, 3]);
  });
});

describe("bands", () => {
  it("puts every neuron somewhere of its own, the first layer at the bottom", () => {
    const b = bands(3, 50, 200, 100);
    const seen = new Set<string>();
    for (let layer = 0; layer < 3; layer++) {
      for (let at = 0; at < 50; at++) {
        const cell = cellOf(b, { layer, at });
        expect(placeOf(b, cell)).toEqual({ layer, at });
        seen.add(`${cell.row},${cell.col}`);
      }
    }
    expect(seen.size).toBe(150);
    expect(cellOf(b, { layer: 0, at: 0 }).row).toBeGreaterThan(cellOf(b, { layer: 2, at: 49 }).row);
    expect(placeOf(b, { row: b.bandRows, col: 0 })).toBeNull();
  });

  it.each([
    [6, 1536, 832, 480],
    [12, 3072, 832, 480],
    [16, 3125, 340, 480],
    [1, 10, 340, 480],
    [1, 50_000, 1540, 480],
  ])(
    "%i x %i neurons in %i px are targets of 5 to 20 px, and wrap within the width",
    (layers, n, width, height) => {
      const b = bands(layers, n, width, height);
      expect(b.cell).toBeGreaterThanOrEqual(5);
      expect(b.cell).toBeLessThanOrEqual(20);
      expect(b.cols * b.cell).toBeLessThanOrEqual(width);
      expect(b.cols * b.bandRows).toBeGreaterThanOrEqual(n);
      if (b.cell > 5) expect(b.rows * b.cell).toBeLessThanOrEqual(height);
    },
  );

  it("steps by key, from band to band, and stays at the edges", () => {
    const b = bands(3, 50, 200, 100);
    const last = { layer: 2, at: 49 };
    expect(stepFrom(b, last, "right")).toEqual(last);
    expect(stepFrom(b, { layer: 2, at: 0 }, "up")).toEqual({ layer: 2, at: 0 });
    expect(stepFrom(b, last, "down").layer).toBe(1);
    expect(stepFrom(b, { layer: 1, at: 0 }, "up").layer).toBe(2);
    expect(stepFrom(b, { layer: 1, at: 7 }, "layerDown")).toEqual({ layer: 0, at: 7 });
    expect(stepFrom(b, { layer: 0, at: 7 }, "layerDown")).toEqual({ layer: 0, at: 7 });
    expect(stepFrom(b, { layer: 1, at: 7 }, "home").at).toBe(0);
    expect(stepFrom(b, { layer: 1, at: 7 }, "end").at).toBe(49);
    let place = { layer: 2, at: 3 };
    for (let i = 0; i < 500; i++) place = stepFrom(b, place, "down");
    expect(place.layer).toBe(0);
  });
});

it("axis steps are round numbers", () => {
  expect([0.3, 1, 1.5, 3, 7, 24, 61, 180].map(niceStep)).toEqual([1, 1, 2, 5, 10, 50, 100, 200]);
});
