// Arrays as they cross the wire: little-endian, C order, decoded slice by slice.

export type Dtype = "float32" | "float16" | "int32" | "uint8";
export type Bytes = ArrayBuffer | ArrayBufferView;

export interface WireArray {
  /** Bytes, or a base64 string (previews, snapshots). */
  data: Bytes | string | null;
  dtype: Dtype | (string & {});
  shape: number[];
  /** For uint8: one per index of the first axis. */
  scale?: number[] | null;
}

type Raw = Float32Array | Uint16Array | Int32Array | Uint8Array;
const RAW = { float32: Float32Array, float16: Uint16Array, int32: Int32Array, uint8: Uint8Array };
const MAX_CELLS = 2 ** 28;

/** A read-only array of numbers; the axes of a matrix are (layer, token, neuron) or (layer, neuron). */
export class NdArray {
  readonly size: number;
  #all: Float32Array | null = null;
  #tables: Float32Array[];

  constructor(
    readonly raw: Raw,
    readonly dtype: Dtype,
    readonly shape: readonly number[],
    scale: readonly number[] = [],
  ) {
    this.size = raw.length;
    this.#tables = dtype === "float16" ? [halves()] : dtype === "uint8" ? scale.map(bytes) : [];
  }

  static from(values: ArrayLike<number>, shape: readonly number[]): NdArray {
    const raw = values instanceof Float32Array ? values : Float32Array.from(values);
    if (raw.length !== cells(shape)) {
      throw wrong(`shape [${shape}] has ${cells(shape)} cells, got ${raw.length} values`);
    }
    return new NdArray(raw, "float32", shape);
  }

  /** Every value, decoded once and kept. */
  get values(): Float32Array {
    this.#all ??= this.#decode(0, this.size);
    return this.#all;
  }

  /** One value by its index on each axis; NaN outside. */
  at(...index: number[]): number {
    let offset = 0;
    for (let axis = 0; axis < this.shape.length; axis++) {
      const i = index[axis] ?? 0;
      if (!(i >= 0 && i < this.shape[axis])) return Number.NaN;
      offset = offset * this.shape[axis] + i;
    }
    return this.#value(offset);
  }

  /** The last axis at the given leading indices: row(layer, token) or row(layer). */
  row(...index: number[]): Float32Array {
    const axes = this.shape.length - 1;
    if (index.length !== axes) throw wrong(`expected ${axes} indices, got ${index.length}`);
    let offset = 0;
    for (let axis = 0; axis < axes; axis++) {
      this.#check(axis, index[axis]);
      offset = offset * this.shape[axis] + index[axis];
    }
    const width = this.shape[axes] ?? 1;
    return this.#decode(offset * width, width);
  }

  /** The values of one neuron over the tokens: (layer, token, neuron) arrays only. */
  column(layer: number, neuron: number): Float32Array {
    if (this.shape.length !== 3) {
      throw wrong(`needs the axes (layer, token, neuron), got shape [${this.shape}]`);
    }
    this.#check(0, layer);
    this.#check(2, neuron);
    const [, tokens, width] = this.shape;
    const out = new Float32Array(tokens);
    for (let t = 0; t < tokens; t++) out[t] = this.#value((layer * tokens + t) * width + neuron);
    return out;
  }

  /** Everything at one index of the first axis, in C order. */
  slice(first: number): Float32Array {
    this.#check(0, first);
    const step = this.shape[0] ? this.size / this.shape[0] : 0;
    return this.#decode(first * step, step);
  }

  /** At most about `most` values, evenly spaced: for ranges of long arrays. */
  sample(most: number): Float32Array {
    // An odd step does not fall into step with a width that is a power of two.
    const step = this.size > most ? Math.ceil(this.size / most) | 1 : 1;
    if (step === 1) return this.values;
    const out = new Float32Array(Math.ceil(this.size / step));
    const { raw } = this;
    const plain = raw instanceof Float32Array;
    for (let i = 0; i < out.length; i++) out[i] = plain ? raw[i * step] : this.#value(i * step);
    return out;
  }

  #check(axis: number, i: number): void {
    if (!(Number.isInteger(i) && i >= 0 && i < this.shape[axis])) {
      throw wrong(`index ${i} is outside axis ${axis} of shape [${this.shape}]`);
    }
  }

  #value(offset: number): number {
    const q = this.raw[offset];
    if (this.dtype === "float16") return this.#tables[0][q];
    if (this.dtype === "uint8") return this.#tables[Math.floor(offset / (this.size / this.shape[0]))][q];
    return q;
  }

  #decode(start: number, length: number): Float32Array {
    const { raw } = this;
    if (raw instanceof Float32Array) return raw.subarray(start, start + length);
    const out = new Float32Array(length);
    if (raw instanceof Int32Array) {
      for (let i = 0; i < length; i++) out[i] = raw[start + i];
    } else if (raw instanceof Uint16Array) {
      const table = this.#tables[0];
      for (let i = 0; i < length; i++) out[i] = table[raw[start + i]];
    } else if (length) {
      const step = this.size / this.shape[0];
      for (let i = 0; i < length; ) {
        const first = Math.floor((start + i) / step);
        const table = this.#tables[first];
        const end = Math.min(length, (first + 1) * step - start);
        for (; i < end; i++) out[i] = table[raw[start + i]];
      }
    }
    return out;
  }
}

/** Read a wire array; throws an Error that says what does not fit. */
export function decode(spec: WireArray): NdArray {
  if (!spec || typeof spec !== "object") throw wrong("expected {data, dtype, shape}");
  if (!Object.hasOwn(RAW, spec.dtype)) {
    throw wrong(`dtype ${JSON.stringify(spec.dtype)} is not one of ${Object.keys(RAW)}`);
  }
  const dtype = spec.dtype as Dtype;
  const size = RAW[dtype].BYTES_PER_ELEMENT;
  const isSize = (n: unknown) => Number.isInteger(n) && (n as number) >= 0;
  if (!Array.isArray(spec.shape) || !spec.shape.length || !spec.shape.every(isSize)) {
    throw wrong(`shape [${spec.shape}] is not a list of sizes`);
  }
  const length = cells(spec.shape);
  if (length > MAX_CELLS) throw wrong(`shape [${spec.shape}] is larger than ${MAX_CELLS} cells`);
  if (spec.data === null || spec.data === undefined) throw wrong("the data are missing");
  const data = toBytes(spec.data);
  if (data.byteLength !== length * size) {
    throw wrong(`shape [${spec.shape}] of ${dtype} needs ${length * size} bytes, got ${data.byteLength}`);
  }
  const scale = spec.scale ?? [];
  if (dtype === "uint8") {
    if (scale.length !== spec.shape[0]) {
      throw wrong(`uint8 needs one scale per first index (${spec.shape[0]}), got ${scale.length}`);
    }
    for (const s of scale) if (!Number.isFinite(s)) throw wrong(`the scale ${s} is not a number`);
  }
  // A typed array needs an aligned start; what comes out of a message often has none.
  const aligned = data.byteOffset % size ? data.slice() : data;
  const raw = new RAW[dtype](aligned.buffer as ArrayBuffer, aligned.byteOffset, length);
  return new NdArray(raw, dtype, spec.shape.slice(), scale);
}

/** True when the array can be decoded: a saved notebook keeps the trait but may lose its bytes. */
export function hasData(spec: WireArray | null | undefined): spec is WireArray {
  if (!spec?.data) return false;
  return typeof spec.data === "string" ? spec.data.length > 0 : spec.data.byteLength > 0;
}

/** Any buffer (ArrayBuffer, DataView, Uint8Array) or base64 string as bytes, without a copy where possible. */
export function toBytes(data: Bytes | string): Uint8Array {
  if (typeof data === "string") return fromBase64(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (Object.prototype.toString.call(data).endsWith("ArrayBuffer]")) return new Uint8Array(data);
  throw wrong("the data are neither bytes nor base64");
}

function fromBase64(text: string): Uint8Array {
  let bin: string;
  try {
    bin = atob(text);
  } catch {
    throw wrong("the data are not base64");
  }
  const out = new Uint8Array(bin.length);
  for (let i = 0; i < bin.length; i++) out[i] = bin.charCodeAt(i);
  return out;
}

const wrong = (what: string) => new Error(`array: ${what}`);

function cells(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

// value = scale * s * |s| with s = (q - 128) / 127; q = 0 is NaN
function bytes(scale: number): Float32Array {
  return Float32Array.from({ length: 256 }, (_, q) => {
    const s = (q - 128) / 127;
    return q ? scale * s * Math.abs(s) : Number.NaN;
  });
}

let half: Float32Array | null = null;
function halves(): Float32Array {
  if (half) return half;
  half = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31;
    const mantissa = bits & 1023;
    const size =
      exponent === 0
        ? mantissa * 2 ** -24
        : exponent < 31
          ? (1 + mantissa / 1024) * 2 ** (exponent - 15)
          : mantissa
            ? Number.NaN
            : Infinity;
    half[bits] = bits & 0x8000 ? -size : size;
  }
  return half;
}
