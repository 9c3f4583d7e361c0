/** Synthetic states of the neuron explorer: what a kernel would have sent, without one. For the gallery and tests. */

import type { Card, Prediction } from "../src/lib/payload";

export interface Shape {
  pieces?: string[];
  layers?: number;
  width?: number;
  kind?: "classifier" | "causal_lm";
  seed?: number;
}

export const SENTENCE = [
  "[CLS]",
  "The",
  " film",
  " was",
  " not",
  " bad",
  " at",
  " all",
  ",",
  " really",
  ".",
  "[SEP]",
];
const NOT = "L3.mlp[204]";

export function random(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function normal(next: () => number): number {
  return Math.sqrt(-2 * Math.log(next() + 1e-12)) * Math.cos(6.283185 * next());
}

/** Values like those behind a GELU: most just below zero, a few far above, some neurons louder than others. */
export function activations(layers: number, tokens: number, width: number, seed = 1): Float32Array {
  const next = random(seed);
  const values = new Float32Array(layers * tokens * width);
  for (let layer = 0; layer < layers; layer++) {
    const loud = Float32Array.from({ length: width }, () => 0.4 + 0.5 * Math.exp(0.7 * normal(next)));
    for (let t = 0; t < tokens; t++) {
      for (let n = 0; n < width; n++) {
        const x = loud[n] * (normal(next) - 0.9) * (t === 0 ? 1.4 : 1);
        values[(layer * tokens + t) * width + n] = x > 0 ? 1.6 * x : 0.17 * x * Math.exp(x / 2);
      }
    }
  }
  return values;
}

export function wire(values: Float32Array | Int32Array | Uint8Array, shape: number[]) {
  const dtype = values instanceof Float32Array ? "float32" : values instanceof Int32Array ? "int32" : "uint8";
  return { data: new DataView(values.buffer, values.byteOffset, values.byteLength), dtype, shape };
}

function prediction(
  labels: string[],
  probabilities: number[],
  target: number,
  interventions: string[] = [],
): Prediction {
  return {
    kind: labels.length > 4 ? "next_token" : "classes",
    labels,
    ids: labels.map((label) => [...label].reduce((sum, c) => sum * 31 + c.charCodeAt(0), 7) % 50000),
    probabilities,
    target: { name: labels.length > 4 ? 'log-probability of " Paris"' : "log-odds of POS", value: target },
    interventions,
  };
}

const logOdds = (p: number) => Math.log(p / (1 - p));

function contexts(next: () => number): Card["examples"] {
  const texts: [string, string[]][] = [
    ["top", ["It", " was", " *not", " a", " bad", " way", " to", " spend", " an", " evening", "."]],
    [
      "top",
      ["The", " jokes", " are", " *hardly", " new", ",", " yet", " they", " land", " every", " time", "."],
    ],
    ["top", ["She", " did", " *not", " want", " him", " to", " leave", " before", " the", " rain", "."]],
    ["top", ["There", " is", " *nothing", " wrong", " with", " the", " second", " half", "."]],
    ["q90", ["The", " jury", " said", " *no", " evidence", " was", " found", "."]],
    ["q90", ["He", " *never", " spoke", " of", " the", " election", " again", "."]],
    ["q50", ["The", " county", " *grand", " jury", " met", " on", " Friday", "."]],
    ["bottom", ["A", " warm", " and", " *generous", " film", " about", " growing", " old", "."]],
  ];
  return texts.map(([quantile, words]) => {
    const pieces = ["[CLS]", ...words.map((word) => word.replace("*", "")), "[SEP]"];
    const focus = 1 + words.findIndex((word) => word.includes("*"));
    const height = { top: 3.6, q90: 1.4, q50: -0.1, bottom: -0.9 }[quantile] ?? 0;
    const values = pieces.map((_, i) => (i === focus ? height + 0.4 * next() : -0.12 + 0.2 * next()));
    return { quantile, pieces, special: pieces.map((p) => /^\[.*\]$/.test(p)), values, focus };
  });
}

export function card(
  neuron: string,
  activation: number[],
  kind: Shape["kind"] = "classifier",
  seed = 3,
): Card {
  const next = random(seed);
  const edges = Array.from({ length: 41 }, (_, i) => -1 + (i * 5.2) / 40);
  const counts = edges.slice(1).map((edge, i) => {
    const x = (edge + edges[i]) / 2;
    const body =
      9000 * Math.exp(-0.5 * ((x + 0.12) / 0.16) ** 2) +
      260 * Math.exp(-Math.max(0, x) * 1.5) * (x > -0.4 ? 1 : 0);
    return Math.round(body + (x > 2.8 ? 14 * Math.exp(-((x - 3.3) ** 2) * 4) : 0));
  });
  const total = counts.reduce((a, b) => a + b, 0);
  const percentile = activation.map((v) => {
    const below = counts.reduce((sum, c, i) => sum + (edges[i + 1] <= v ? c : 0), 0);
    return Math.min(99.97, (100 * below) / total);
  });
  const x = Array.from({ length: 15 }, (_, i) => -1 + (i * 5.2) / 14);
  const labels =
    kind === "classifier" ? ["POS", "NEG"] : [" Paris", " the", " located", " Lyon", " in", " a"];
  const p = x.map((v) => 1 / (1 + Math.exp(-(1.66 + 0.55 * (v - 2.1)))));
  const probabilities = p.map((top) =>
    labels.length === 2 ? [top, 1 - top] : labels.map((_, i) => (i ? ((1 - top) * 0.6) / i / 2.4 : top)),
  );
  const natural = Math.max(...activation);
  const off = prediction(labels, probabilities[3], logOdds(p[3]), [`${neuron} off (mean)`]);
  return {
    neuron,
    activation,
    corpus: {
      name: "Brown, 500 sentences",
      tokens: total,
      edges,
      counts,
      min: -1,
      max: 4.2,
      mean: -0.04,
      percentile,
    },
    examples: contexts(next),
    effect: {
      value: 0.31,
      target: off.target!.name,
      ablation: "mean",
      at_token: activation.map((v) => 0.1 * v),
    },
    held_out: {
      mean: 0.12,
      low: 0.05,
      high: 0.19,
      texts: 50,
      name: "SST-2 dev, 50 texts",
      values: [0.02, 0.1, 0.14, 0.31, 0.08, 0.11, 0.17],
    },
    dose: { x, target: p.map(logOdds), probabilities, labels, natural, low: -1, high: 4.2 },
    off,
    toward:
      kind === "classifier"
        ? [
            { label: "POS", value: 0.82 },
            { label: "NEG", value: -0.8 },
          ]
        : [
            { label: " Paris", value: 2.31 },
            { label: " France", value: 1.9 },
            { label: " Lyon", value: 1.2 },
            { label: " London", value: -0.9 },
          ],
    missing: {},
  };
}

export function explorerState(shape: Shape = {}): Record<string, unknown> {
  const kind = shape.kind ?? "classifier";
  const pieces = shape.pieces ?? SENTENCE;
  const layers = shape.layers ?? 6;
  const width = shape.width ?? 1536;
  const special = pieces.map((piece) => /^(\[.*\]|<.*>)$/.test(piece));
  const text = pieces.filter((_, i) => !special[i]).join("");
  const values = activations(layers, pieces.length, width, shape.seed ?? 1);
  const at = Math.min(4, pieces.length - 1);
  const set = (layer: number, index: number, token: number, v: number) => {
    if (layer < layers && index < width) values[(layer * pieces.length + token) * width + index] = v;
  };
  for (let t = 0; t < pieces.length; t++) set(3, 204, t, -0.1);
  set(3, 204, at, 3.42);
  set(3, 204, Math.min(at + 1, pieces.length - 1), 1.38);
  set(5, 131, at + 1, 2.9);
  const next = random(8);
  const effect = new Float32Array(layers * width).map(() => 0.01 * normal(next) ** 3);
  if (layers > 3 && width > 204) effect[3 * width + 204] = 0.31;
  const spread = new Float32Array(layers * width).map(() => Math.exp(0.6 * normal(next) - 1));
  const labels =
    kind === "classifier"
      ? ["POS", "NEG"]
      : [" Paris", " the", " located", " Lyon", " in", " a", " known", " one"];
  const before = kind === "classifier" ? [0.84, 0.16] : [0.62, 0.09, 0.07, 0.05, 0.03, 0.02, 0.015, 0.01];
  const target = kind === "classifier" ? "log-odds of POS" : 'log-probability of " Paris"';
  const activation = pieces.map(
    (_, t) => values[(Math.min(3, layers - 1) * pieces.length + t) * width + Math.min(204, width - 1)],
  );
  return {
    _kind: "neuron-explorer",
    _live: true,
    _notes: [],
    last_error: null,
    _status: { state: "ready", what: "", done: 0, total: 0, error: "" },
    text,
    selected_token: null,
    selected_neuron: null,
    pinned_neurons: [],
    interventions: [],
    target: kind === "classifier" ? "POS" : "paris",
    view: { tab: "model", layer: 3, sort: "index", color: "activation", range: "text" },
    _model: {
      name: kind === "classifier" ? "MiniLM sentiment" : "SmolLM2-135M",
      family: kind === "classifier" ? "bert" : "llama",
      kind,
      site: "mlp",
      stack: null,
      num_layers: layers,
      width,
      layers: Array.from({ length: layers }, (_, i) => i),
      classes: kind === "classifier" ? ["NEG", "POS"] : null,
      targets:
        kind === "classifier"
          ? [
              { key: "POS", label: "log-odds of POS" },
              { key: "POS-NEG", label: "POS − NEG" },
            ]
          : [{ key: "paris", label: target }],
      hash: "abc1230f9e",
    },
    _tokens: {
      text,
      pieces,
      raw: pieces.map((p) => p.replace(" ", "Ġ")),
      ids: pieces.map((_, i) => 1000 + i),
      special,
      shares: pieces.map(() => false),
      word: pieces.map((_, i) => (special[i] ? -1 : i)),
    },
    _activations: wire(values, [layers, pieces.length, width]),
    _preview: null,
    _attribution: {
      target,
      method: "integrated_gradients",
      baseline: "[MASK]",
      value: 1.66,
      baseline_value: -0.21,
      completeness_error: 0.012,
      warnings: [],
      scores: pieces.map((_, i) =>
        special[i] ? 0 : i === at ? 1.42 : i === at + 1 ? -0.61 : 0.2 * normal(next),
      ),
    },
    _effects: {
      values: wire(effect, [layers, width]),
      target,
      ablation: "mean",
      method: "gradient",
      top: [{ neuron: NOT, value: 0.31, estimate: 0.34 }],
      agreement: { spearman: 0.986 },
    },
    _spread: { values: wire(spread, [layers, width]), corpus: "Brown, 500 sentences", tokens: 11231 },
    _before: prediction(labels, before, kind === "classifier" ? logOdds(0.84) : Math.log(0.62)),
    _after: null,
    _card: null,
    _cards: { [NOT]: card(NOT, activation, kind) },
    _text_answered: text,
    _code:
      'import neurowidget as nw\nmodel = nw.load_model("demo:sentiment")\nexplorer = nw.NeuronExplorer(model, "The film was not bad at all, really.")\nexplorer',
    _held_out_name: "SST-2 dev, 50 texts",
    _legend: { seconds: 1.2, method: "exact", neurons: layers * width },
  };
}

/** The answer to switching the "not" neuron off. */
export function answered(state: Record<string, unknown>): Record<string, unknown> {
  const edit = { kind: "ablate", neuron: NOT, how: "mean" } as const;
  const before = state._before as Prediction;
  const lm = before.labels.length > 4;
  const labels = lm
    ? [" the", " Paris", " London", " located", " in", " a", " home", " one"]
    : ["NEG", "POS"];
  const values = lm ? [0.28, 0.21, 0.12, 0.08, 0.05, 0.04, 0.03, 0.02] : [0.69, 0.31];
  const after = {
    ...prediction(labels, values, lm ? Math.log(0.21) : logOdds(0.31), [`${NOT} off (mean)`]),
    asked: [edit],
  };
  return {
    ...state,
    interventions: [edit],
    selected_neuron: NOT,
    selected_token: 4,
    _card: (state._cards as Record<string, Card>)[NOT],
    _after: after,
  };
}
