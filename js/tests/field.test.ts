// One number per neuron, who comes first, and whose range the colours have.
import { describe, expect, it } from "vitest";
import { NdArray } from "../src/lib/arrays";
import { Scale } from "../src/lib/colour";
import { deviation, field, unusual } from "../src/lib/field";
import { latest } from "../src/lib/latest";
import { byStrength, strongest } from "../src/lib/order";
import { ColourRange, neuronValues, outside, rangeOf } from "../src/lib/range";

const N = Number.NaN;
const matrix = NdArray.from([1, -2, N, 0, 3, N, -4, 1, 5, 6, 6, N], [2, 2, 3]);

describe("field", () => {
  it("is the row of the token, or the strongest over the tokens with its sign", () => {
    expect(field(matrix, 1).map((row) => [...row])).toEqual([
      [0, 3, N],
      [6, 6, N],
    ]);
    expect(field(matrix, null).map((row) => [...row])).toEqual([
      [1, 3, N],
      [6, 6, 5],
    ]);
    expect(field(matrix, 99)).toEqual(field(matrix, null));
  });

  it("gives the same arrays for the same question", () => {
    expect(field(matrix, 1)).toBe(field(matrix, 1));
    const before = field(matrix, null);
    for (let i = 0; i < 20; i++) field(matrix, i % 2);
    expect(field(matrix, null)).toBe(before);
  });

  it("takes arrays without a token axis", () => {
    expect(field(NdArray.from([1, 2, 3, 4], [2, 2]), 1).map((row) => [...row])).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  it("measures the spread over the tokens", () => {
    expect([...deviation(NdArray.from([1, 5, 3, 5], [1, 2, 2]))[0]]).toEqual([1, 0]);
  });
});

describe("order", () => {
  it("puts the strongest first, ties by index, NaN last", () => {
    expect([...byStrength([1, -3, N, 3, 0])]).toEqual([1, 3, 0, 4, 2]);
  });

  it("finds the strongest of all layers as sorting everything would", () => {
    const rows = [Float32Array.of(1, N, -7, 7), Float32Array.of(7, 0, 2, -9)];
    const all = rows.flatMap((row, layer) => [...row].map((value, index) => ({ layer, index, value })));
    const sorted = all
      .filter((n) => !Number.isNaN(n.value))
      .sort((a, b) => Math.abs(b.value) - Math.abs(a.value) || a.layer - b.layer || a.index - b.index);
    for (const k of [1, 3, 5, 50]) expect(strongest(rows, k)).toEqual(sorted.slice(0, k));
  });
});

describe("range", () => {
  it("counts what is beyond the ends, and on which side", () => {
    const scale = new Scale({ signed: true, max: 4 });
    expect(outside([Float32Array.of(1, -9, N, 5)], scale)).toEqual({
      clipped: { count: 2, most: -9, below: true, above: true },
      hasNaN: true,
    });
    expect(outside([Float32Array.of(4, -4)], scale)).toEqual({ clipped: null, hasNaN: false });
  });

  it("fits the text, the neuron, or stays fixed while texts come and go", () => {
    const range = new ColourRange();
    const other = NdArray.from([100, 1], [1, 1, 2]);
    const ask = (kind: "text" | "neuron" | "fixed", m: NdArray, neuron: Float32Array | null = null) =>
      range.scale({ kind, matrix: m, neuron, signed: true, dark: false }).max;
    expect(ask("text", matrix)).toBe(6);
    expect(ask("neuron", matrix, neuronValues(matrix, "L8.mlp[0]", [7, 8]))).toBe(6);
    expect(ask("neuron", matrix, neuronValues(matrix, "L7.mlp[1]", [7, 8]))).toBe(3);
    expect(ask("fixed", matrix)).toBe(3);
    expect(ask("fixed", other)).toBe(3);
    expect(ask("text", other)).toBe(100);
    expect(ask("fixed", matrix)).toBe(100);
    expect(rangeOf(other)).toBe(100);
  });

  it("finds the only value that is not 0 among millions", () => {
    const values = new Float32Array(300_000);
    values[123_457] = -5;
    expect(rangeOf(NdArray.from(values, [1, 300, 1000]))).toBe(5);
  });

  it("keeps the scale object while nothing about it changes", () => {
    const range = new ColourRange();
    const input = { kind: "text", matrix, signed: true, dark: false } as const;
    expect(range.scale(input)).toBe(range.scale({ ...input }));
    expect(range.scale(input)).not.toBe(range.scale({ ...input, dark: true }));
  });

  it("has no values for a neuron that is not there", () => {
    expect(neuronValues(matrix, "L1.mlp[3]", [0, 1])).toBeNull();
    expect(neuronValues(matrix, "L2.mlp[0]", [0, 1])).toBeNull();
    expect(neuronValues(matrix, null, [0, 1])).toBeNull();
    expect(neuronValues(NdArray.from([1, 2], [1, 2]), "L0.mlp[1]", [0])).toEqual(Float32Array.of(2));
  });
});

it("latest computes again only for other inputs", () => {
  let runs = 0;
  const memo = latest<number>();
  const ask = (...inputs: unknown[]) => memo(inputs, () => ++runs);
  expect([ask(1, N), ask(1, N), ask(2, N), ask(1, N)]).toEqual([1, 1, 2, 3]);
});

it("says how far above its own mean each neuron is, at a token or at its most unusual ordinary one", () => {
  const values = NdArray.from([9, 9, 9, 1, 4, 2, 3, 0, 2], [1, 3, 3]); // three tokens, the first is special
  const mean = NdArray.from([1, 2, 2], [1, 3]);
  const deviation = NdArray.from([2, 0.5, 0], [1, 3]);
  const at = (token: number | null) => [...unusual(values, mean, deviation, token, [true, false, false])[0]];
  expect(at(null)).toEqual([1, 4, N]);
  expect(at(0)).toEqual([4, 14, N]);
  expect(at(2)).toEqual([1, N, N]);
});
