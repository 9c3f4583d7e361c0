// Text, tokens, neurons, one neuron's card, interventions and the prediction: linked views over one selection.
import { CardShelf } from "../explorer/card-shelf";
import {
  browserProps,
  cardProps,
  editProps,
  headerProps,
  predictionProps,
  selectionProps,
  startProps,
  statusProps,
  tokenProps,
} from "../explorer/props";
import { type Moment, Scales, Scene } from "../explorer/scene";
import { h, replace, setText } from "../lib/dom";
import { Edits } from "../lib/edits";
import { ExplorerData } from "../lib/explorer-data";
import type { Intervention, InterventionKind } from "../lib/interventions";
import { parseNeuron } from "../lib/neuron";
import { type Card, DEFAULT_VIEW, type ExplorerState, type ExplorerView, type Note } from "../lib/payload";
import { ablationOf } from "../lib/swept";
import { defineWidget } from "../lib/widget";
import { explorerHeader } from "../views/explorer-header";
import { interventionBar, startValue } from "../views/intervention-bar";
import { neuronBrowser } from "../views/neuron-browser";
import { neuronCard } from "../views/neuron-card";
import { predictionBars } from "../views/prediction-bars";
import { rankedList } from "../views/ranked-list";
import { selectionBar } from "../views/selection-bar";
import { statusBar } from "../views/status-bar";
import { tokenPanel } from "../views/token-panel";

const TRAITS = [
  "text",
  "selected_token",
  "selected_neuron",
  "pinned_neurons",
  "interventions",
  "target",
  "view",
  "_model",
  "_tokens",
  "_activations",
  "_preview",
  "_attribution",
  "_effects",
  "_spread",
  "_before",
  "_after",
  "_card",
  "_cards",
  "_text_answered",
  "_code",
  "_held_out_name",
  "_legend",
  "_prompts",
  "notes",
  "_notes_file",
  "_live",
  "_notes",
  "_status",
  "last_error",
] as const;

export default defineWidget<ExplorerState>("neuron-explorer", (context) => {
  const { root, binding, requests, theme, model } = context;
  const data = new ExplorerData();
  const scales = new Scales();
  const edits = new Edits(model);
  const cards = new CardShelf((neuron) => requests.send<Card>("card", { neuron }));
  const now: Omit<Moment, "theme" | "canUndo" | "canRedo"> = {
    hoveredNeuron: null,
    hoveredToken: null,
    busy: false,
    asking: false,
    problem: "",
    dismissed: "",
    quantile: "top",
    context: 5,
  };
  let lastLock: "token" | "neuron" = "neuron";
  let lastStatus: unknown = null;
  let waiting = false;
  let open = true;

  // -- what a person does -------------------------------------------------------------------------------------------

  const report = (error: unknown) => {
    now.problem = error instanceof Error ? error.message : String(error);
    now.dismissed = "";
    now.asking = false;
    redraw();
  };
  /** The kernel should hear of this: when it does not answer in time, the status line says that it is busy. */
  const expectAnswer = () => {
    if (binding.get("_live") !== false) void requests.ping();
  };
  const setView = (change: Partial<ExplorerView>) => {
    binding.set("view", { ...DEFAULT_VIEW, ...binding.get("view"), ...change });
    redraw();
  };
  const run = (text: string) => {
    now.asking = true;
    now.problem = "";
    now.dismissed = "";
    if (text === binding.get("text")) void requests.send("rerun").catch(report);
    else binding.set("text", text);
    expectAnswer();
    redraw();
  };
  const lockToken = (token: number | null) => {
    if (token !== null) lastLock = "token";
    binding.set("selected_token", token);
    redraw();
  };
  const lockNeuron = (neuron: string | null) => {
    if (neuron) lastLock = "neuron";
    binding.set("selected_neuron", neuron);
    const layer = parseNeuron(neuron)?.layer;
    const view = binding.get("view");
    if (layer !== undefined && view?.tab !== "layer" && view?.layer !== layer) setView({ layer });
    if (neuron && !cards.of(neuron)) expectAnswer();
    redraw();
  };
  const pin = (neuron: string) => {
    const pinned = binding.get("pinned_neurons") ?? [];
    const rest = pinned.filter((name) => name !== neuron);
    binding.set("pinned_neurons", rest.length < pinned.length ? rest : [...pinned, neuron]);
    redraw();
  };
  const hover = (neuron: string | null, token: number | null) => {
    if (neuron === now.hoveredNeuron && token === now.hoveredToken) return;
    now.hoveredNeuron = neuron;
    now.hoveredToken = token;
    drawLooking(scene());
  };
  const edit = (change: () => void) => {
    change();
    now.problem = "";
    expectAnswer();
    redraw();
  };
  const put = (item: Intervention) => edit(() => edits.put(item));
  const act = (neuron: string, kind: InterventionKind) => {
    if (edits.of(neuron)?.kind === kind) return edit(() => edits.remove(neuron));
    if (kind === "ablate") {
      const made =
        ablationOf(cards.of(neuron)) ?? (data.effectsOf?.ablation.startsWith("zero") ? "zero" : "mean");
      return put({ kind, neuron, how: made });
    }
    put({ kind, neuron, value: startValue(kind, scene().rangeOf(neuron)) });
  };

  // -- the parts ----------------------------------------------------------------------------------------------------

  const header = explorerHeader(root, {
    onRun: run,
    onTarget: (key) => {
      now.asking = true;
      binding.set("target", key);
      expectAnswer();
    },
    onExport: () => requests.send<{ html: string; name: string }>("export"),
    onError: report,
  });
  const status = statusBar(root, {
    onCancel: () => void requests.send("cancel").catch(report),
    onDismiss: () => {
      now.dismissed = scene().problem;
      now.problem = "";
      redraw();
    },
    onRerun: () => run(binding.get("text")),
  });
  const top = h("div", { class: "nw-top" });
  const tokens = tokenPanel(top, {
    onToken: lockToken,
    onHover: (token) => hover(null, token),
    onMode: (mode) => setView({ tokens: mode as ExplorerView["tokens"] }),
  });
  const outcome = h(
    "section",
    { class: "nw-outcome", "aria-label": "Prediction" },
    h("h3", null, "Prediction"),
  );
  top.append(outcome);
  const prediction = predictionBars(outcome);
  const bar = interventionBar(top, {
    onEdit: put,
    onRemove: (neuron) => edit(() => edits.remove(neuron)),
    onClear: () => edit(() => edits.clear()),
    onUndo: () => edit(() => edits.undo()),
    onRedo: () => edit(() => edits.redo()),
    onSelect: lockNeuron,
    onDragStart: () => edits.begin(),
    onDragEnd: () => edits.end(),
  });
  root.append(top);
  const selection = selectionBar(root, { onToken: lockToken, onNeuron: lockNeuron, onUnpin: pin });
  const left = h("div", { class: "nw-left" });
  const first = h("div", null);
  const second = h("div", { hidden: true });
  const startTitle = h("h3", null);
  const startOrder = h("select", {
    class: "nw-small",
    "aria-label": "Order of the list",
    onchange: () => setView({ first: startOrder.value as ExplorerView["first"] }),
  });
  const start = h(
    "section",
    { class: "nw-start-list" },
    h("div", { class: "nw-row" }, startTitle, startOrder),
  );
  const startList = rankedList(start, {
    onSelect: (neuron, add) => (add && neuron ? pin(neuron) : lockNeuron(neuron)),
    onHover: (neuron) => hover(neuron, null),
  });
  const right = h("div", { class: "nw-right" }, start, h("div", { class: "nw-cards" }, first, second));
  const panels = h("div", { class: "nw-panels" }, left, right);
  const notes = h("ul", { class: "nw-notes" });
  const source = h("span", { class: "nw-small nw-muted" });
  root.append(panels, h("div", { class: "nw-foot" }, notes, source));
  const browser = neuronBrowser(left, {
    onNeuron: (neuron, add) => (add && neuron ? pin(neuron) : lockNeuron(neuron)),
    onToken: lockToken,
    onHover: hover,
    onView: setView,
  });
  const cardEvents = {
    onPin: pin,
    onCompare: (neuron: string) => setView({ compare: scene().view.compare ? null : neuron }),
    onAct: act,
    onValue: (neuron: string, value: number) => put({ kind: "set", neuron, value }),
    onHoverToken: (token: number | null) => hover(null, token),
    onToken: lockToken,
    onQuantile: (quantile: string) => {
      now.quantile = quantile;
      redraw();
    },
    onContext: (size: number) => {
      now.context = size;
      redraw();
    },
    onNote: (neuron: string, note: Note) => requests.send("note", { neuron, ...note }),
  };
  const card = neuronCard(first, cardEvents);
  const otherCard = neuronCard(second, cardEvents);
  // -- drawing ------------------------------------------------------------------------------------------------------

  const scene = () => {
    const { canUndo, canRedo } = edits.history;
    return new Scene(binding.get, data, cards, scales, { ...now, canUndo, canRedo, theme: theme.theme });
  };

  /** Draw once, after everything that changes now has changed. */
  function redraw() {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      if (!open) return;
      try {
        draw();
        // An earlier failure is over when the whole view could be drawn.
        root.querySelector(":scope > .nw-fatal")?.remove();
      } catch (error) {
        context.fail(error);
      }
    });
  }

  /** Only what follows the pointer. */
  function drawLooking(s: Scene) {
    tokens.update(tokenProps(s));
    const neurons = browserProps(s);
    if (neurons) browser.update(neurons);
    const compared = s.neuron && s.view.compare !== s.neuron ? s.view.compare : null;
    const shown = s.neuron ?? s.view.compare;
    first.hidden = !shown;
    second.hidden = !compared;
    panels.toggleAttribute("data-comparing", compared !== null);
    if (shown) card.update(cardProps(s, shown, compared));
    if (compared) {
      otherCard.update(cardProps(s, compared, s.neuron));
      if (s.live) cards.want(compared, redraw, report);
    }
    start.hidden = Boolean(s.neuron) || !neurons;
    if (!start.hidden) {
      const { title, choices, choice, list } = startProps(s);
      setText(startTitle, title);
      startOrder.hidden = choices.length < 2;
      const offered = choices.map(([value]) => value).join();
      if (startOrder.dataset.values !== offered) {
        startOrder.dataset.values = offered;
        replace(startOrder, ...choices.map(([value, name]) => h("option", { value }, name)));
      }
      startOrder.value = choice;
      startList.update(list);
    }
  }

  function draw() {
    const s = scene();
    header.update(headerProps(s));
    status.update(statusProps(s));
    selection.update(selectionProps(s));
    drawLooking(s);
    bar.update(editProps(s));
    prediction.update(predictionProps(s));
    for (const part of [panels, top]) part.toggleAttribute("data-stale", s.stale);
    root.toggleAttribute("data-empty", !data.tokens);
    const about = (binding.get("_notes") ?? []).join("\n");
    if (notes.dataset.about !== about) {
      notes.dataset.about = about;
      replace(notes, ...(binding.get("_notes") ?? []).map((note) => h("li", null, note)));
    }
    setText(source, data.model?.hash ? `${data.model.name} ${data.model.hash.slice(0, 8)}` : "");
  }

  function take() {
    data.update((name) => binding.get(name));
    cards.take(binding.get);
    edits.seen();
    const state = binding.get("_status");
    if (state !== lastStatus || binding.get("text") === binding.get("_text_answered")) now.asking = false;
    if (state !== lastStatus) now.dismissed = "";
    lastStatus = state;
  }

  function letGo(event: KeyboardEvent) {
    const typing = event.target instanceof Element && event.target.matches("input, textarea, select");
    if (event.key !== "Escape" || event.defaultPrevented || typing) return;
    const neuron = binding.get("selected_neuron");
    const token = binding.get("selected_token");
    if (!neuron && token === null) {
      if (scene().view.compare) setView({ compare: null });
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    if (neuron && (lastLock === "neuron" || token === null)) lockNeuron(null);
    else lockToken(null);
  }

  requests.options.onBusy = (busy) => {
    now.busy = busy;
    redraw();
  };
  binding.on(TRAITS, () => {
    take();
    redraw();
  });
  root.addEventListener("keydown", letGo);
  context.onDispose(theme.onChange(redraw));
  context.onDispose(() => {
    open = false;
    edits.dispose();
    for (const view of [
      header,
      status,
      tokens,
      selection,
      browser,
      card,
      otherCard,
      bar,
      prediction,
      startList,
    ])
      view.destroy();
  });
  take();
  draw();
});
