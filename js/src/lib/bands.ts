// Where each neuron of a whole model is drawn: one band per layer, wrapped, the first layer at the bottom.
import type { Cell } from "./hit";

export interface Bands {
  /** Pixels of a (square) cell at the default zoom. */
  cell: number;
  cols: number;
  /** Rows of one band; between bands one row is empty. */
  bandRows: number;
  rows: number;
  /** Cells of one band. */
  count: number;
  layers: number;
}

const MIN_CELL = 5;
const MAX_CELL = 20;

/** The largest cells, 5 to 20 px, with which everything fits into the height; 5 px when nothing does. */
export function bands(layers: number, count: number, width: number, height: number): Bands {
  for (let cell = MAX_CELL; ; cell--) {
    const most = Math.max(1, Math.floor(width / cell));
    const bandRows = Math.max(1, Math.ceil(count / most));
    // Even rows: the last one of a band is not a stump.
    const cols = Math.max(1, Math.ceil(count / bandRows));
    const rows = layers * (bandRows + 1) - 1;
    if (rows * cell <= height || cell <= MIN_CELL) return { cell, cols, bandRows, rows, count, layers };
  }
}

/** Position `at` in layer row `layer` (an index of the first axis). */
export interface Place {
  layer: number;
  at: number;
}

export function cellOf(b: Bands, { layer, at }: Place): Cell {
  const top = (b.layers - 1 - layer) * (b.bandRows + 1);
  return { row: top + Math.floor(at / b.cols), col: at % b.cols };
}

/** The inverse: null between bands and after the last cell of a layer. */
export function placeOf(b: Bands, cell: Cell): Place | null {
  const band = Math.floor(cell.row / (b.bandRows + 1));
  const within = cell.row % (b.bandRows + 1);
  const at = within * b.cols + cell.col;
  const layer = b.layers - 1 - band;
  return within < b.bandRows && at < b.count && layer >= 0 && cell.col < b.cols ? { layer, at } : null;
}

export type Step = "left" | "right" | "up" | "down" | "home" | "end" | "layerUp" | "layerDown";

/** Where the keyboard goes from a place; it stays where it is at an edge. */
export function stepFrom(b: Bands, place: Place, step: Step): Place {
  const { layer, at } = place;
  const last = b.count - 1;
  const on = (l: number, a: number) =>
    l < 0 || l >= b.layers ? place : { layer: l, at: Math.max(0, Math.min(last, a)) };
  switch (step) {
    case "left":
      return on(layer, at - 1);
    case "right":
      return on(layer, at + 1);
    case "home":
      return on(layer, 0);
    case "end":
      return on(layer, last);
    case "layerUp":
      return on(layer + 1, at);
    case "layerDown":
      return on(layer - 1, at);
    case "up":
      return at >= b.cols ? on(layer, at - b.cols) : on(layer + 1, (b.bandRows - 1) * b.cols + at);
    default:
      return at + b.cols <= last || Math.floor(at / b.cols) < b.bandRows - 1
        ? on(layer, at + b.cols)
        : on(layer - 1, at % b.cols);
  }
}
