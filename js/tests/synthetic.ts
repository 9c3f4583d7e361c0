// Made-up states for the gallery and the tests: integer-valued and the same on every machine.
import type {
  ModelInfo,
  NeuronHeatmapState,
  TokenStripState,
  TokensState,
  ViewState,
} from "../src/lib/snapshot";

/** A small generator of whole numbers (Park and Miller). */
export function integers(seed: number): (below: number) => number {
  let state = (seed % 2147483646) + 1;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

export function tokensOf(pieces: string[], special: number[] = []): TokensState {
  let word = -1;
  return {
    text: pieces.filter((_, i) => !special.includes(i)).join(""),
    pieces: pieces.map((piece, i) => (special.includes(i) ? "" : piece)),
    raw: pieces.map((piece) => piece.replace(/^ /, "Ġ")),
    ids: pieces.map((_, i) => 100 + 7 * i),
    special: pieces.map((_, i) => special.includes(i)),
    shares: pieces.map((piece, i) => piece === "" && !special.includes(i)),
    word: pieces.map((piece, i) => {
      if (special.includes(i)) return -1;
      if (/^\s/.test(piece) || i === 0 || special.includes(i - 1)) word++;
      return word;
    }),
  };
}

const WORDS =
  " The film was not bad at all , really . It is hard ly a surprise that critic s never liked the slow , quiet middle of it ; I did , and would watch again with any one who has the time".split(
    /(?= )/,
  );

export const SHORT = tokensOf(["[CLS]", "The", " film", " was", " not", " bad", "[SEP]"], [0, 6]);

/** `n` English tokens between [CLS] and [SEP], with a subword here and there. */
export function sentence(n: number): TokensState {
  const pieces = Array.from({ length: n }, (_, i) => {
    const word = WORDS[i % WORDS.length];
    if (i === 0) return word.trim();
    return /^ (?:ly|s|one|[,.;])$/.test(word) ? word.trim() : word;
  });
  return tokensOf(["[CLS]", ...pieces, "[SEP]"], [0, n + 1]);
}

/** Every script and every trap at once. */
export const HOSTILE = tokensOf(
  [
    "<s>",
    "<script>alert(1)</script>",
    " naïve",
    " 电影",
    "不错",
    " 👩‍👩‍👧",
    "",
    "",
    "\n",
    "\n",
    "\tdef",
    "    f",
    "(x):",
    " שלום",
    " عالم",
    " a\u00a0b",
    "\u200b",
    " \u202eevil",
    " \"'&amp;",
    "</s>",
  ],
  [0, 19],
);

export const HEBREW = tokensOf(
  ["[CLS]", "הסרט", " לא", " היה", " רע", " בכלל", ",", " באמת", ".", "[SEP]"],
  [0, 9],
);

export function tokenStripState(
  tokens: TokensState,
  seed = 1,
  more: Partial<TokenStripState> = {},
): TokenStripState {
  const draw = integers(seed);
  const values = tokens.pieces.map((_, i) => (tokens.special[i] ? 0 : (draw(201) - 100) / 50));
  return {
    _kind: "token-strip",
    _live: false,
    _notes: [],
    _status: { state: "ready" },
    last_error: null,
    selected_token: null,
    _tokens: tokens,
    _scores: {
      values,
      name: "attribution",
      of: "log-odds of POS",
      signed: true,
      unit: "",
      exclude_special: true,
    },
    _underline: null,
    _detail: [
      { label: "method", value: "integrated gradients, 50 steps" },
      { label: "baseline", value: "[MASK]" },
      { label: "completeness error", value: "0.4 %" },
    ],
    _warnings: [],
    ...more,
  };
}

export function modelInfo(layers: number, width: number, site = "mlp"): ModelInfo {
  return {
    name: "synthetic",
    family: "bert",
    kind: "classifier",
    site,
    stack: null,
    num_layers: layers,
    width,
    layers: Array.from({ length: layers }, (_, i) => i),
    classes: ["NEG", "POS"],
    targets: [{ key: "log_odds:POS", label: "log-odds of POS" }],
    hash: "0".repeat(12),
  };
}

/** Values as a transformer has them: mostly small, some neurons strong at some tokens, a few enormous. */
export function activations(layers: number, tokens: number, width: number, seed = 1): Float32Array {
  const draw = integers(seed);
  const out = new Float32Array(layers * tokens * width);
  for (let i = 0; i < out.length; i++) {
    const kind = draw(1000);
    const small = (draw(41) - 24) / 40;
    out[i] = kind < 985 ? small : kind < 999 ? small * 8 : small * 40;
  }
  return out;
}

export const VIEW: ViewState = { tab: "model", layer: 0, sort: "index", color: "activation", range: "text" };

export function heatmapState(
  layers: number,
  tokens: TokensState | null,
  width: number,
  more: Partial<NeuronHeatmapState> = {},
): NeuronHeatmapState {
  const n = tokens?.pieces.length;
  const values = activations(layers, n ?? 1, width, 3);
  return {
    _kind: "neuron-heatmap",
    _live: false,
    _notes: [],
    _status: { state: "ready" },
    last_error: null,
    selected_neuron: null,
    selected_token: null,
    view: { ...VIEW, layer: layers - 1 },
    _model: modelInfo(layers, width),
    _tokens: tokens,
    _matrix: {
      data: new DataView(values.buffer),
      dtype: "float32",
      shape: n ? [layers, n, width] : [layers, width],
    },
    _preview: null,
    _matrix_info: { name: "activation", of: "", signed: true, unit: "" },
    ...more,
  };
}
