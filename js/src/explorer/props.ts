// What each view of the explorer is given at one moment: no element is touched here.
import { maxAbs } from "../lib/colour";
import { count, num, seconds, signed } from "../lib/format";
import { sameInterventions } from "../lib/interventions";
import type { Note } from "../lib/payload";
import { given, type MatrixInfo, type Sort, type Status } from "../lib/snapshot";
import { canAnswer, sweptAnswer } from "../lib/swept";
import type { ExplorerHeaderProps } from "../views/explorer-header";
import type { InterventionBarProps } from "../views/intervention-bar";
import type { NeuronBrowserProps, RankedView } from "../views/neuron-browser";
import { type NeuronCardProps, shortAblation } from "../views/neuron-card";
import type { PredictionBarsProps } from "../views/prediction-bars";
import type { RankedListProps } from "../views/ranked-list";
import type { SelectionBarProps } from "../views/selection-bar";
import type { StatusBarProps } from "../views/status-bar";
import type { TokenPanelProps } from "../views/token-panel";
import type { StripScores } from "../views/token-strip";
import type { Scene } from "./scene";

const MAP_HEIGHT = 568;
const STARTERS = 16;
const RTL = /^[^\p{L}]*[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]/u;
const READY: Status = { state: "ready" };
const UNUSUAL: MatrixInfo = { name: "sd above its mean", of: "", signed: false, unit: "" };
const ACTIVATION: MatrixInfo = { name: "activation", of: "", signed: true, unit: "" };

export function headerProps(scene: Scene): ExplorerHeaderProps {
  const { get, live, data } = scene;
  return {
    model: data.model,
    target: get("target"),
    text: get("text") ?? "",
    live,
    running: scene.now.asking,
    code: get("_code") ?? "",
    prompts: data.tokens || get("text") ? [] : (get("_prompts") ?? []),
  };
}

export function statusProps(scene: Scene): StatusBarProps {
  const { get, live, now, status, stale } = scene;
  const made = get("_legend");
  const done = made?.neurons
    ? `${count(made.neurons, "neuron")} in ${seconds(made.seconds)}; effects: ${made.method}`
    : "";
  const problem = scene.problem;
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
    stale: stale ? `What is shown is about “${clip(get("_text_answered"))}”, not about the text above.` : "",
    done,
    lastError: null,
  };
}

export function tokenProps(scene: Scene): TokenPanelProps {
  const { data, view, get, shownNeuron: neuron, cards, scales, dark } = scene;
  const attribution = given(get("_attribution"));
  const values = neuron ? scene.valuesOf(neuron) : null;
  const byActivation = values && (scene.now.hoveredNeuron !== null || view.tokens === "activation");
  const attributionName = attribution ? `attribution to ${attribution.target}` : "";
  const scores = (attribution?.scores ?? []).map((v) => v ?? Number.NaN);
  const attributed: StripScores | null = attribution && {
    values: scores,
    scale: scales.attribution(maxAbs(scores), dark),
    name: attributionName,
  };
  const activated: StripScores | null =
    values && neuron ? { values, scale: scene.activationScale(), name: `activation of ${neuron}` } : null;
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
    status: data.tokens ? READY : { state: "empty", what: scene.emptyWords },
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
    selected: scene.token,
    hovered: scene.shownToken,
    colourSpecial: coloured === activated,
    details: (token) =>
      coloured === activated && attributed ? [[attributionName, num(attributed.values[token])] as const] : [],
  };
}

export function selectionProps(scene: Scene): SelectionBarProps {
  const { token, neuron } = scene;
  return {
    token: token === null ? null : { index: token, piece: scene.piece(token) },
    neuron,
    pinned: (scene.get("pinned_neurons") ?? []).filter((name) => name !== neuron),
  };
}

/** The neurons, or null while there is nothing to draw. */
export function browserProps(scene: Scene): NeuronBrowserProps | null {
  const { data, view, token, shownToken, now, effects } = scene;
  if (!data.model || !(data.activations || data.preview)) return null;
  const byEffect = view.color === "effect" && effects !== null;
  const scale = byEffect ? effects.scale : scene.activationScale();
  const values = byEffect ? effects.values : data.activations;
  const at = byEffect ? null : shownToken;
  const row = view.tab === "layer" && values ? Math.max(0, data.model.layers.indexOf(view.layer)) : null;
  const drawn = values ? data.drawn(values, at, row) : data.drawn(data.preview, null, null);
  const keys = data.keys(token);
  const sorts: Sort[] = ["index", "activation", "variance", ...(keys.unusual ? (["unusual"] as const) : [])];
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
    keys,
    sorts: !values ? ["index"] : effects ? [...sorts, "effect"] : sorts,
    colours: effects && data.activations ? ["activation", "effect"] : ["activation"],
    ranges: byEffect || !values ? ["text"] : ["text", "neuron", "fixed"],
    selected: scene.neuron,
    pinned: scene.get("pinned_neurons") ?? [],
    hovered: now.hoveredNeuron === scene.neuron ? null : now.hoveredNeuron,
    details: (neuron) => {
      const effect = byEffect ? null : data.effectOf(neuron);
      return effect === null ? [] : [[effects?.info.name ?? "effect", signed(effect)] as const];
    },
    ranked: () => rankedView(scene),
    ...scene.scales.outside(drawn, scale),
    theme: now.theme,
    height: MAP_HEIGHT,
  };
}

export function rankedView(scene: Scene): RankedView {
  const { data, view, token, effects } = scene;
  const by =
    view.color === "effect" || view.sort === "effect"
      ? "effect"
      : view.sort === "variance" || (view.sort === "unusual" && data.mean)
        ? view.sort
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
    const corpus = scene.get("_spread")?.corpus;
    const scale = scene.scales.spread(Math.abs(items[0]?.value ?? 1), scene.dark);
    return {
      items,
      info,
      scale,
      effect,
      words: `the 100 that vary most ${corpus ? `in ${corpus}` : "over this text"}`,
    };
  }
  if (by === "unusual") {
    const where = token === null ? "at their most unusual token" : `at “${scene.piece(token)}”`;
    const words = `the 100 most above what they do in ${scene.get("_spread")?.corpus ?? "the corpus"}, ${where}`;
    return {
      items,
      info: UNUSUAL,
      scale: scene.scales.spread(items[0]?.value ?? 1, scene.dark),
      effect,
      words,
    };
  }
  const words =
    token === null
      ? "the 100 strongest, each at its strongest token"
      : `the 100 strongest at “${scene.piece(token)}”`;
  return { items, info: ACTIVATION, scale: scene.activationScale(), effect, words };
}

type First = "effect" | "activation" | "unusual";
const FIRST: Record<First, string> = {
  effect: "largest effect",
  activation: "strongest",
  unusual: "most unusual",
};

/** What to click first: the neurons that matter most for the answer, or that are strongest or most unusual at the locked token. */
export function startProps(scene: Scene): StartProps {
  const { data, token, effects, now } = scene;
  const { compare, first } = scene.view;
  const keys = data.keys(token);
  const known = (["effect", "activation", "unusual"] as const).filter(
    (one) => keys[one] && (one !== "effect" || token === null),
  );
  const by = first && known.includes(first) ? first : (known[0] ?? "activation");
  const saved = scene.live ? null : scene.get("_cards");
  const items = data.starters(data.ranked(keys[by] ?? [], data.effects), STARTERS, saved);
  const at = token === null ? "" : ` at “${scene.piece(token)}”`;
  const what = by === "effect" && effects ? `largest effects on ${effects.target}` : `${FIRST[by]}${at}`;
  const scale =
    by === "effect" && effects
      ? effects.scale
      : by === "unusual"
        ? scene.scales.starting(items[0]?.value ?? 1, scene.dark)
        : scene.activationScale();
  return {
    title: compare
      ? `Choose a neuron to compare with ${compare}`
      : token === null
        ? `Start here: the ${what}${by === "effect" ? "" : " neurons"}`
        : `${what[0].toUpperCase()}${what.slice(1)}`,
    choices: known.map((one) => [one, FIRST[one]] as const),
    choice: by,
    list: {
      items,
      info: by === "effect" && effects ? effects.info : by === "unusual" ? UNUSUAL : ACTIVATION,
      scale,
      effect:
        effects && by !== "effect"
          ? { name: "effect", estimate: data.effectsOf?.method === "gradient" }
          : null,
      selected: null,
      pinned: scene.get("pinned_neurons") ?? [],
      hovered: now.hoveredNeuron,
    },
  };
}

export interface StartProps {
  title: string;
  /** The orders that there are, with their names. */
  choices: (readonly [First, string])[];
  choice: First;
  list: RankedListProps;
}

export function cardProps(scene: Scene, neuron: string, other: string | null): NeuronCardProps {
  const { cards, now, view, get, live } = scene;
  const card = cards.of(neuron);
  const beside = now.hoveredNeuron && now.hoveredNeuron !== neuron ? now.hoveredNeuron : other;
  const otherValues = beside ? scene.valuesOf(beside) : null;
  return {
    neuron,
    card,
    values: scene.valuesOf(neuron),
    pieces: scene.data.tokens?.pieces.map((_, i) => scene.piece(i)) ?? [],
    rtl: RTL.test(scene.data.tokens?.text ?? ""),
    token: scene.shownToken,
    other: beside && otherValues ? { label: beside, values: otherValues } : null,
    scale: scene.exampleScale(card),
    edit: scene.edits.find((edit) => edit.neuron === neuron) ?? null,
    refuse: (edit) => (live ? null : canAnswer(edit, card)),
    pinned: (get("pinned_neurons") ?? []).includes(neuron),
    compared: view.compare !== null,
    live,
    waiting: live
      ? scene.problem
        ? "Not computed: see the message above."
        : "Computing…"
      : "Not precomputed for this neuron: needs a kernel. Neurons marked “saved” in the list have their card.",
    target: given(get("_before"))?.target?.name ?? card?.effect?.target ?? "the target",
    quantile: now.quantile,
    context: now.context,
    note: noteOf(get("notes"), neuron),
    notesFile: get("_notes_file") ?? "",
  };
}

export function editProps(scene: Scene): InterventionBarProps {
  return {
    edits: scene.edits,
    rangeOf: (neuron) => scene.rangeOf(neuron),
    refuse: (edit) => (scene.live ? null : canAnswer(edit, scene.cards.of(edit.neuron))),
    canUndo: scene.now.canUndo,
    canRedo: scene.now.canRedo,
    selected: scene.neuron,
  };
}

export function predictionProps(scene: Scene): PredictionBarsProps {
  const { get, edits, live } = scene;
  const before = given(get("_before"));
  const empty = scene.data.tokens
    ? "This model has no head: there is no prediction."
    : "The prediction appears here.";
  if (!edits.length) {
    return { before, after: null, empty };
  }
  const after = given(get("_after"));
  const answers = after?.asked
    ? sameInterventions(after.asked, edits)
    : live && after?.interventions?.length === edits.length;
  if (after && answers && !scene.stale)
    return { before, after, note: "change = F(after) − F(before)", empty };
  if (!live) {
    const swept = sweptAnswer(edits, before, (neuron) => scene.cards.of(neuron));
    const note = swept.after ? `${swept.note} change = F(after) − F(before)` : swept.note;
    return { before, after: swept.after, note, empty };
  }
  if (scene.stale) return { before, after, pending: "About the text before.", empty };
  const pending = scene.problem
    ? "Not computed: see the message above."
    : "Computing the prediction with these interventions…";
  return { before, after: after ?? null, pending, empty };
}

const noteOf = (notes: Record<string, Note> | undefined, neuron: string) =>
  notes && Object.hasOwn(notes, neuron) ? notes[neuron] : null;
const clip = (text: string) => (text.length > 48 ? `${text.slice(0, 48)}…` : text);
