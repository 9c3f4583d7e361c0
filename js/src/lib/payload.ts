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
  percentile: number[];
}

export interface Example {
  quantile: string;
  pieces: string[];
  special: boolean[];
  values: number[];
  focus: number;
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

export type CardPart = "corpus" | "examples" | "effect" | "held_out" | "dose" | "off" | "toward";

export interface Card {
  neuron: string;
  activation: number[];
  corpus: Corpus | null;
  examples: Example[];
  effect: CardEffect | null;
  held_out: HeldOut | null;
  dose: Dose | null;
  off: Prediction | null;
  toward: { label: string; value: number }[];
  missing: Partial<Record<CardPart, string>>;
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
  values: WireArray;
  corpus: string;
  tokens: number;
}

export interface ExplorerView extends ViewState {
  /** What colours the tokens. */
  tokens: "activation" | "attribution";
  compare: string | null;
}

export const DEFAULT_VIEW: ExplorerView = {
  tab: "model",
  layer: 0,
  sort: "index",
  color: "activation",
  range: "text",
  tokens: "activation",
  compare: null,
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
}
