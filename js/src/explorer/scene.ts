// What the explorer shows at one moment, as the props of each of its views: no element is touched here.
import { maxAbs, type Scale, Scale as ScaleOf } from "../lib/colour";
import type { ExplorerData } from "../lib/explorer-data";
import { memo } from "../lib/explorer-data";
import { count, num, seconds, signed } from "../lib/format";
import { type Intervention, sameInterventions } from "../lib/interventions";
import { type Card, DEFAULT_VIEW, type ExplorerState, type ExplorerView } from "../lib/payload";
import { ColourRange, outside } from "../lib/range";
import { given, type MatrixInfo, type Sort, type Status } from "../lib/snapshot";
import { canAnswer, sweptAnswer } from "../lib/swept";
import type { Theme } from "../lib/theme";
import type { ExplorerHeaderProps } from "../views/explorer-header";
import type { InterventionBarProps, ValueRange } from "../views/intervention-bar";
import type { NeuronBrowserProps, RankedView } from "../views/neuron-browser";
import { type NeuronCardProps, shortAblation } from "../views/neuron-card";
import type { PredictionBarsProps } from "../views/prediction-bars";
import type { RankedListProps } from "../views/ranked-list";
import type { SelectionBarProps } from "../views/selection-bar";
import type { StatusBarProps } from "../views/status-bar";
import type { TokenPanelProps } from "../views/token-panel";
import { argmax } from "../views/token-profile";
import type { StripScores } from "../views/token-strip";
import type { CardShelf } from "./card-shelf";

const MAP_HEIGHT = 568;
const STARTERS = 16;
const READY: Status = { state: "ready" };
const ACTIVATION: MatrixInfo = { name: "activation", of: "", signed: true, unit: "" };
const signedScale = () => memo((max: number, dark: boolean) => new ScaleOf({ signed: true, max, dark }));

/** Scales that stay the same object while nothing about them changes. */
export class Scales {
  readonly activation = new ColourRange();
  readonly effect = new ColourRange();
  readonly attribution = signedScale();
  readonly removal = signedScale();
  readonly outside = memo(outside);
  readonly spread = memo((max: number, dark: boolean) => new ScaleOf({ signed: false, max, dark }));
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

  // -- what each view gets ----------------------------------------------------------------------------------------

  header(): ExplorerHeaderProps {
    const { get, live, data } = this;
    return {
      model: data.model,
      target: get("target"),
      text: get("text") ?? "",
      live,
      running: this.now.asking,
      code: get("_code") ?? "",
      prompts: data.tokens || get("text") ? [] : (get("_prompts") ?? []),
    };
  }

  statusBar(): StatusBarProps {
    const { get, live, now, status, stale } = this;
    const made = get("_legend");
    const done = made?.neurons
      ? `${count(made.neurons, "neuron")} in ${seconds(made.seconds)}; effects: ${made.method}`
      : "";
    const problem = this.problem;
    const shown: Status = problem
      ? { state: "error", what: status.state === "error" ? status.what : "", error: problem }
      : now.asking && status.state !== "running"
        ? { state: "running", what: "Waiting for the kernel" }
        : status.state === "error"
          ? READY
          : status;
    return {
      status: shown,
      live,
      busy: live && now.busy,
      stale: stale
        ? `What is shown is about “${clip(get("_text_answered"))}”, not about the text above.`
        : "",
      done,
      lastError: null,
    };
  }

  tokenPanel(): TokenPanelProps {
    const { data, view, get, shownNeuron: neuron, cards, scales, dark } = this;
    const attribution = given(get("_attribution"));
    const values = neuron ? this.valuesOf(neuron) : null;
    const byActivation = values && (this.now.hoveredNeuron !== null || view.tokens === "activation");
    const attributionName = attribution ? `attribution to ${attribution.target}` : "";
    const scores = (attribution?.scores ?? []).map((v) => v ?? Number.NaN);
    const attributed: StripScores | null = attribution && {
      values: scores,
      scale: scales.attribution(maxAbs(scores), dark),
      name: attributionName,
    };
    const activated: StripScores | null =
      values && neuron ? { values, scale: this.activationScale(), name: `activation of ${neuron}` } : null;
    const removal = neuron ? cards.of(neuron)?.effect?.at_token : null;
    const coloured = byActivation || !attributed ? activated : attributed;
    const info: MatrixInfo = {
      name:
        coloured === activated && activated
          ? "activation"
          : `attribution (${attribution?.method.replaceAll("_", " ") ?? ""})`,
      of: coloured === activated ? (neuron ?? "") : (attribution?.target ?? ""),
      signed: true,
      unit: "",
    };
    const modes: [string, string][] = [];
    if (neuron) modes.push(["activation", `activation of ${neuron}`]);
    if (attribution) modes.push(["attribution", attributionName]);
    return {
      tokens: data.tokens,
      status: data.tokens ? READY : { state: "empty", what: this.emptyWords },
      modes,
      mode: modes.some(([key]) => key === view.tokens) ? view.tokens : (modes[0]?.[0] ?? ""),
      scores: coloured,
      info,
      underline:
        removal?.length && coloured === activated
          ? {
              values: removal,
              scale: scales.removal(maxAbs(removal.map((v) => v ?? Number.NaN)), dark),
              name: "effect of removing it there",
            }
          : null,
      selected: this.token,
      hovered: this.shownToken,
      colourSpecial: coloured === activated,
      details: (token) =>
        coloured === activated && attributed
          ? [[attributionName, num(attributed.values[token])] as const]
          : [],
    };
  }

  selection(): SelectionBarProps {
    const { token, neuron } = this;
    return {
      token: token === null ? null : { index: token, piece: this.piece(token) },
      neuron,
      pinned: (this.get("pinned_neurons") ?? []).filter((name) => name !== neuron),
    };
  }

  /** The neurons, or null while there is nothing to draw. */
  browser(): NeuronBrowserProps | null {
    const { data, view, token, shownToken, now, effects } = this;
    if (!data.model || !(data.activations || data.preview)) return null;
    const byEffect = view.color === "effect" && effects !== null;
    const scale = byEffect ? effects.scale : this.activationScale();
    const values = byEffect ? effects.values : data.activations;
    const at = byEffect ? null : shownToken;
    const row = view.tab === "layer" && values ? Math.max(0, data.model.layers.indexOf(view.layer)) : null;
    const drawn = values ? data.drawn(values, at, row) : data.drawn(data.preview, null, null);
    const sorts: Sort[] = ["index", "activation", "variance"];
    return {
      view,
      model: data.model,
      tokens: data.tokens,
      values,
      preview: data.preview,
      info: byEffect ? effects.info : ACTIVATION,
      scale,
      token,
      shownToken: at,
      hoveredToken: now.hoveredToken,
      keys: data.keys(token),
      sorts: !values ? ["index"] : effects ? [...sorts, "effect"] : sorts,
      colours: effects && data.activations ? ["activation", "effect"] : ["activation"],
      ranges: byEffect || !values ? ["text"] : ["text", "neuron", "fixed"],
      selected: this.neuron,
      pinned: this.get("pinned_neurons") ?? [],
      hovered: now.hoveredNeuron === this.neuron ? null : now.hoveredNeuron,
      details: (neuron) => {
        const effect = byEffect ? null : data.effectOf(neuron);
        return effect === null ? [] : [[effects?.info.name ?? "effect", signed(effect)] as const];
      },
      ranked: () => this.ranked(),
      ...this.scales.outside(drawn, scale),
      theme: now.theme,
      height: MAP_HEIGHT,
    };
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

  ranked(): RankedView {
    const { data, view, token, effects } = this;
    const by =
      view.color === "effect" || view.sort === "effect"
        ? "effect"
        : view.sort === "variance"
          ? "variance"
          : "activation";
    const rows = data.keys(token)[by] ?? [];
    const items = data.ranked(rows, data.effects);
    const estimate = data.effectsOf?.method === "gradient";
    const effect = effects && by !== "effect" ? { name: "effect", estimate } : null;
    if (by === "effect" && effects) {
      const how = `${shortAblation(data.effectsOf?.ablation ?? "")}${estimate ? ", estimated by gradient" : ""}`;
      return {
        items,
        info: effects.info,
        scale: effects.scale,
        effect,
        words: `the 100 largest effects on ${effects.target}, ${how}`,
      };
    }
    if (by === "variance") {
      const info: MatrixInfo = { name: "standard deviation", of: "", signed: false, unit: "" };
      const corpus = this.get("_spread")?.corpus;
      const scale = this.scales.spread(Math.abs(items[0]?.value ?? 1), this.dark);
      return {
        items,
        info,
        scale,
        effect,
        words: `the 100 that vary most ${corpus ? `in ${corpus}` : "over this text"}`,
      };
    }
    const words =
      token === null
        ? "the 100 strongest, each at its strongest token"
        : `the 100 strongest at “${this.piece(token)}”`;
    return { items, info: ACTIVATION, scale: this.activationScale(), effect, words };
  }

  /** What to click first: the neurons that matter most for the answer, or that are strongest at the locked token. */
  startList(): { title: string; list: RankedListProps } {
    const { data, token, effects, now } = this;
    const { compare } = this.view;
    const byEffect = token === null && effects !== null;
    const rows = data.keys(token)[byEffect ? "effect" : "activation"] ?? [];
    const saved = this.live ? null : this.get("_cards");
    const items = data.starters(data.ranked(rows, data.effects), STARTERS, saved);
    const title = compare
      ? `Choose a neuron to compare with ${compare}`
      : byEffect
        ? `Start here: the largest effects on ${effects.target}`
        : token === null
          ? "Start here: the strongest neurons"
          : `Strongest at “${this.piece(token)}”`;
    return {
      title,
      list: {
        items,
        info: byEffect ? effects.info : ACTIVATION,
        scale: byEffect ? effects.scale : this.activationScale(),
        effect:
          effects && !byEffect ? { name: "effect", estimate: data.effectsOf?.method === "gradient" } : null,
        selected: null,
        pinned: this.get("pinned_neurons") ?? [],
        hovered: now.hoveredNeuron,
      },
    };
  }

  card(neuron: string, other: string | null): NeuronCardProps {
    const { cards, now, view, get, live } = this;
    const card = cards.of(neuron);
    const beside = now.hoveredNeuron && now.hoveredNeuron !== neuron ? now.hoveredNeuron : other;
    const otherValues = beside ? this.valuesOf(beside) : null;
    return {
      neuron,
      card,
      values: this.valuesOf(neuron),
      pieces: this.data.tokens?.pieces.map((_, i) => this.piece(i)) ?? [],
      token: this.shownToken,
      other: beside && otherValues ? { label: beside, values: otherValues } : null,
      scale: this.exampleScale(card),
      edit: this.edits.find((edit) => edit.neuron === neuron) ?? null,
      refuse: (edit) => (live ? null : canAnswer(edit, card)),
      pinned: (get("pinned_neurons") ?? []).includes(neuron),
      compared: view.compare !== null,
      live,
      waiting: live
        ? this.problem
          ? "Not computed: see the message above."
          : "Computing…"
        : "Not precomputed for this neuron: needs a kernel. Neurons marked “saved” in the list have their card.",
      target: given(get("_before"))?.target?.name ?? card?.effect?.target ?? "the target",
      quantile: now.quantile,
      context: now.context,
    };
  }

  /** Examples are coloured on the neuron's own range, which other texts share. */
  exampleScale(card: Card | null): Scale {
    const max = Math.max(Math.abs(card?.corpus?.max ?? 0), Math.abs(card?.corpus?.min ?? 0));
    return new ScaleOf({ signed: true, max, dark: this.dark });
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

  interventions(): InterventionBarProps {
    return {
      edits: this.edits,
      rangeOf: (neuron) => this.rangeOf(neuron),
      refuse: (edit) => (this.live ? null : canAnswer(edit, this.cards.of(edit.neuron))),
      canUndo: this.now.canUndo,
      canRedo: this.now.canRedo,
      selected: this.neuron,
    };
  }

  prediction(): PredictionBarsProps {
    const { get, edits, live } = this;
    const before = given(get("_before"));
    const empty = this.data.tokens
      ? "This model has no head: there is no prediction."
      : "The prediction appears here.";
    if (!edits.length) {
      return { before, after: null, empty };
    }
    const after = given(get("_after"));
    const answers = after?.asked
      ? sameInterventions(after.asked, edits)
      : live && after?.interventions?.length === edits.length;
    if (after && answers && !this.stale)
      return { before, after, note: "change = F(after) − F(before)", empty };
    if (!live) {
      const swept = sweptAnswer(edits, before, (neuron) => this.cards.of(neuron));
      const note = swept.after ? `${swept.note} change = F(after) − F(before)` : swept.note;
      return { before, after: swept.after, note, empty };
    }
    if (this.stale) return { before, after, pending: "About the text before.", empty };
    const pending = this.problem
      ? "Not computed: see the message above."
      : "Computing the prediction with these interventions…";
    return { before, after: after ?? null, pending, empty };
  }
}

const clip = (text: string) => (text.length > 48 ? `${text.slice(0, 48)}…` : text);
