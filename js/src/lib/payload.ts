/** What the explorer's kernel side writes, field by field as in ARCHITECTURE.md ("Wire"). */

import type { Intervention } from "./interventions";

export interface Prediction {
  kind: string;
  labels: string[];
  ids: number[];
  probabilities: number[];
  target: { name: string; value: number } | null;
  interventions: string[];
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

export interface ModelInfo {
  name: string;
  family: string;
  kind: string;
  site: string;
  stack: string | null;
  num_layers: number;
  width: number;
  layers: number[];
  classes: string[] | null;
  targets: { key: string; label: string }[];
  hash: string;
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

export interface Status {
  state: "empty" | "running" | "ready" | "stale" | "error";
  what: string;
  done: number;
  total: number;
  error: string;
}

export interface ExplorerView {
  tab: "model" | "layer" | "ranked";
  layer: number;
  sort: "index" | "activation" | "variance" | "effect";
  color: "activation" | "effect";
  range: "text" | "neuron" | "fixed";
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
