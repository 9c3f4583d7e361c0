// The synced state of the widgets as it crosses the wire (see "Wire" in ARCHITECTURE.md).
import type { WireArray } from "./arrays";

/** Python's empty dict stands for "not there", as null does. */
export function given<T extends object>(value: T | null | undefined): T | null {
  return value && Object.keys(value).length ? value : null;
}

export interface Status {
  state: "empty" | "running" | "ready" | "stale" | "error";
  what?: string;
  done?: number;
  total?: number;
  error?: string;
}

/** The traits that every widget has. */
export interface BaseState {
  _kind: string;
  _live: boolean;
  _notes: string[];
  _status: Status;
  last_error: string | null;
}

export interface TokensState {
  text: string;
  pieces: string[];
  raw: string[];
  ids: number[];
  special: boolean[];
  shares: boolean[];
  word: number[];
}

export interface ScoresState {
  /** null stands for NaN, which JSON cannot say. */
  values: (number | null)[];
  name: string;
  of: string;
  signed: boolean;
  unit: string;
  exclude_special: boolean;
}

export interface MatrixInfo {
  name: string;
  of: string;
  signed: boolean;
  unit: string;
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

export type Sort = "index" | "activation" | "variance" | "effect" | "unusual";
export type RangeKind = "text" | "neuron" | "fixed";

export interface ViewState {
  tab: "model" | "layer" | "ranked";
  layer: number;
  sort: Sort;
  color: "activation" | "effect";
  range: RangeKind;
}

export interface Prediction {
  kind: string;
  labels: string[];
  ids: number[] | null;
  probabilities: number[];
  target: { name: string; value: number } | null;
  interventions?: string[];
}

export interface TokenStripState extends BaseState {
  selected_token: number | null;
  _tokens: TokensState | null;
  _scores: ScoresState | null;
  _underline: ScoresState | null;
  _detail: { label: string; value: string }[];
  _warnings: string[];
}

export interface NeuronHeatmapState extends BaseState {
  selected_neuron: string | null;
  selected_token: number | null;
  view: ViewState;
  _model: ModelInfo | null;
  _tokens: TokensState | null;
  _matrix: WireArray | null;
  _preview: WireArray | null;
  _matrix_info: MatrixInfo | null;
}
