// One number per neuron from an array that may have a token axis.
import type { NdArray } from "./arrays";

const KEPT = 8;
const cache = new WeakMap<NdArray, Map<number | null, Float32Array[]>>();

/** Rows of (layer, neuron): the values at `token`, or without one the signed value of largest size over the tokens. */
export function field(matrix: NdArray, token: number | null): Float32Array[] {
  const [layers, tokens] = matrix.shape;
  const at = matrix.shape.length === 3 && token !== null && token >= 0 && token < tokens ? token : null;
  // The same question gives the same arrays, so that a view that hovers to and fro is not drawn anew.
  const kept = cache.get(matrix) ?? new Map<number | null, Float32Array[]>();
  cache.set(matrix, kept);
  let rows = kept.get(at);
  if (!rows) {
    rows = Array.from({ length: layers }, (_, layer) => {
      if (matrix.shape.length < 3) return matrix.row(layer);
      return at === null ? overTokens(matrix, layer) : matrix.row(layer, at);
    });
    if (kept.size >= KEPT) kept.delete([...kept.keys()].find((key) => key !== null) ?? null);
    kept.set(at, rows);
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

/**
 * How far each neuron is above what it does in a corpus, in standard deviations, at `token` or where that is most over
 * the tokens that are not special: rows of (layer, neuron). NaN where it is not above its mean, or never varies.
 */
export function unusual(
  activations: NdArray,
  mean: NdArray,
  deviation: NdArray,
  token: number | null,
  special: readonly boolean[],
): Float32Array[] {
  const [layers, tokens, width] = activations.shape;
  const all = Array.from({ length: tokens }, (_, t) => t).filter((t) => !special[t]);
  const looked = token !== null && token >= 0 && token < tokens ? [token] : all;
  return Array.from({ length: layers }, (_, layer) => {
    const best = new Float32Array(width).fill(Number.NaN);
    for (const t of looked) {
      const row = activations.row(layer, t);
      for (let i = 0; i < width; i++) if (!(row[i] <= best[i])) best[i] = row[i];
    }
    const [usual, spread] = [mean.row(layer), deviation.row(layer)];
    return best.map((value, i) => {
      const z = spread[i] > 0 ? (value - usual[i]) / spread[i] : Number.NaN;
      return z > 0 ? z : Number.NaN;
    });
  });
}
