// The neurons of a model in three ways (whole model, one layer, ranked), with search, order and legend.
import type { NdArray } from "../lib/arrays";
import type { Scale } from "../lib/colour";
import { h, replace, roving, setText } from "../lib/dom";
import { field } from "../lib/field";
import { count } from "../lib/format";
import { type Found, formatNeuron, search } from "../lib/neuron";
import { strongest } from "../lib/order";
import { outside } from "../lib/range";
import type { MatrixInfo, ModelInfo, RangeKind, Sort, Status, TokensState, ViewState } from "../lib/snapshot";
import { stateBox } from "../lib/state-box";
import type { Theme } from "../lib/theme";
import { type LayerHeatmap, layerHeatmap } from "./layer-heatmap";
import { legend } from "./legend";
import { type NeuronMap, neuronMap } from "./neuron-map";
import { type RankedItem, type RankedList, rankedList } from "./ranked-list";

export interface MatrixPanelProps {
  status?: Status;
  /** What to do when there is nothing yet. */
  empty?: string;
  model: ModelInfo | null;
  tokens: TokensState | null;
  /** (layer, token, neuron) or (layer, neuron): what is coloured. Null: only the preview is left. */
  values: NdArray | null;
  preview?: NdArray | null;
  info: MatrixInfo;
  scale: Scale;
  view: ViewState;
  ranges?: readonly RangeKind[];
  /** What can be coloured; two or more give a choice. */
  colours?: readonly ViewState["color"][];
  /** Rows (layer, neuron) that cells can be sorted by; activation defaults to what is coloured. */
  keys?: Partial<Record<Sort, readonly Float32Array[]>>;
  /** What keys.effect holds, for the ranked list. */
  effect?: { name: string; estimate: boolean } | null;
  token: number | null;
  selected: string | null;
  pinned?: readonly string[];
  hovered?: string | null;
  hoveredToken?: number | null;
  /** More lines for the tooltip of a neuron. */
  details?: (neuron: string) => readonly (readonly [string, string])[];
  theme: Theme;
  height?: number;
}
export interface MatrixPanelEvents {
  onSelect?: (neuron: string | null, add: boolean) => void;
  onToken?: (token: number | null) => void;
  onHover?: (neuron: string | null, token: number | null) => void;
  onView?: (change: Partial<ViewState>) => void;
  onCancel?: () => void;
}
export interface MatrixPanel {
  update(props: MatrixPanelProps): void;
  destroy(): void;
}

type Tab = ViewState["tab"];
const TABS = ["model", "layer", "ranked"] as const;
const NAMES: Record<Tab, string> = { model: "Whole model", layer: "Layer", ranked: "Ranked" };
const MOST_RANKED = 100;

let panels = 0;

export function matrixPanel(el: HTMLElement, on: MatrixPanelEvents = {}): MatrixPanel {
  const id = `nw-panel-${++panels}`;
  const tabs = TABS.map((tab) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        class: "nw-tab",
        "aria-controls": id,
        onclick: () => on.onView?.({ tab }),
      },
      NAMES[tab],
    ),
  );
  const tablist = h("div", { class: "nw-tabs", role: "tablist", "aria-label": "Neurons" }, ...tabs);
  const layer = choice("Layer", (value) => on.onView?.({ layer: Number(value) }));
  const colour = choice("What the colour shows", (value) =>
    on.onView?.({ color: value as ViewState["color"] }),
  );
  const sort = choice("Order of the neurons", (value) => on.onView?.({ sort: value as Sort }));
  const answer = h("span", { class: "nw-search-answer nw-small nw-muted", role: "status" });
  const query = h("input", {
    type: "search",
    "aria-label": "Find a neuron, a layer or a token",
    title: "L5.mlp[131], 5 131, L5, or a token; Enter goes there",
    oninput: () => answerTo(found()),
    onkeydown: (event: KeyboardEvent) => {
      if (event.key === "Enter") go(found());
      else if (event.key === "Escape" && query.value) query.value = answer.textContent = "";
      else return;
      event.preventDefault();
      event.stopPropagation();
    },
  });
  const head = h(
    "div",
    { class: "nw-panel-head" },
    tablist,
    layer.el,
    colour.el,
    sort.el,
    h("span", { class: "nw-search" }, answer, query),
  );
  const caption = h("div", { class: "nw-caption nw-small nw-muted" });
  const holder = h("div", null);
  const foot = h("div", null);
  const root = h("div", { class: "nw-panel" }, head, caption, holder, foot);
  el.append(root);
  const box = stateBox(holder, on.onCancel);
  box.body.classList.add("nw-panel-body");
  box.body.id = id;
  box.body.setAttribute("role", "tabpanel");
  const key = legend(foot, { onRange: (range) => on.onView?.({ range }) });
  const rove = roving(tablist, ".nw-tab:not(:disabled)", (item) =>
    on.onView?.({ tab: TABS[tabs.indexOf(item as HTMLButtonElement)] }),
  );

  let props: MatrixPanelProps | null = null;
  let shown: { tab: Tab; map?: NeuronMap; layer?: LayerHeatmap; list?: RankedList } | null = null;
  let ranked: { by: readonly unknown[]; items: RankedItem[] } = { by: [], items: [] };
  let pending: string | null = null;

  const found = (): Found => {
    if (!props?.model) return { kind: "nothing", why: "" };
    return search(query.value, { ...props.model, pieces: props.tokens?.pieces });
  };
  const answerTo = (result: Found) => {
    if (result.kind === "nothing") setText(answer, result.why);
    else if (result.kind === "neuron") setText(answer, `Enter: ${result.neuron}`);
    else if (result.kind === "layer") setText(answer, `Enter: layer ${result.layer}`);
    else {
      const at = result.matches.indexOf(props?.token ?? -1) + 1;
      const n = result.matches.length;
      setText(
        answer,
        n > 1 ? `${at ? `${at} of ` : ""}${count(n, "token")}, Enter: next` : `Enter: token ${result.token}`,
      );
    }
  };
  const go = (result: Found) => {
    if (result.kind === "neuron") {
      pending = result.neuron;
      on.onSelect?.(result.neuron, false);
      if (props?.view.tab === "layer") on.onView?.({ layer: result.layer });
      if (props?.selected === result.neuron) show();
    } else if (result.kind === "layer") on.onView?.({ tab: "layer", layer: result.layer });
    else if (result.kind === "token") {
      const at = result.matches.indexOf(props?.token ?? -1);
      on.onToken?.(result.matches[(at + 1) % result.matches.length]);
    }
    answerTo(result);
  };
  /** Bring what was searched into view, once it has been selected. */
  const show = () => {
    if (!pending || props?.selected !== pending) return;
    (shown?.map ?? shown?.layer ?? shown?.list)?.reveal(pending);
    pending = null;
  };

  const mount = (tab: Tab) => {
    if (tab === shown?.tab) return shown;
    (shown?.map ?? shown?.layer ?? shown?.list)?.destroy();
    const events = {
      onSelect: (neuron: string | null, add: boolean) => on.onSelect?.(neuron, add),
      onHover(neuron: string | null, value: number | null) {
        key.mark(value);
        on.onHover?.(neuron, null);
      },
    };
    shown = { tab };
    if (tab === "model") shown.map = neuronMap(box.body, events);
    else if (tab === "ranked") shown.list = rankedList(box.body, events);
    else {
      shown.layer = layerHeatmap(box.body, {
        onSelect(neuron, token, add) {
          if (props?.tokens && token !== null && !add) on.onToken?.(token);
          on.onSelect?.(neuron, add);
        },
        onHover(neuron, token, value) {
          key.mark(value);
          on.onHover?.(neuron, token);
        },
      });
    }
    return shown;
  };

  const rank = (p: MatrixPanelProps, model: ModelInfo, rows: readonly Float32Array[]): RankedItem[] => {
    const { sort: order } = p.view;
    const by = (order === "variance" || order === "effect" ? p.keys?.[order] : null) ?? rows;
    const now = [...by, ...rows, p.keys?.effect];
    if (now.length === ranked.by.length && now.every((part, i) => part === ranked.by[i])) return ranked.items;
    const { layers, site, stack } = model;
    const items = strongest(by, MOST_RANKED).map(({ layer: at, index }) => ({
      neuron: formatNeuron({ layer: layers[at], index, site, stack }),
      value: rows[at][index],
      effect: p.keys?.effect?.[at]?.[index] ?? null,
    }));
    ranked = { by: now, items };
    return items;
  };

  const drawHead = (p: MatrixPanelProps, model: ModelInfo, tab: Tab) => {
    const saved = !p.values;
    tabs.forEach((button, i) => {
      button.setAttribute("aria-selected", String(TABS[i] === tab));
      button.disabled = saved && TABS[i] !== "model";
    });
    rove.refresh();
    box.body.setAttribute("aria-label", NAMES[tab]);
    const layers = [...model.layers].reverse();
    layer.set(Object.fromEntries(layers.map((n) => [`L${n}`, `${n}`])), `${p.view.layer}`);
    layer.el.hidden = tab !== "layer";
    const colours = p.colours ?? [];
    colour.set(Object.fromEntries(colours.map((c) => [c, c])), p.view.color);
    colour.el.hidden = colours.length < 2;
    const sorts: Record<string, string> = { "by index": "index", [`by ${p.info.name}`]: "activation" };
    if (p.colours?.includes("effect") && p.view.color === "effect") sorts["by activation"] = "activation";
    if (p.keys?.variance) sorts["by variance"] = "variance";
    if (p.keys?.effect) sorts["by effect"] = "effect";
    if (p.info.name === "effect") delete sorts["by effect"];
    const known = Object.values(sorts).includes(p.view.sort);
    sort.set(sorts, known ? p.view.sort : "index");
    sort.el.disabled = query.disabled = saved;
    query.placeholder = `L${model.layers.at(-1) ?? 0}.${model.site}[131], L2, word`;
  };

  return {
    update(next) {
      props = next;
      const { model, values } = next;
      const drawable = model && (values || next.preview) ? model : null;
      const status = next.status ?? { state: "ready" };
      box.update(!drawable && status.state === "ready" ? { state: "empty" } : status, next.empty);
      head.toggleAttribute("inert", !drawable);
      if (!drawable) {
        setText(caption, "");
        key.update({ scale: null, info: next.info, range: next.view.range });
        return;
      }
      const tab = values ? next.view.tab : "model";
      const rows = values ? field(values, next.token) : field(next.preview as NdArray, null);
      const keys = { activation: rows, ...next.keys };
      drawHead(next, drawable, tab);
      setText(caption, describe(next, drawable, tab));
      const view = mount(tab);
      const shared = { ...next, model: drawable, keys, sort: next.view.sort };
      const at = Math.max(0, drawable.layers.indexOf(next.view.layer));
      view.map?.update(shared);
      if (values) {
        view.layer?.update({ ...shared, values, layer: at });
        view.list?.update({
          ...shared,
          items: rank(next, drawable, rows),
          effect: next.keys?.effect ? (next.effect ?? { name: "effect", estimate: false }) : null,
        });
      }
      const pooled = view.map?.pooled ?? 1;
      key.update({
        scale: next.scale,
        info: next.info,
        range: next.view.range,
        ranges: next.ranges,
        ...outside(tab === "layer" && values ? [values.slice(at)] : rows, next.scale),
        notes: [
          ...(values && pooled > 1 ? [`each cell is the strongest of ${pooled} neurons`] : []),
          ...(values ? [] : ["details were not saved: run the cell again"]),
        ],
      });
      show();
    },
    destroy() {
      (shown?.map ?? shown?.layer ?? shown?.list)?.destroy();
      rove.dispose();
      key.destroy();
      box.destroy();
      root.remove();
    },
  };
}

/** One line that says what is seen. */
function describe(
  { info, values, tokens, token, view }: MatrixPanelProps,
  model: ModelInfo,
  tab: Tab,
): string {
  const what = info.of ? `${info.name} on ${info.of}` : info.name;
  const total = model.layers.length * model.width;
  const piece = token === null ? "" : (tokens?.pieces[token] || tokens?.raw[token] || "").trim();
  let where = "";
  if (values?.shape.length === 3) {
    where =
      token === null
        ? " where it is strongest in the text"
        : ` at token ${token}${piece ? ` “${piece}”` : ""}`;
  }
  if (tab === "layer") {
    const rows = values?.shape.length === 3 ? values.shape[1] : 1;
    const size = `${count(model.width, "neuron")}${rows > 1 ? ` across, ${count(rows, "token")} down` : ""}`;
    return `Layer ${view.layer}: ${size}. Colour: ${what}`;
  }
  if (tab === "ranked")
    return `The ${Math.min(MOST_RANKED, total)} strongest of ${count(total, "neuron")}: ${what}${where}`;
  return `${count(total, "neuron")}, one cell each, in ${count(model.layers.length, "layer")}. Colour: ${what}${where}`;
}

/** A select whose options are only built anew when they differ. */
function choice(label: string, onChange: (value: string) => void) {
  const el = h("select", { "aria-label": label, title: label, onchange: () => onChange(el.value) });
  let built = "";
  return {
    el,
    set(options: Record<string, string>, value: string) {
      const now = JSON.stringify(options);
      if (now !== built) {
        built = now;
        replace(el, ...Object.entries(options).map(([text, v]) => h("option", { value: v }, text)));
      }
      el.value = value;
    },
  };
}
