// One number per neuron from an array that may have a token axis.
import type { NdArray } from "./arrays";

const strongestOverTokens = new WeakMap<NdArray, Float32Array[]>();

/** Rows of (layer, neuron): the values at `token`, or without one the signed value of largest size over the tokens. */
export function field(matrix: NdArray, token: number | null): Float32Array[] {
  const [layers, tokens] = matrix.shape;
  const all = Array.from({ length: layers }, (_, layer) => layer);
  if (matrix.shape.length < 3) return all.map((layer) => matrix.row(layer));
  if (token !== null && token >= 0 && token < tokens) return all.map((layer) => matrix.row(layer, token));
  let rows = strongestOverTokens.get(matrix);
  if (!rows) {
    rows = all.map((layer) => overTokens(matrix, layer));
    strongestOverTokens.set(matrix, rows);
  }
  return rows;
}

function overTokens(matrix: NdArray, layer: number): Float32Array {
  const [, tokens, width] = matrix.shape;
  const best = new Float32Array(width).fill(Number.NaN);
  const most = new Float32Array(width).fill(-1);
  for (let t = 0; t < tokens; t++) {
    const row = matrix.row(layer, t);
    for (let i = 0; i < width; i++) {
      const size = Math.abs(row[i]);
      if (size > most[i]) {
        most[i] = size;
        best[i] = row[i];
      }
    }
  }
  return best;
}

/** Standard deviation of each neuron over the tokens of this text: rows of (layer, neuron). */
export function deviation(matrix: NdArray): Float32Array[] {
  const [layers, tokens, width] = matrix.shape;
  return Array.from({ length: layers }, (_, layer) => {
    const sum = new Float64Array(width);
    const squares = new Float64Array(width);
    for (let t = 0; t < tokens; t++) {
      const row = matrix.row(layer, t);
      for (let i = 0; i < width; i++) {
        sum[i] += row[i];
        squares[i] += row[i] * row[i];
      }
    }
    return Float32Array.from(sum, (s, i) => Math.sqrt(Math.max(0, squares[i] / tokens - (s / tokens) ** 2)));
  });
}
