/** The numbers behind the explorer's views, decoded once and looked up many times. */

import { decode, hasData, NdArray, type WireArray } from "./arrays";
import { deviation, field, unusual } from "./field";
import { formatNeuron, parseNeuron } from "./neuron";
import { strongest } from "./order";
import type { Effects, Spread } from "./payload";
import { given, type ModelInfo, type Sort, type TokensState } from "./snapshot";

export type ArrayTraits = "_model" | "_tokens" | "_activations" | "_preview" | "_effects" | "_spread";
/** A row of a list of neurons. */
export interface RankedItem {
  neuron: string;
  value: number;
  effect: number | null;
  label?: string;
}

const NOT_SPECIAL: readonly boolean[] = [];

export type SortKeys = Partial<Record<Sort, readonly Float32Array[]>>;

/** Keep the last result while the arguments are the same. */
export function memo<A extends unknown[], R>(fn: (...args: A) => R): (...args: A) => R {
  let last: { args: A; result: R } | null = null;
  return (...args) => {
    if (!last?.args.every((arg, i) => arg === args[i])) last = { args, result: fn(...args) };
    return last.result;
  };
}

export class ExplorerData {
  model: ModelInfo | null = null;
  tokens: TokensState | null = null;
  /** (layer, token, neuron); null when the bytes are gone, then there is the preview. */
  activations: NdArray | null = null;
  preview: NdArray | null = null;
  /** (layer, neuron). */
  effects: NdArray | null = null;
  spread: NdArray | null = null;
  /** The mean of each neuron over the corpus that `spread` is of. */
  mean: NdArray | null = null;
  effectsOf: Effects | null = null;
  #decoded = new WeakMap<object, NdArray>();
  #columns = new Map<string, Float32Array | null>();

  /** Take what a model holds; arrays that are the same trait value stay the same object. */
  update(get: (name: ArrayTraits) => unknown): void {
    const model = get("_model") as ModelInfo | null;
    const tokens = get("_tokens") as TokensState | null;
    const activations = this.#array(get("_activations"));
    if (activations !== this.activations || model !== this.model) this.#columns.clear();
    this.model = model?.layers ? model : null;
    this.tokens = tokens?.pieces?.length ? tokens : null;
    this.activations = activations?.shape.length === 3 ? activations : null;
    this.preview = this.#array(get("_preview"));
    this.effectsOf = given(get("_effects") as Effects | null);
    this.effects = this.#array(this.effectsOf?.values);
    const spread = given(get("_spread") as Spread | null);
    this.spread = this.#array(spread?.values);
    this.mean = this.#array(spread?.mean);
  }

  #array(spec: unknown): NdArray | null {
    if (!spec || !hasData(spec as WireArray)) return null;
    let array = this.#decoded.get(spec as object);
    if (!array) {
      array = decode(spec as WireArray);
      this.#decoded.set(spec as object, array);
    }
    return array.size ? array : null;
  }

  /** Layer row and index of a neuron in these arrays; null when this model view does not have it. */
  place(neuron: string): [row: number, index: number] | null {
    const address = parseNeuron(neuron);
    if (!address || !this.model) return null;
    const { layers, site, stack, width } = this.model;
    const row = layers.indexOf(address.layer);
    const here = address.site === site && address.stack === (stack ?? null) && address.index < width;
    return row >= 0 && here ? [row, address.index] : null;
  }

  /** One neuron over the tokens, or null when the activations are not here. */
  column(neuron: string): Float32Array | null {
    let found = this.#columns.get(neuron);
    if (found === undefined) {
      const place = this.place(neuron);
      found = place && this.activations ? this.activations.column(...place) : null;
      if (this.#columns.size > 500) this.#columns.clear();
      this.#columns.set(neuron, found);
    }
    return found;
  }

  effectOf(neuron: string): number | null {
    const place = this.place(neuron);
    const value = place && this.effects ? this.effects.at(...place) : Number.NaN;
    return Number.isNaN(value) ? null : value;
  }

  /**
   * What the colours of this text should span: each neuron where it is strongest. The ends that fit all values of all
   * tokens would make a dark carpet of that picture.
   */
  get peaks(): NdArray | null {
    return this.activations ? this.#peaks(this.activations) : this.preview;
  }
  #peaks = memo((array: NdArray) => {
    const rows = field(array, null);
    const width = rows[0]?.length ?? 0;
    const all = new Float32Array(rows.length * width);
    rows.forEach((row, i) => {
      all.set(row, i * width);
    });
    return NdArray.from(all, [rows.length, width]);
  });

  /** Rows (layer, neuron) to order by; `token` is the locked one, so that hovering moves nothing. */
  keys(token: number | null): SortKeys {
    const { effects, spread, mean, activations } = this;
    const keys: SortKeys = {};
    if (activations) keys.activation = this.#activationRows(activations, token);
    if (spread) keys.variance = this.#spreadRows(spread);
    else if (activations && activations.shape[1] > 1) keys.variance = this.#deviation(activations);
    if (effects) keys.effect = this.#effectRows(effects);
    if (activations && spread && mean)
      keys.unusual = this.#unusual(activations, mean, spread, token, this.tokens?.special ?? NOT_SPECIAL);
    return keys;
  }
  #activationRows = memo(field);
  #spreadRows = memo((array: NdArray) => field(array, null));
  #effectRows = memo((array: NdArray) => field(array, null));
  #deviation = memo(deviation);
  #unusual = memo(unusual);

  /** What a map shows: rows (layer, neuron) at a token, or one layer with all its tokens as a single row. */
  drawn = memo((array: NdArray | null, token: number | null, row: number | null) =>
    !array ? [] : row === null ? field(array, token) : [array.slice(row)],
  );

  /** The 100 strongest of rows (layer, neuron), with the effects where they are known. */
  ranked = memo((rows: readonly Float32Array[], _effects: NdArray | null): RankedItem[] => {
    const { layers, site, stack } = this.model ?? { layers: [], site: "", stack: null };
    return strongest(rows, 100).map(({ layer, index, value }) => {
      const neuron = formatNeuron({ layer: layers[layer], index, site, stack });
      return { neuron, value, effect: this.effectOf(neuron) };
    });
  });

  /** The first of them; `saved` marks those that a page without a kernel can say everything about. */
  starters = memo((items: readonly RankedItem[], count: number, saved: object | null) =>
    items.slice(0, count).map((item): RankedItem => {
      const label = saved && Object.hasOwn(saved, item.neuron) ? "saved" : undefined;
      return { ...item, label };
    }),
  );
}
