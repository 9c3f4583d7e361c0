// What the explorer knows at one moment: the traits, the decoded arrays, the cards and where the pointer is.
import { Scale } from "../lib/colour";
import { type ExplorerData, memo } from "../lib/explorer-data";
import { count } from "../lib/format";
import type { Intervention } from "../lib/interventions";
import { type Card, DEFAULT_VIEW, type ExplorerState, type ExplorerView } from "../lib/payload";
import { ColourRange, outside } from "../lib/range";
import type { MatrixInfo, Status } from "../lib/snapshot";
import type { Theme } from "../lib/theme";
import type { ValueRange } from "../views/intervention-bar";
import { argmax } from "../views/token-profile";
import type { CardShelf } from "./card-shelf";

const READY: Status = { state: "ready" };
const signedScale = () => memo((max: number, dark: boolean) => new Scale({ signed: true, max, dark }));

/** Scales that stay the same object while nothing about them changes. */
export class Scales {
  readonly activation = new ColourRange();
  readonly effect = new ColourRange();
  readonly attribution = signedScale();
  readonly removal = signedScale();
  readonly outside = memo(outside);
  readonly spread = memo((max: number, dark: boolean) => new Scale({ signed: false, max, dark }));
  readonly starting = memo((max: number, dark: boolean) => new Scale({ signed: false, max, dark }));
}

/** What is not in the traits: where the pointer is, and what this view alone knows. */
export interface Moment {
  hoveredNeuron: string | null;
  hoveredToken: number | null;
  busy: boolean;
  /** A text was sent and nothing was heard of it yet. */
  asking: boolean;
  problem: string;
  dismissed: string;
  quantile: string;
  context: number;
  canUndo: boolean;
  canRedo: boolean;
  theme: Theme;
}

type Get = <K extends keyof ExplorerState>(name: K) => ExplorerState[K];

export class Scene {
  readonly view: ExplorerView;
  readonly live: boolean;
  readonly token: number | null;
  readonly neuron: string | null;
  readonly edits: readonly Intervention[];
  readonly status: Status;
  /** The text on screen is not the text that was asked for. */
  readonly stale: boolean;

  constructor(
    readonly get: Get,
    readonly data: ExplorerData,
    readonly cards: CardShelf,
    readonly scales: Scales,
    readonly now: Moment,
  ) {
    this.view = { ...DEFAULT_VIEW, ...get("view") };
    this.live = get("_live") !== false;
    const tokens = data.tokens?.pieces.length ?? 0;
    const token = get("selected_token");
    this.token = token !== null && token >= 0 && token < tokens ? token : null;
    this.neuron = get("selected_neuron") || null;
    this.edits = get("interventions") ?? [];
    this.status = get("_status")?.state ? get("_status") : READY;
    const answered = get("_text_answered");
    this.stale = Boolean(answered) && answered !== get("text");
  }

  get shownToken(): number | null {
    return this.now.hoveredToken ?? this.token;
  }
  get shownNeuron(): string | null {
    return this.now.hoveredNeuron ?? this.neuron;
  }
  get dark(): boolean {
    return this.now.theme.dark;
  }

  piece(token: number): string {
    const tokens = this.data.tokens;
    return (tokens?.pieces[token] || tokens?.raw[token] || "").trim() || "space";
  }

  /** The activation of a neuron at each token: exact where there is a card, else as it was sent. */
  valuesOf(neuron: string): ArrayLike<number> | null {
    const exact = this.cards.of(neuron)?.activation;
    return exact?.length ? exact : this.data.column(neuron);
  }

  activationScale(): Scale {
    const { data, neuron, cards } = this;
    const own = neuron ? Array.from(this.valuesOf(neuron) ?? []) : [];
    const corpus = neuron ? cards.of(neuron)?.corpus : null;
    return this.scales.activation.scale({
      kind: this.view.range,
      matrix: data.peaks,
      neuron: neuron ? Float32Array.from([...own, corpus?.min ?? 0, corpus?.max ?? 0]) : null,
      signed: true,
      dark: this.dark,
    });
  }

  /** What stands in place of everything while there is no text. */
  get emptyWords(): string {
    const { model } = this.data;
    const all = model ? `all ${count(model.layers.length * model.width, "neuron")}` : "all neurons";
    if (this.problem) return "Nothing to show: see the message above.";
    if (this.status.state === "running" || this.now.asking) return `First the tokens, then ${all}.`;
    if (!this.live) return "This page was saved without a text.";
    return `Type a sentence above and press Enter: its tokens, ${all} and the prediction appear here.`;
  }

  get problem(): string {
    const { get, now, status } = this;
    const error =
      now.problem ||
      status.error ||
      (status.state === "error" ? get("last_error") || "Something went wrong." : "");
    return error === now.dismissed ? "" : error;
  }

  /** The effects of this text with their scale, or null before they are there. */
  get effects() {
    const { data, scales, dark } = this;
    if (!data.effects) return null;
    const scale = scales.effect.scale({ kind: "text", matrix: data.effects, signed: true, dark });
    const target = data.effectsOf?.target ?? "the target";
    const info: MatrixInfo = { name: `effect on ${target}`, of: "", signed: true, unit: "" };
    return { values: data.effects, scale, info, target };
  }

  /** Examples are coloured on the neuron's own range, which other texts share. */
  exampleScale(card: Card | null): Scale {
    const max = Math.max(Math.abs(card?.corpus?.max ?? 0), Math.abs(card?.corpus?.min ?? 0));
    return new Scale({ signed: true, max, dark: this.dark });
  }

  rangeOf(neuron: string): ValueRange | null {
    const values = Array.from(this.valuesOf(neuron) ?? []).filter(Number.isFinite);
    const set = this.edits.find((edit) => edit.neuron === neuron && edit.kind === "set")?.value;
    const ends = [...values, ...this.cards.seenRange(neuron), ...(set === undefined ? [] : [set])];
    if (!ends.length) return null;
    let low = Math.min(0, ...ends);
    let high = Math.max(0, ...ends);
    if (low === high) [low, high] = [-1, 1];
    const at = this.token ?? (values.length ? argmax(values) : null);
    return {
      low,
      high,
      natural: at === null ? null : (values[at] ?? null),
      at: at === null ? "" : this.piece(at),
    };
  }
}
