import { describe, expect, it } from "vitest";
import { decode, hasData, type NdArray, toBytes, type WireArray } from "../src/lib/arrays";

const floats = Float32Array.from({ length: 24 }, (_, i) => i - 12);
const wire = (more: Partial<WireArray> = {}): WireArray => ({
  data: new DataView(floats.buffer),
  dtype: "float32",
  shape: [2, 3, 4],
  ...more,
});

describe("decode", () => {
  it("reads values, rows, columns and slices along (layer, token, neuron)", () => {
    const a = decode(wire());
    expect([...a.values]).toEqual([...floats]);
    expect(a.at(1, 2, 3)).toBe(11);
    expect([...a.row(0, 1)]).toEqual([-8, -7, -6, -5]);
    expect([...a.column(1, 2)]).toEqual([2, 6, 10]);
    expect([...a.slice(1)]).toEqual([...floats.subarray(12)]);
  });

  it("takes an ArrayBuffer, a DataView, a Uint8Array, an unaligned view and base64", () => {
    const odd = new Uint8Array(1 + floats.byteLength);
    odd.set(new Uint8Array(floats.buffer), 1);
    const text = btoa(String.fromCharCode(...new Uint8Array(floats.buffer)));
    const data = [
      floats.buffer as ArrayBuffer,
      new DataView(floats.buffer),
      new Uint8Array(floats.buffer),
      odd.subarray(1),
      new DataView(odd.buffer, 1),
      text,
    ];
    for (const d of data) expect([...decode(wire({ data: d })).values]).toEqual([...floats]);
  });

  it("reads float16: normal, subnormal, infinite and NaN", () => {
    const bits = Uint16Array.of(0x3c00, 0xc000, 0x3555, 0x0001, 0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x8000);
    const a = decode({ data: bits, dtype: "float16", shape: [9] });
    expect(a.at(0)).toBe(1);
    expect(a.at(1)).toBe(-2);
    expect(a.at(2)).toBeCloseTo(1 / 3, 3);
    expect(a.at(3)).toBe(2 ** -24);
    expect(a.at(4)).toBe(65504);
    expect(a.at(5)).toBe(Infinity);
    expect(a.at(6)).toBe(-Infinity);
    expect(a.at(7)).toBeNaN();
    expect(Object.is(a.at(8), -0)).toBe(true);
  });

  it("reads uint8: a signed square root, one scale per first index, 0 is NaN", () => {
    const q = Uint8Array.of(0, 1, 128, 255, 0, 1, 192, 255);
    const a = decode({ data: q, dtype: "uint8", shape: [2, 4], scale: [10, 2] });
    expect([...a.row(0)]).toEqual([Number.NaN, -10, 0, 10]);
    const s = 64 / 127;
    expect(a.at(1, 2)).toBeCloseTo(2 * s * s, 6);
    expect([...a.values].slice(4)).toEqual([...a.row(1)]);
    expect([...decode({ data: q, dtype: "uint8", shape: [2, 2, 2], scale: [10, 2] }).column(1, 1)]).toEqual([
      -2, 2,
    ]);
  });

  it("reads int32", () => {
    const a = decode({ data: Int32Array.of(-5, 70000), dtype: "int32", shape: [2] });
    expect([...a.values]).toEqual([-5, 70000]);
  });

  it("samples long arrays and keeps short ones whole", () => {
    const a = decode({ data: new Float32Array(1000), dtype: "float32", shape: [1000] });
    expect(a.sample(100).length).toBeLessThanOrEqual(100);
    expect(a.sample(1000).length).toBe(1000);
  });

  it.each<[string, Partial<WireArray>, RegExp]>([
    ["too few bytes", { shape: [2, 3, 5] }, /needs 120 bytes, got 96/],
    ["too many bytes", { shape: [2, 3] }, /needs 24 bytes, got 96/],
    ["an unknown dtype", { dtype: "float64" }, /"float64" is not one of/],
    ["a dtype from the prototype", { dtype: "constructor" }, /is not one of/],
    ["a negative size", { shape: [-2, -12] }, /not a list of sizes/],
    ["a broken size", { shape: [2.5, 4] }, /not a list of sizes/],
    ["a huge shape", { shape: [1e9, 1e9] }, /larger than/],
    ["no shape", { shape: "24" as unknown as number[] }, /not a list of sizes/],
    ["no data", { data: null }, /data are missing/],
    ["text that is not base64", { data: "%%%" }, /not base64/],
    ["a number for data", { data: 7 as unknown as string }, /neither bytes nor base64/],
    [
      "uint8 without scales",
      { dtype: "uint8", data: new Uint8Array(24) },
      /one scale per first index \(2\), got 0/,
    ],
    [
      "an infinite scale",
      { dtype: "uint8", data: new Uint8Array(24), scale: [1, Infinity] },
      /scale Infinity/,
    ],
  ])("refuses %s", (_, more, message) => {
    expect(() => decode(wire(more))).toThrow(message);
  });

  it("refuses what is not an array at all", () => {
    expect(() => decode(null as unknown as WireArray)).toThrow(/expected \{data/);
  });

  it("refuses indices outside, and a column without a token axis", () => {
    const a = decode(wire());
    expect(() => a.row(2, 0)).toThrow(/index 2 is outside axis 0/);
    expect(() => a.row(0)).toThrow(/expected 2 indices/);
    expect(() => a.column(0, 4)).toThrow(/outside axis 2/);
    expect(() => decode(wire({ shape: [6, 4] })).column(0, 0)).toThrow(/axes \(layer, token, neuron\)/);
    expect(a.at(0, 0, 9)).toBeNaN();
  });
});

it("knows whether there is anything to decode", () => {
  expect(hasData(wire())).toBe(true);
  for (const data of [null, "", new DataView(new ArrayBuffer(0))])
    expect(hasData(wire({ data }))).toBe(false);
  expect(hasData(null)).toBe(false);
});

it("does not copy aligned bytes", () => {
  expect(toBytes(new DataView(floats.buffer, 4)).buffer).toBe(floats.buffer);
  const a: NdArray = decode(wire());
  expect(a.values.buffer).toBe(floats.buffer);
});
