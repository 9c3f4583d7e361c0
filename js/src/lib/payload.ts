/** What the explorer's kernel side writes, field by field as in ARCHITECTURE.md ("Wire"). */

import type { WireArray } from "./arrays";
import type { Intervention } from "./interventions";
import type { Prediction as BasePrediction, BaseState, ModelInfo, TokensState, ViewState } from "./snapshot";

export interface Prediction extends BasePrediction {
  /** In an explorer's `_after`: the `interventions` that it answers. */
  asked?: Intervention[];
}

export interface Corpus {
  name: string;
  tokens: number;
  edges: number[];
  counts: number[];
  min: number;
  max: number;
  mean: number;
  /** Where the activations of the text on screen stand; empty where there is none. */
  percentile: number[];
  sd?: number | null;
  /** The share of tokens with a value above 0. */
  positive?: number | null;
  /** Of value and effect on `target`, over all tokens. */
  correlation?: number | null;
  target?: string | null;
}

export interface Example {
  quantile: string;
  pieces: string[];
  special: boolean[];
  /** null where no value was kept. */
  values: (number | null)[];
  focus: number;
  /** Positions that attention rests on: not counted, not coloured. */
  sink?: number[];
  /** The number of its text in the corpus. */
  text?: number;
  /** Whether the text goes on before and after the pieces. */
  cut?: [boolean, boolean];
  /** F(clean) − F(neuron at its mean here). */
  effect?: number | null;
}

export interface Statement {
  text: string;
  score: number | null;
  sign: number;
  count: number;
}

/** What a neuron may stand for, made on one half of the sentences and scored on the other. */
export interface Explained {
  method: string;
  statements: Statement[];
  /** How many statements more there are. */
  more: number;
  statement_score: string;
  score: number | null;
  score_name: string;
  range: [number, number];
  chance: number | null;
  /** The same score for random neurons, each explained by the same method. */
  controls: (number | null)[];
  control_mean: number | null;
  control_95: number | null;
  warnings: string[];
}

export interface TopWord {
  text: string;
  value: number | null;
  count: number;
}

export interface Note {
  text: string;
  tags: string[];
}

export interface CardEffect {
  value: number;
  target: string;
  ablation: string;
  at_token?: number[] | null;
}

export interface HeldOut {
  mean: number;
  low: number | null;
  high: number | null;
  texts: number;
  name: string;
  values: number[];
}

export interface Dose {
  x: number[];
  target: number[];
  probabilities: number[][];
  labels: string[];
  natural: number;
  low: number;
  high: number;
}

export type CorpusPart = "corpus" | "examples" | "explanations";
export type CardPart = CorpusPart | "effect" | "held_out" | "dose" | "off" | "toward";

/** What a corpus says about a neuron. */
export interface CorpusCard {
  neuron: string;
  corpus: Corpus | null;
  examples: Example[];
  /** The token types with the largest values. */
  words?: TopWord[];
  explanations?: Explained[];
  missing: Partial<Record<CardPart, string>>;
}

export interface Card extends CorpusCard {
  activation: number[];
  effect: CardEffect | null;
  held_out: HeldOut | null;
  dose: Dose | null;
  off: Prediction | null;
  toward: { label: string; value: number }[];
}

export interface Attribution {
  target: string;
  method: string;
  scores: (number | null)[];
  baseline: string;
  value: number;
  baseline_value: number;
  completeness_error: number;
  warnings: string[];
}

export interface Effects {
  values: WireArray;
  target: string;
  ablation: string;
  method: "gradient" | "exact";
  top: { neuron: string; value: number; estimate: number }[];
  agreement: { spearman: number } | null;
}

export interface Spread {
  /** Standard deviation of each neuron over the corpus, (layer, neuron), and its mean. */
  values: WireArray;
  mean?: WireArray | null;
  corpus: string;
  tokens: number;
}

export interface ExplorerView extends ViewState {
  /** What colours the tokens. */
  tokens: "activation" | "attribution";
  compare: string | null;
  /** What orders the first list of neurons; "": what fits the selection. */
  first: "" | "effect" | "activation" | "unusual";
}

export const DEFAULT_VIEW: ExplorerView = {
  tab: "model",
  layer: 0,
  sort: "index",
  color: "activation",
  range: "text",
  tokens: "activation",
  compare: null,
  first: "",
};

export interface ExplorerState extends BaseState {
  text: string;
  selected_token: number | null;
  selected_neuron: string | null;
  pinned_neurons: string[];
  interventions: Intervention[];
  target: string;
  view: Partial<ExplorerView>;
  _model: ModelInfo | null;
  _tokens: TokensState | null;
  _activations: WireArray | null;
  _preview: WireArray | null;
  _attribution: Attribution | null;
  _effects: Effects | null;
  _spread: Spread | null;
  _before: Prediction | null;
  _after: Prediction | null;
  _card: Card | null;
  _cards: Record<string, Card>;
  _text_answered: string;
  _code: string;
  _held_out_name: string;
  _legend: { seconds: number; method: string; neurons: number } | null;
  _prompts?: string[];
  notes?: Record<string, Note>;
  _notes_file?: string;
}
