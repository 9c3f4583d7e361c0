// One neuron over a corpus, with a chooser of neurons: the first view to open on the examples of a model.
import { Scale } from "../lib/colour";
import { h, replace, setText } from "../lib/dom";
import { memo } from "../lib/explorer-data";
import { findNeurons, type NeuronIndex, NeuronOrder, type NeuronSource } from "../lib/neuron-index";
import type { CorpusCard, Note } from "../lib/payload";
import { type BaseState, given, type Status } from "../lib/snapshot";
import { stateBox } from "../lib/state-box";
import { defineWidget } from "../lib/widget";
import { section } from "../views/card-section";
import { corpusEvidence } from "../views/corpus-evidence";
import { neuronChooser } from "../views/neuron-chooser";
import { neuronNotes } from "../views/neuron-notes";

export interface NeuronCardState extends BaseState {
  selected_neuron: string | null;
  view: { group?: string; context?: number };
  notes: Record<string, Note>;
  _notes_file: string;
  _source: NeuronSource | null;
  /** null: every neuron of all layers. */
  _neurons: string[] | null;
  _card: CorpusCard | null;
  _cards: Record<string, CorpusCard>;
  /** A report of several pages: `size` cards a page. */
  _pages?: { size: number; files: string[]; index: string } | null;
}

const TRAITS = [
  "selected_neuron", "view", "notes", "_notes_file", "_source", "_neurons", "_card", "_cards", "_status", "_notes", "last_error",
] as const; // biome-ignore format: one list
const KEPT = 50;

export default defineWidget<NeuronCardState>("neuron-card", (context) => {
  const { root, binding, requests, theme, onDispose } = context;
  const cards = new Map<string, CorpusCard>();
  const failures = new Map<string, string>();
  const asked = new Set<string>();
  let index: NeuronIndex | null = null;
  let indexState: "none" | "loading" | "done" = "none";
  let shown: CorpusCard | null = null;
  let busy = false;

  const orderOf = memo((list: string[] | null, source: NeuronSource | null) => new NeuronOrder(list, source));
  const order = () => orderOf(binding.get("_neurons"), given(binding.get("_source")));
  const scaleOf = memo(
    (card: CorpusCard, dark: boolean) => new Scale({ signed: true, max: reach(card), dark }),
  );

  const chooser = neuronChooser(root, {
    onNeuron: choose,
    onStep(by) {
      const now = order().place(binding.get("selected_neuron"));
      const to = order().at(now < 0 ? 0 : now + by);
      if (to) choose(to);
    },
    onOpen() {
      wantIndex();
      draw();
    },
  });
  const problem = h("div", { class: "nw-problem", role: "alert", hidden: true });
  root.append(problem);
  const box = stateBox(root);
  const name = h("h3", { class: "nw-card-name" });
  const left = h("div", { class: "nw-evidence-left" });
  const right = h("div", { class: "nw-evidence-right" });
  const article = h(
    "article",
    { class: "nw-card nw-evidence" },
    name,
    h("div", { class: "nw-evidence-columns" }, left, right),
  );
  box.body.append(article);
  const evidence = corpusEvidence(left, right, {
    onGroup: (group) => setView({ group }),
    onContext: (size) => setView({ context: size }),
  });
  const notePart = section("Notes");
  left.append(notePart.el);
  const noted = neuronNotes(notePart.body, {
    onNote: (neuron, note) => requests.send("note", { neuron, ...note }),
  });
  const notes = h("ul", { class: "nw-notes" });
  root.append(notes);

  function setView(change: NeuronCardState["view"]) {
    binding.set("view", { ...binding.get("view"), ...change });
    draw();
  }

  function choose(neuron: string) {
    const pages = binding.get("_pages") ?? null;
    const place = order().place(neuron);
    if (pages && !has(neuron)) {
      const file = pages.files[Math.floor(place / pages.size)];
      // A page of this report and nothing else.
      if (/^[\w-]+\.html$/.test(file ?? "")) location.assign(`${file}#${neuron}`);
      return;
    }
    binding.set("selected_neuron", neuron);
    if (live() && !cards.has(neuron)) void requests.ping();
    draw();
  }

  const live = () => binding.get("_live") !== false;
  /** Whether a page of several has this card. */
  const has = (neuron: string) => {
    const files = binding.get("_pages")?.files ?? [];
    const here = location.pathname.split("/").at(-1) ?? "";
    const { size = 1 } = binding.get("_pages") ?? {};
    return cards.has(neuron) || files.indexOf(here) === Math.floor(order().place(neuron) / size);
  };

  function wantIndex() {
    if (indexState !== "none") return;
    indexState = "loading";
    const done = (found: NeuronIndex | null) => {
      index = found;
      indexState = "done";
      draw();
    };
    requests
      .send<NeuronIndex>("index")
      .then(done, () => done(indexOfCards(binding.get("_cards") ?? {}, order())));
  }

  /** On a page without a kernel a card is unpacked when it is first looked at. */
  function wantCard(neuron: string) {
    if (asked.has(neuron)) return;
    asked.add(neuron);
    requests.send<CorpusCard>("card", { neuron }).then(
      (card) => {
        keep(card);
        draw();
      },
      (error: Error) => {
        failures.set(neuron, error.message);
        draw();
      },
    );
  }

  function keep(card: CorpusCard | null) {
    if (!card?.neuron) return;
    cards.delete(card.neuron);
    cards.set(card.neuron, card);
    for (const old of cards.keys()) {
      if (cards.size <= KEPT) break;
      cards.delete(old);
      asked.delete(old);
    }
  }

  function stateOf(neuron: string | null, card: CorpusCard | null): Status {
    const status = binding.get("_status");
    // With a card on screen an error stands above it: what was being read or written stays.
    if (status?.state === "error" && !card)
      return { ...status, what: "Choose another neuron, or run the cell again." };
    if (status?.state === "empty" || !order().count) return { state: "empty" };
    if (card) return { state: "ready" };
    if (!neuron)
      return { state: "empty", what: "Choose a neuron above: type its address, or a word that it fires on." };
    const why = failures.get(neuron);
    if (why !== undefined) return { state: "empty", what: `This page has no card of ${neuron}. ${why}` };
    return { state: "running", what: busy ? "The kernel is busy with a cell" : `Looking up ${neuron}` };
  }

  function draw() {
    const neuron = binding.get("selected_neuron");
    keep(given(binding.get("_card")));
    const saved = binding.get("_cards") ?? {};
    const card = neuron ? (cards.get(neuron) ?? (Object.hasOwn(saved, neuron) ? saved[neuron] : null)) : null;
    if (neuron && !card && !live()) wantCard(neuron);
    if (card) shown = card;
    const all = order();
    const place = all.place(neuron);
    const { name: model = "", hash = "", excluded = {} } = given(binding.get("_source")) ?? {};
    chooser.update({
      neuron,
      place,
      total: all.count,
      example: all.at(Math.min(131, all.count - 1)) ?? "L5.mlp[131]",
      open: !neuron && all.count > 0,
      find: (query) => findNeurons(query, all, index, binding.get("notes") ?? {}),
      about: [model, hash.slice(0, 8)].filter(Boolean).join(" "),
      loading: indexState === "loading",
    });
    if (!neuron && all.count) wantIndex();
    const state = stateOf(neuron, card);
    box.update(state, "No examples to show: nw.top_examples(model, corpus) finds them.");
    const status = binding.get("_status");
    const failed = status?.state === "error" && state.state === "ready";
    problem.hidden = !failed;
    setText(problem, failed ? `${status.error || "Something went wrong."} Choose a neuron to go on.` : "");
    const looked = card ?? (state.state === "running" ? shown : null);
    if (looked) {
      setText(name, looked.neuron);
      // Where there is a field with its name, the heading is for those who cannot see it.
      name.classList.toggle("nw-hidden", all.count > 1);
      article.setAttribute("aria-label", `Neuron ${looked.neuron}`);
      const { group = "top", context = 5 } = binding.get("view") ?? {};
      evidence.update({ card: looked, scale: scaleOf(looked, theme.theme.dark), group, context, excluded });
      const known = binding.get("notes") ?? {};
      const note = Object.hasOwn(known, looked.neuron) ? known[looked.neuron] : null;
      notePart.el.hidden = !live() && !note;
      noted.update({ neuron: looked.neuron, note, live: live(), file: binding.get("_notes_file") ?? "" });
    }
    article.hidden = !looked;
    replace(notes, ...(binding.get("_notes") ?? []).map((text) => h("li", null, text)));
  }

  requests.options.onBusy = (now) => {
    busy = now;
    draw();
  };
  binding.on(TRAITS, draw);
  onDispose(theme.onChange(draw));
  onDispose(() => {
    for (const view of [chooser, evidence, noted, box]) view.destroy();
  });
  draw();
});

const reach = ({ corpus, examples }: CorpusCard) =>
  corpus
    ? Math.max(Math.abs(corpus.min), Math.abs(corpus.max))
    : Math.max(0, ...examples.map((one) => Math.abs(one.values[one.focus] ?? 0)));

/** What can be searched on a page that has only these cards. */
function indexOfCards(cards: Record<string, CorpusCard>, order: NeuronOrder): NeuronIndex | null {
  const neurons = Object.keys(cards).sort((a, b) => order.place(a) - order.place(b));
  if (!neurons.length) return null;
  const words = neurons.map((name) => [
    ...new Set(
      cards[name].examples.filter((one) => one.quantile === "top").map((one) => one.pieces[one.focus].trim()),
    ),
  ]);
  return {
    neurons,
    words: words.map((list) => list.slice(0, 5).join(" ")),
    maximum: neurons.map((name) => cards[name].corpus?.max ?? null),
    about: neurons.map((name) =>
      (cards[name].explanations ?? []).map((one) => one.statements[0]?.text ?? "").join(" · "),
    ),
  };
}
