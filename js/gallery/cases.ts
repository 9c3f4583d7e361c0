// The made-up states of the gallery.

import cardFixture from "../fixtures/neuron-card.json";
import {
  HEBREW,
  HOSTILE,
  heatmapState,
  modelInfo,
  SHORT,
  sentence,
  tokenStripState,
  VIEW,
} from "../tests/synthetic";
import { explorerCases } from "./explorer-cases";

export interface Case {
  kind: string;
  name: string;
  state: object;
}

export function cases(): Case[] {
  const strip = (name: string, state: object) => ({ kind: "token-strip", name, state });
  const heat = (name: string, state: object) => ({ kind: "neuron-heatmap", name, state });
  const underline = {
    values: sentence(60).pieces.map((_, i) => ((i * 37) % 21) - 10),
    name: "effect of removing it here",
    of: "",
    signed: true,
    unit: "",
    exclude_special: false,
  };
  const broken = (more: object) => tokenStripState(SHORT, 1, more);
  return [
    strip("5 tokens", tokenStripState(SHORT, 4)),
    strip(
      "60 tokens, underline",
      tokenStripState(sentence(60), 2, { _underline: underline, selected_token: 5 }),
    ),
    strip("hostile", tokenStripState(HOSTILE, 5)),
    strip("hebrew", tokenStripState(HEBREW, 6)),
    strip("long, 500 tokens", tokenStripState(sentence(500), 7)),
    strip("warnings, NaN", {
      ...broken({ _warnings: ["Completeness error 14 %: use more steps."] }),
      _scores: {
        values: [0, 1, null, -0.5, 2, -2, 0],
        name: "attribution",
        of: "log-odds of POS",
        signed: true,
        unit: "",
        exclude_special: true,
      },
    }),
    strip("unsigned", {
      ...broken({}),
      _scores: {
        values: [0, 1, 7, 3, 12, 9, 0],
        name: "count",
        of: "",
        signed: false,
        unit: "",
        exclude_special: true,
      },
    }),
    strip("empty", broken({ _tokens: null, _scores: null, _status: { state: "empty" } })),
    strip(
      "loading",
      broken({ _status: { state: "running", what: "Integrated gradients", done: 20, total: 50 } }),
    ),
    strip("stale", broken({ _status: { state: "stale", what: "The text has changed: run again." } })),
    strip(
      "error",
      broken({
        _status: {
          state: "error",
          error: "The text has 812 tokens, the model takes 512.",
          what: "Shorten the text, or split it, and run again.",
        },
      }),
    ),
    heat("10 neurons", heatmapState(1, SHORT, 10, { selected_neuron: "L0.mlp[4]" })),
    heat(
      "mini, whole model",
      heatmapState(6, sentence(10), 1536, { selected_token: 4, selected_neuron: "L3.mlp[204]" }),
    ),
    heat(
      "mini, sorted",
      heatmapState(6, sentence(10), 1536, {
        selected_token: 4,
        selected_neuron: "L3.mlp[204]",
        view: { ...VIEW, sort: "activation", layer: 3 },
      }),
    ),
    heat("mini, layer", heatmapState(6, sentence(10), 1536, { view: { ...VIEW, tab: "layer", layer: 3 } })),
    heat(
      "60 tokens, layer sorted",
      heatmapState(2, sentence(58), 1536, {
        view: { ...VIEW, tab: "layer", layer: 1, sort: "activation" },
        selected_neuron: "L1.mlp[44]",
        selected_token: 30,
      }),
    ),
    heat("500 tokens, layer", heatmapState(1, sentence(498), 768, { view: { ...VIEW, tab: "layer" } })),
    heat(
      "hostile tokens, layer",
      heatmapState(2, HOSTILE, 200, { view: { ...VIEW, tab: "layer", layer: 1 } }),
    ),
    heat(
      "mini, ranked",
      heatmapState(6, sentence(10), 1536, {
        view: { ...VIEW, tab: "ranked" },
        selected_neuron: "L3.mlp[204]",
      }),
    ),
    heat("50,000 neurons", heatmapState(16, null, 3125, { selected_neuron: "L7.mlp[1000]" })),
    heat("200,000 neurons, pooled", heatmapState(24, null, 8192)),
    heat(
      "unsigned",
      heatmapState(4, null, 512, {
        _matrix_info: { name: "count", of: "", signed: false, unit: "" },
      }),
    ),
    heat("NaN", nanState()),
    heat("preview only", previewState()),
    heat("no values", heatmapState(4, null, 512, { _matrix: null, _status: { state: "empty" } })),
    heat(
      "loading",
      heatmapState(4, null, 512, {
        _status: { state: "running", what: "Ablating neurons", done: 1200, total: 9216 },
      }),
    ),
    heat(
      "error",
      heatmapState(4, null, 512, {
        _status: { state: "error", error: "The kernel ran out of memory.", what: "Use method='gradient'." },
      }),
    ),
    ...explorerCases(),
    ...cardCases(),
  ];
}

function cardCases(): Case[] {
  const { state } = cardFixture;
  const made = state._cards["L1.mlp[2]"];
  const one = (name: string, more: object = {}): Case => ({
    kind: "neuron-card",
    name,
    state: { ...state, _live: true, _neurons: null, _card: made, _cards: {}, ...more },
  });
  const many = (count: number, change: (text: string, i: number) => string = (text) => text) => ({
    ...made,
    examples: Array.from({ length: count }, (_, i) => {
      const row = made.examples[i % made.examples.length];
      return { ...row, quantile: "top", pieces: row.pieces.map((piece) => change(piece, i)) };
    }),
  });
  const hostile = (text: string, i: number) =>
    [" <script>alert(1)</script>", " \u202eevil\u202c", " שלום", "🙂", "\t", "\n\n", text][
      (i + text.length) % 7
    ];
  return [
    one("live"),
    one("saved", { _live: false, notes: { "L1.mlp[2]": { text: "Negation.", tags: ["negation"] } } }),
    one("1,000 examples", { _card: many(1000) }),
    one("hostile", { _card: many(5, hostile) }),
    one("explanations only", {
      _neurons: ["L1.mlp[2]"],
      _card: { ...made, corpus: null, examples: [], missing: { examples: "give the Examples" } },
    }),
    one("no explanation", {
      _card: { ...made, explanations: [], missing: { explanations: "nw.explain_neuron says" } },
    }),
    one("waiting", { selected_neuron: "L0.mlp[1]" }),
    one("nothing chosen", { selected_neuron: null, _card: null }),
    one("empty", { _neurons: [], selected_neuron: null, _card: null, _status: { state: "empty" } }),
    one("error", { _status: { state: "error", error: "OSError: No space left on device" } }),
  ];
}

function nanState() {
  const state = heatmapState(4, null, 300);
  const view = state._matrix?.data as DataView;
  for (let i = 0; i < 1200; i += 1)
    if (i % 7 === 0 || (i > 700 && i < 820)) view.setFloat32(4 * i, Number.NaN, true);
  return state;
}

function previewState() {
  const cells = Uint8Array.from({ length: 6 * 512 }, (_, i) => 128 + (((i * 97) % 101) - 50));
  let text = "";
  for (const cell of cells) text += String.fromCharCode(cell);
  return heatmapState(6, null, 1536, {
    _model: modelInfo(6, 1536),
    _matrix: { data: null, dtype: "float32", shape: [6, 1536] },
    _preview: { data: btoa(text), dtype: "uint8", shape: [6, 512], scale: [2, 2, 2, 2, 2, 2] },
  });
}
