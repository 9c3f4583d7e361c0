import { describe, expect, it } from "vitest";
import {
  contrast,
  luminance,
  maxAbs,
  palette,
  parseColour,
  type Rgb,
  robustMax,
  Scale,
  textColour,
} from "../src/lib/colour";

const SCALES = [
  [true, false],
  [true, true],
  [false, false],
  [false, true],
] as const;
const entries = (signed: boolean, dark: boolean): Rgb[] => {
  const table = palette(signed, dark);
  return Array.from({ length: 256 }, (_, i) => [table[3 * i], table[3 * i + 1], table[3 * i + 2]]);
};

/** CIELAB (D65) of an sRGB colour. */
function lab(rgb: Rgb): [number, number, number] {
  const [r, g, b] = rgb.map((x) => (x <= 10.31475 ? x / 3294.6 : ((x / 255 + 0.055) / 1.055) ** 2.4));
  const f = (t: number) => (t > 216 / 24389 ? Math.cbrt(t) : (24389 / 27) * (t / 116) + 16 / 116);
  const x = f((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047);
  const y = f(0.2126729 * r + 0.7151522 * g + 0.072175 * b);
  const z = f((0.0193339 * r + 0.119192 * g + 0.9503041 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}
const deltaE = (a: Rgb, b: Rgb) => {
  const [p, q] = [lab(a), lab(b)];
  return Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]);
};

/** Machado, Oliveira and Fernandes 2009, severity 1. */
const DEFICIENCIES: Record<string, number[]> = {
  protanopia: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deuteranopia: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritanopia: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
};
function seen(rgb: Rgb, m: number[]): Rgb {
  const lin = rgb.map((x) => (x <= 10.31475 ? x / 3294.6 : ((x / 255 + 0.055) / 1.055) ** 2.4));
  const out = [0, 3, 6].map((i) => m[i] * lin[0] + m[i + 1] * lin[1] + m[i + 2] * lin[2]);
  const [r, g, b] = out.map((x) => {
    const v = Math.max(0, Math.min(1, x));
    return 255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);
  });
  return [r, g, b];
}

describe("palettes", () => {
  it("have white at 0 in light, and the colour of the panel in dark", () => {
    expect(entries(true, false)[128]).toEqual([255, 255, 255]);
    expect(entries(false, false)[1]).toEqual([255, 255, 255]);
    expect(entries(true, true)[128]).toEqual([0x1e, 0x1e, 0x20]);
    expect(entries(false, true)[1]).toEqual([0x1e, 0x1e, 0x20]);
  });

  it.each(SCALES)("get steadily stronger away from 0 (signed %s, dark %s)", (signed, dark) => {
    const lightness = entries(signed, dark).map((rgb) => lab(rgb)[0] * (dark ? -1 : 1));
    for (let i = signed ? 129 : 2; i < 256; i++)
      expect(lightness[i]).toBeLessThanOrEqual(lightness[i - 1] + 0.4);
    if (signed) {
      for (let i = 127; i > 0; i--) expect(lightness[i]).toBeLessThanOrEqual(lightness[i + 1] + 0.4);
    }
  });

  it.each(SCALES)("have even steps (signed %s, dark %s)", (signed, dark) => {
    const all = entries(signed, dark);
    const steps = Array.from({ length: 254 }, (_, i) => deltaE(all[i + 1], all[i + 2]));
    expect(Math.max(...steps)).toBeLessThan(5 * (steps.reduce((a, b) => a + b) / steps.length));
  });

  it.each(SCALES)("carry text of at least 4.5:1 on every step (signed %s, dark %s)", (signed, dark) => {
    for (const rgb of entries(signed, dark).slice(1)) {
      const text: Rgb = textColour(rgb) === "#000" ? [0, 0, 0] : [255, 255, 255];
      expect(contrast(rgb, text)).toBeGreaterThanOrEqual(4.5);
    }
  });

  it.each([...Object.keys(DEFICIENCIES)])("keep their ends apart with %s", (name) => {
    const see = (rgb: Rgb) => seen(rgb, DEFICIENCIES[name]);
    for (const [signed, dark] of SCALES) {
      const all = entries(signed, dark);
      const zero = all[signed ? 128 : 1];
      expect(deltaE(see(all[255]), see(zero))).toBeGreaterThan(15);
      expect(deltaE(see(all[1]), see(all[255]))).toBeGreaterThan(15);
      // half-way already tells the sign
      if (signed) expect(deltaE(see(all[64]), see(all[192]))).toBeGreaterThan(15);
    }
  });

  it("give both signs the same weight", () => {
    for (const dark of [false, true]) {
      const all = entries(true, dark);
      for (const i of [32, 64, 127]) {
        expect(Math.abs(lab(all[128 - i])[0] - lab(all[128 + i])[0])).toBeLessThan(12);
      }
    }
  });
});

describe("Scale", () => {
  it("is symmetric, with 0 exactly in the middle", () => {
    const scale = new Scale({ signed: true, max: 4 });
    expect([scale.min, scale.max]).toEqual([-4, 4]);
    expect([-4, -0.001, 0, 0.001, 4].map((v) => scale.index(v))).toEqual([1, 128, 128, 128, 255]);
    expect(scale.index(2) - 128).toBe(128 - scale.index(-2));
    expect(scale.css(0)).toBe("rgb(255 255 255)");
  });

  it("starts at 0 when it is not signed", () => {
    const scale = new Scale({ signed: false, max: 10 });
    expect([scale.index(0), scale.index(10), scale.index(-3)]).toEqual([1, 255, 1]);
    expect(scale.min).toBe(0);
  });

  it("says which values are cut, and leaves NaN without a colour", () => {
    const scale = new Scale({ signed: true, max: 1 });
    expect([scale.clipped(1.01), scale.clipped(1), scale.clipped(-2), scale.clipped(Number.NaN)]).toEqual([
      1, 0, -1, 0,
    ]);
    expect(scale.index(Number.NaN)).toBe(0);
    expect(scale.css(Number.NaN)).toBe("transparent");
    expect(scale.pixels()[0]).toBe(0);
    expect(scale.clipped(Infinity)).toBe(1);
    expect(scale.index(-Infinity)).toBe(1);
  });

  it("has one colour when everything is 0", () => {
    expect(new Scale({ signed: true, max: 0 }).index(0)).toBe(128);
    expect(new Scale({ signed: true, max: Number.NaN }).index(5)).toBe(128);
  });

  it.each([true, false])(
    "gives many values the entries that it gives one, within half a step (signed %s)",
    (signed) => {
      const scale = new Scale({ signed, max: 3 });
      const values = Float32Array.from({ length: 2001 }, (_, i) => (i - 1000) / 250);
      const many = scale.indices(values);
      values.forEach((value, i) => {
        expect(many[i]).toBe(scale.index(value));
        const within = Math.max(scale.min, Math.min(3, value));
        const back = signed ? ((many[i] - 128) / 127) * 3 : ((many[i] - 1) / 254) * 3;
        expect(Math.abs(back - within)).toBeLessThanOrEqual((signed ? 3 / 254 : 3 / 508) + 1e-6);
      });
      expect([...scale.indices(Float32Array.of(Number.NaN, Infinity, 0))]).toEqual([
        0,
        255,
        signed ? 128 : 1,
      ]);
    },
  );

  it("writes text that can be read on the colour of a value", () => {
    const scale = new Scale({ signed: true, max: 1 });
    expect([scale.text(0), scale.text(1), scale.text(Number.NaN)]).toEqual(["#000", "#fff", "#000"]);
    expect(new Scale({ signed: true, max: 1, dark: true }).text(0)).toBe("#fff");
  });
});

it("robustMax leaves the few enormous values out", () => {
  const values = Float32Array.from({ length: 10_000 }, (_, i) => (i < 5 ? 900 : ((i % 201) - 100) / 50));
  expect(robustMax(values)).toBe(2);
  expect(robustMax(Float32Array.of(1, -3, 2))).toBe(3);
  expect(robustMax(Float32Array.of(Number.NaN, Infinity))).toBe(0);
  const sparse = new Float32Array(10_000);
  sparse[3] = 7;
  expect(robustMax(sparse)).toBe(7);
  expect(maxAbs([1, -5, Number.NaN, Infinity])).toBe(5);
});

it("parses the colours that browsers compute", () => {
  expect(parseColour("rgb(1, 2, 3)")).toEqual({ rgb: [1, 2, 3], alpha: 1 });
  expect(parseColour("rgba(1, 2, 3, 0.5)")?.alpha).toBe(0.5);
  expect(parseColour("rgb(1 2 3 / 50%)")?.alpha).toBe(0.5);
  expect(parseColour("color(srgb 1 0.5 0)")?.rgb[1]).toBe(127.5);
  expect(parseColour("#abc")).toEqual({ rgb: [170, 187, 204], alpha: 1 });
  expect(parseColour("#11223380")?.alpha).toBeCloseTo(0.5, 2);
  for (const text of ["white", "", "hsl(1 2% 3%)", "#12345"]) expect(parseColour(text)).toBeNull();
  expect(luminance([255, 255, 255])).toBeCloseTo(1, 5);
});
