// A coloured grid as off-screen tiles: coloured once, then only scaled while zooming and panning.
import type { Scale } from "./colour";
import { type Transform, visible } from "./hit";
import { type Grid, halvings, Levels } from "./pool";

const TILE = 512;
const MAX_TILES = 96;
type Tile = OffscreenCanvas | HTMLCanvasElement;

export class GridImage {
  /** True once a value that is not a number was drawn: it is transparent. */
  hasNaN = false;
  readonly #levels: Levels;
  readonly #tiles = new Map<string, Tile>();
  #scale: Scale;
  #pixels: Uint32Array;

  constructor(grid: Grid, scale: Scale) {
    this.#levels = new Levels(grid);
    this.#scale = scale;
    this.#pixels = scale.pixels();
  }

  /** Other colours for the same values. */
  recolour(scale: Scale): void {
    if (scale === this.#scale) return;
    this.#scale = scale;
    this.#pixels = scale.pixels();
    this.#tiles.clear();
  }

  /** Draw what is visible in the box (x, y, width, height); `ratio` is device pixels per CSS pixel. */
  draw(
    context: CanvasRenderingContext2D,
    t: Transform,
    box: { x: number; y: number; width: number; height: number },
    ratio = 1,
  ): void {
    const lx = halvings(t.kx * ratio);
    const ly = halvings(t.ky * ratio);
    const level = this.#levels.get(lx, ly);
    const kx = t.kx * 2 ** lx;
    const ky = t.ky * 2 ** ly;
    const [c0, c1] = visible(t.x, kx, box.x, box.x + box.width, level.cols);
    const [r0, r1] = visible(t.y, ky, box.y, box.y + box.height, level.rows);
    if (c0 >= c1 || r0 >= r1) return;
    context.save();
    context.beginPath();
    context.rect(box.x, box.y, box.width, box.height);
    context.clip();
    context.imageSmoothingEnabled = false;
    for (let tr = Math.floor(r0 / TILE); tr * TILE < r1; tr++) {
      for (let tc = Math.floor(c0 / TILE); tc * TILE < c1; tc++) {
        const tile = this.#tile(level, lx, ly, tr, tc);
        // The visible part only: a full tile at 40 px a cell would be a 20,000 px image.
        const [sx, ex] = [Math.max(0, c0 - tc * TILE), Math.min(tile.width, c1 - tc * TILE)];
        const [sy, ey] = [Math.max(0, r0 - tr * TILE), Math.min(tile.height, r1 - tr * TILE)];
        if (ex <= sx || ey <= sy) continue;
        // Edges on whole device pixels: no seams between tiles.
        const left = snap(t.x + (tc * TILE + sx) * kx, ratio);
        const right = snap(t.x + (tc * TILE + ex) * kx, ratio);
        const top = snap(t.y + (tr * TILE + sy) * ky, ratio);
        const bottom = snap(t.y + (tr * TILE + ey) * ky, ratio);
        context.drawImage(tile, sx, sy, ex - sx, ey - sy, left, top, right - left, bottom - top);
      }
    }
    context.restore();
  }

  #tile(level: Grid, lx: number, ly: number, tr: number, tc: number): Tile {
    const key = `${lx},${ly},${tr},${tc}`;
    const old = this.#tiles.get(key);
    if (old) return old;
    if (this.#tiles.size >= MAX_TILES) this.#tiles.delete(this.#tiles.keys().next().value as string);
    const width = Math.min(TILE, level.cols - tc * TILE);
    const height = Math.min(TILE, level.rows - tr * TILE);
    const image = new ImageData(width, height);
    const out = new Uint32Array(image.data.buffer);
    const entries = new Uint8Array(width);
    for (let r = 0; r < height; r++) {
      const values = level.row(tr * TILE + r).subarray(tc * TILE, tc * TILE + width);
      this.#scale.indices(values, entries);
      for (let c = 0, to = r * width; c < width; c++, to++) {
        if (!entries[c]) this.hasNaN = true;
        out[to] = this.#pixels[entries[c]];
      }
    }
    const tile = blank(width, height);
    (tile.getContext("2d") as CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D).putImageData(
      image,
      0,
      0,
    );
    this.#tiles.set(key, tile);
    return tile;
  }
}

const snap = (v: number, ratio: number) => Math.round(v * ratio) / ratio;

export function blank(width: number, height: number): Tile {
  if (typeof OffscreenCanvas === "function") return new OffscreenCanvas(width, height);
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/** Diagonal lines: what a value that is not a number looks like. */
export function hatch(context: CanvasRenderingContext2D, colour: string): CanvasPattern | string {
  const tile = blank(6, 6);
  const inner = tile.getContext("2d") as CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D | null;
  if (!inner) return colour;
  inner.strokeStyle = colour;
  inner.lineWidth = 1.2;
  for (const offset of [-3, 3, 9]) {
    inner.beginPath();
    inner.moveTo(offset - 4, 7);
    inner.lineTo(offset + 4, -1);
    inner.stroke();
  }
  return context.createPattern(tile, "repeat") ?? colour;
}
