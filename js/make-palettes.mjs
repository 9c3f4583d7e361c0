// Writes src/lib/palettes.ts: four colour tables, designed in OKLab.
//
//   node js/make-palettes.mjs
//
// Each has 33 colours, from which src/lib/colour.ts fills 256 entries: straight lines between so many differ from the
// exact colours by at most 2 of 255, and every widget carries 0.5 kB instead of 4. Diverging: the middle is exactly 0,
// blue below and orange above. Sequential: the first is 0. In the dark tables zero is the panel colour and strength is
// light: they have their own lightness and chroma, and are not the light ones inverted.
import { writeFileSync } from "node:fs";

const rad = (degrees) => (degrees * Math.PI) / 180;

function oklchToLinear([L, C, H]) {
  const a = C * Math.cos(rad(H));
  const b = C * Math.sin(rad(H));
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

const gamma = (x) => (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055);
const inside = (rgb) => rgb.every((x) => x >= -1e-4 && x <= 1.0001);

/** The colour with its hue and lightness kept and as much of its chroma as sRGB holds. */
function srgb([L, C, H]) {
  let low = 0;
  let high = C;
  if (!inside(oklchToLinear([L, C, H]))) {
    for (let i = 0; i < 40; i++) {
      const middle = (low + high) / 2;
      if (inside(oklchToLinear([L, middle, H]))) low = middle;
      else high = middle;
    }
  } else low = C;
  return oklchToLinear([L, low, H]).map((x) => Math.round(255 * gamma(Math.min(1, Math.max(0, x)))));
}

/** Piecewise linear through stops [t, L, C, H]; within a piece straight through OKLab, so grey has no hue. */
function ramp(stops, t) {
  const i = Math.max(
    1,
    stops.findIndex((stop) => stop[0] >= t),
  );
  const [from, to] = [stops[i - 1], stops[i]];
  const k = (t - from[0]) / (to[0] - from[0]);
  const mix = (f) => f(from) + k * (f(to) - f(from));
  const a = mix(([, , C, H]) => C * Math.cos(rad(H)));
  const b = mix(([, , C, H]) => C * Math.sin(rad(H)));
  return srgb([mix(([, L]) => L), Math.hypot(a, b), (Math.atan2(b, a) * 180) / Math.PI]);
}

const STOPS = 33;
const table = (colourAt) => Array.from({ length: STOPS }, (_, i) => colourAt(i / (STOPS - 1)));
const diverging = (below, above) => table((t) => ramp(t < 0.5 ? below : above, Math.abs(2 * t - 1)));
const sequential = (stops) => table((t) => ramp(stops, t));

const WHITE = [0, 1, 0, 0];
const PANEL = [0, 0.237, 0.004, 286]; // #1e1e20, --nw-panel of the dark theme
const TABLES = {
  divergingLight: diverging(
    [WHITE, [0.3, 0.86, 0.07, 250], [0.65, 0.63, 0.13, 253], [1, 0.4, 0.13, 260]],
    [WHITE, [0.3, 0.88, 0.085, 70], [0.65, 0.68, 0.15, 55], [1, 0.45, 0.125, 42]],
  ),
  divergingDark: diverging(
    [PANEL, [0.3, 0.39, 0.085, 258], [0.65, 0.61, 0.14, 250], [1, 0.86, 0.09, 225]],
    [PANEL, [0.3, 0.39, 0.08, 45], [0.65, 0.63, 0.145, 55], [1, 0.89, 0.12, 88]],
  ),
  sequentialLight: sequential([
    WHITE,
    [0.18, 0.92, 0.09, 112],
    [0.45, 0.73, 0.125, 165],
    [0.72, 0.52, 0.11, 225],
    [1, 0.29, 0.12, 290],
  ]),
  sequentialDark: sequential([
    PANEL,
    [0.25, 0.38, 0.11, 295],
    [0.5, 0.54, 0.11, 235],
    [0.75, 0.74, 0.13, 165],
    [1, 0.93, 0.15, 108],
  ]),
};

const lines = [
  `// Written by js/make-palettes.mjs: ${STOPS} colours each, red green blue as base64. Do not edit.`,
  "",
];
for (const [name, colours] of Object.entries(TABLES)) {
  lines.push(`export const ${name} =`, `  "${Buffer.from(colours.flat()).toString("base64")}";`);
}
writeFileSync(new URL("src/lib/palettes.ts", import.meta.url), `${lines.join("\n")}\n`);
