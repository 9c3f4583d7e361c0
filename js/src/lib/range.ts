// Whose range the colours have: all of this text, the selected neuron, or a fixed one that outlives the text.
import type { NdArray } from "./arrays";
import { maxAbs, robustMax, Scale } from "./colour";
import { parseNeuron } from "./neuron";
import type { RangeKind } from "./snapshot";

const SAMPLE = 40_000;
const textMax = new WeakMap<NdArray, number>();

/** The end of the range that fits all but the largest 0.1 % of an array; long arrays are sampled. */
export function rangeOf(matrix: NdArray): number {
  let max = textMax.get(matrix);
  if (max === undefined) {
    // a sample may miss the only values that are not 0
    max = robustMax(matrix.sample(SAMPLE)) || maxAbs(matrix.values);
    textMax.set(matrix, max);
  }
  return max;
}

/** The values of a named neuron over the tokens (one value without a token axis), or null when it is not in here. */
export function neuronValues(
  matrix: NdArray | null,
  neuron: string | null,
  layers: readonly number[],
): Float32Array | null {
  const address = parseNeuron(neuron);
  if (!matrix || !address) return null;
  const layer = layers.indexOf(address.layer);
  const width = matrix.shape[matrix.shape.length - 1];
  if (layer < 0 || layer >= matrix.shape[0] || address.index >= width) return null;
  if (matrix.shape.length === 3) return matrix.column(layer, address.index);
  return Float32Array.of(matrix.at(layer, address.index));
}

export interface RangeInput {
  kind: RangeKind;
  matrix: NdArray | null;
  /** The values of the selected neuron. */
  neuron?: Float32Array | null;
  signed: boolean;
  dark: boolean;
}

/** Gives scales, the same object while nothing about them changes, and remembers the fixed end. */
export class ColourRange {
  #scale: Scale | null = null;
  #fixed: number | null = null;

  scale({ kind, matrix, neuron, signed, dark }: RangeInput): Scale {
    const text = matrix ? rangeOf(matrix) : 0;
    let max = text;
    if (kind === "neuron" && neuron?.length) max = maxAbs(neuron) || text;
    if (kind === "fixed") {
      this.#fixed ??= this.#scale?.max || text || null;
      max = this.#fixed ?? text;
    } else this.#fixed = null;
    const old = this.#scale;
    if (!old || old.max !== max || old.signed !== signed || old.dark !== dark) {
      this.#scale = new Scale({ signed, max, dark });
    }
    return this.#scale as Scale;
  }
}

/** What the colours cannot say: values beyond the ends, and whether any is not a number. */
export function outside(
  rows: readonly ArrayLike<number>[],
  scale: Scale,
): { clipped: { count: number; most: number; below: boolean; above: boolean } | null; hasNaN: boolean } {
  const { min, max } = scale;
  let count = 0;
  let lowest = 0;
  let highest = 0;
  let hasNaN = false;
  for (const row of rows) {
    for (let i = 0; i < row.length; i++) {
      const v = row[i];
      if (v >= min && v <= max) continue;
      if (Number.isNaN(v)) hasNaN = true;
      else {
        count++;
        lowest = Math.min(lowest, v);
        highest = Math.max(highest, v);
      }
    }
  }
  const [below, above] = [lowest < min, highest > max];
  const most = below && (!above || -lowest > highest) ? lowest : highest;
  return { clipped: count ? { count, most, below, above } : null, hasNaN };
}
