// Everything about one neuron: what it does here, where else it fires, and what the model does without it.
import type { Scale } from "../lib/colour";
import { h, replace, setText } from "../lib/dom";
import { count, num, signed } from "../lib/format";
import type { Intervention, InterventionKind } from "../lib/interventions";
import type { Card, CardPart, Corpus, Note } from "../lib/payload";
import { section } from "./card-section";
import { density } from "./density";
import { doseResponse } from "./dose-response";
import { effectRows } from "./effect-rows";
import { exampleList, type Looked } from "./example-list";
import { explanationList } from "./explanation-list";
import { type NeuronNotesHandlers, neuronNotes } from "./neuron-notes";
import { percentileName } from "./percentile";
import { argmax, tokenProfile } from "./token-profile";

export interface NeuronCardProps {
  neuron: string;
  card: Card | null;
  /** Its activation at each token, or null when it is not known. */
  values: ArrayLike<number> | null;
  pieces: readonly string[];
  rtl: boolean;
  /** The token that is looked at: hovered, else selected. */
  token: number | null;
  /** Another neuron over the same tokens: the hovered one, or the one this is compared with. */
  other: { label: string; values: ArrayLike<number> } | null;
  scale: Scale;
  edit: Intervention | null;
  refuse: (edit: Pick<Intervention, "kind" | "how">) => string | null;
  pinned: boolean;
  compared: boolean;
  live: boolean;
  /** Why the parts that are not there yet are not there. */
  waiting: string;
  target: string;
  quantile: string;
  context: number;
  note: Note | null;
  notesFile: string;
}

export interface NeuronCardHandlers extends NeuronNotesHandlers {
  onPin?(neuron: string): void;
  onCompare?(neuron: string): void;
  /** Asked for by a button: switch off, set, scale; pressed again, it is undone. */
  onAct?(neuron: string, kind: InterventionKind): void;
  onValue?(neuron: string, value: number): void;
  onHoverToken?(token: number | null): void;
  onToken?(token: number): void;
  onQuantile?(quantile: string): void;
  onContext?(context: number): void;
}

const ACTS: [InterventionKind, string, string][] = [
  ["ablate", "Switch off", "Replace its value by 0 or its mean, everywhere in the text"],
  ["set", "Set", "Give it one value at every token"],
  ["scale", "Scale", "Multiply its value at every token"],
];

export function neuronCard(el: HTMLElement, handlers: NeuronCardHandlers) {
  let neuron = "";
  /** What the density shows: the token of this text, unless one of an example is looked at. */
  let standing: { corpus: Corpus | null; value: number | null } = { corpus: null, value: null };
  const name = h("h3", { class: "nw-card-name" });
  const pin = h(
    "button",
    { type: "button", title: "Keep it in the list of chips", onclick: () => handlers.onPin?.(neuron) },
    "Pin",
  );
  const compare = h(
    "button",
    {
      type: "button",
      title: "Keep it here and choose a second neuron beside it",
      onclick: () => handlers.onCompare?.(neuron),
    },
    "Compare",
  );
  const acts = ACTS.map(([kind, label, title]) =>
    h(
      "button",
      { type: "button", title, dataset: { kind }, onclick: () => handlers.onAct?.(neuron, kind) },
      label,
    ),
  );
  const profilePart = section("Over the tokens");
  const effectPart = section("Effect", "F(clean) − F(ablated)");
  const corpusPart = section("In the corpus");
  const dosePart = section("If it were set");
  const examplePart = section("Fires on");
  const explanationPart = section("May stand for");
  const towardPart = section("Pushes toward");
  const notePart = section("Notes");
  const box = h(
    "article",
    { class: "nw-card" },
    h("div", { class: "nw-row nw-card-head" }, name, h("span", { class: "nw-push" }, pin, compare)),
    h("div", { class: "nw-row nw-card-acts", role: "group", "aria-label": "Intervene" }, ...acts),
    profilePart.el,
    effectPart.el,
    h("div", { class: "nw-card-pair" }, corpusPart.el, dosePart.el),
    examplePart.el,
    explanationPart.el,
    towardPart.el,
    notePart.el,
  );
  const bare = h("p", { class: "nw-missing" });
  box.append(bare);
  el.append(box);
  const others = [effectPart.el, corpusPart.el, dosePart.el, examplePart.el];
  const profile = tokenProfile(profilePart.body, {
    onHover: (token) => handlers.onHoverToken?.(token),
    onSelect: (token) => handlers.onToken?.(token),
  });
  const effects = effectRows(effectPart.body);
  const histogram = density(corpusPart.body);
  const dose = doseResponse(dosePart.body, { onValue: (value) => handlers.onValue?.(neuron, value) });
  const examples = exampleList(examplePart.body, {
    onQuantile: (quantile) => handlers.onQuantile?.(quantile),
    onContext: (context) => handlers.onContext?.(context),
    onHover: (looked: Looked | null) =>
      histogram.update(looked ? { corpus: standing.corpus, value: looked.value } : standing),
  });
  const explanations = explanationList(explanationPart.body);
  const noted = neuronNotes(notePart.body, handlers);

  return {
    update(props: NeuronCardProps) {
      const { card, values, pieces, token, live, edit, waiting } = props;
      neuron = props.neuron;
      const absent = (part: CardPart) => card?.missing?.[part] || (card ? "Not computed." : waiting);
      setText(name, neuron);
      box.setAttribute("aria-label", `Neuron ${neuron}`);
      pin.setAttribute("aria-pressed", String(props.pinned));
      setText(pin, props.pinned ? "Pinned" : "Pin");
      compare.setAttribute("aria-pressed", String(props.compared));
      setText(compare, props.compared ? "Comparing" : "Compare");
      for (const button of acts) {
        const kind = button.dataset.kind as InterventionKind;
        const refused = props.refuse({ kind });
        const on = edit?.kind === kind;
        button.setAttribute("aria-pressed", String(on));
        button.disabled = Boolean(refused) && !on;
        button.title = refused ?? ACTS.find(([name]) => name === kind)?.[2] ?? "";
      }

      // On a saved page without this card there is one thing to say, not one for each part.
      const nothing = !card && !live;
      for (const part of others) part.hidden = nothing;
      setText(bare, nothing ? waiting : "");
      profilePart.show(values?.length ? null : waiting);
      profile.update({ pieces, values, other: props.other, token, rtl: props.rtl });

      const at = token ?? (values?.length ? argmax(values) : null);
      const corpus = card?.corpus ?? null;
      corpusPart.show(corpus ? null : absent("corpus"));
      const percentile = at === null ? undefined : corpus?.percentile[at];
      replace(
        corpusPart.note,
        percentile !== undefined &&
          at !== null &&
          h(
            "span",
            null,
            h("bdi", null, `“${pieces[at]?.trim()}” `),
            h("b", null, percentileName(percentile)),
          ),
      );
      corpusPart.note.title = corpus ? `${corpus.name}, ${count(corpus.tokens, "token")}` : "";
      standing = { corpus, value: at === null ? null : (values?.[at] ?? null) };
      histogram.update(standing);

      dosePart.show(card?.dose ? null : absent("dose"));
      dosePart.note.title = props.target;
      const reached = card?.dose?.target ?? [];
      const span = reached.length
        ? `target ${num(Math.min(...reached), 2)} to ${num(Math.max(...reached), 2)}`
        : "";
      setText(dosePart.note, span);
      dose.update({
        dose: card?.dose ?? null,
        target: props.target,
        value: edit?.kind === "set" ? (edit.value ?? null) : null,
      });

      const effect = card?.effect ?? null;
      setText(effectPart.note, effect ? `on ${effect.target}, ${shortAblation(effect.ablation)}` : "");
      effectPart.note.title = effect
        ? `Ablation: ${effect.ablation}. Above 0 the neuron supports the target.`
        : "";
      effects.update({
        effect,
        heldOut: card?.held_out ?? null,
        noEffect: absent("effect"),
        noHeldOut: absent("held_out"),
      });

      examplePart.show(card?.examples.length ? null : absent("examples"));
      setText(examplePart.note, card?.examples.length && corpus ? corpus.name : "");
      examples.update({
        examples: card?.examples ?? [],
        scale: props.scale,
        quantile: props.quantile,
        context: props.context,
      });

      explanationPart.el.hidden = !card?.explanations?.length && !card?.words?.length;
      explanations.update({ explanations: card?.explanations ?? [], words: card?.words ?? [] });
      notePart.el.hidden = !live && !props.note;
      noted.update({ neuron, note: props.note, live, file: props.notesFile });

      towardPart.el.hidden = !card?.toward.length && !card?.missing.toward;
      towardPart.show(card?.toward.length ? null : absent("toward"));
      setText(towardPart.note, card?.toward.length ? "direct path only, approximate" : "");
      replace(towardPart.body, card?.toward.length ? pushes(card.toward) : null);
    },
    destroy() {
      for (const view of [profile, effects, histogram, dose, examples, explanations, noted]) view.destroy();
      box.remove();
    },
  };
}

/** "mean over the bundled sample (4,650 tokens)" -> "mean ablation"; the tooltip has it all. */
export function shortAblation(ablation: string): string {
  return `${ablation.split(" ")[0]} ablation`;
}

function pushes(toward: Card["toward"]): HTMLElement {
  const reach = Math.max(1e-12, ...toward.map(({ value }) => Math.abs(value)));
  return h(
    "ul",
    { class: "nw-toward" },
    ...toward.map(({ label, value }) => {
      const fill = h("span", { class: value < 0 ? "nw-fill nw-negative" : "nw-fill" });
      fill.style.width = `${(50 * Math.abs(value)) / reach}%`;
      return h(
        "li",
        null,
        h("bdi", { class: "nw-piece" }, label),
        h("span", { class: "nw-signed-track" }, fill),
        h("span", { class: "nw-number" }, signed(value)),
      );
    }),
  );
}
