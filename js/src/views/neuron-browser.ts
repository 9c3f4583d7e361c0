// The neurons of a model three ways (all layers, one layer, a ranked list) under one search and one key.
import type { NdArray } from "../lib/arrays";
import type { Scale } from "../lib/colour";
import { h, replace, roving, setText } from "../lib/dom";
import { type Found, search } from "../lib/neuron";
import type { ExplorerView } from "../lib/payload";
import type { MatrixInfo, ModelInfo, RangeKind, Sort, TokensState } from "../lib/snapshot";
import type { Theme } from "../lib/theme";
import { type LayerHeatmap, layerHeatmap } from "./layer-heatmap";
import { type Legend, type LegendProps, legend } from "./legend";
import { type NeuronMap, neuronMap } from "./neuron-map";
import { type RankedItem, type RankedList, type RankedListProps, rankedList } from "./ranked-list";

export interface RankedView {
  items: readonly RankedItem[];
  info: MatrixInfo;
  scale: Scale;
  effect: RankedListProps["effect"];
  words: string;
}

export interface NeuronBrowserProps {
  view: ExplorerView;
  model: ModelInfo;
  tokens: TokensState | null;
  /** What is drawn: (layer, token, neuron), or (layer, neuron) for effects; null: only the preview is left. */
  values: NdArray | null;
  preview: NdArray | null;
  info: MatrixInfo;
  scale: Scale;
  /** The locked token, and the one that is looked at (hovered, else locked). */
  token: number | null;
  shownToken: number | null;
  hoveredToken: number | null;
  /** Rows (layer, neuron) to order by; they follow the locked token, so that hovering moves nothing. */
  keys: Partial<Record<Sort, readonly Float32Array[]>>;
  sorts: readonly Sort[];
  colours: readonly ExplorerView["color"][];
  ranges?: readonly RangeKind[];
  selected: string | null;
  pinned: readonly string[];
  hovered: string | null;
  details: (neuron: string) => readonly (readonly [string, string])[];
  /** Only asked for while the list is shown. */
  ranked: () => RankedView;
  clipped: LegendProps["clipped"];
  hasNaN?: boolean;
  theme: Theme;
  height: number;
}

export interface NeuronBrowserEvents {
  onView?(patch: Partial<ExplorerView>): void;
  onNeuron?(neuron: string | null, add: boolean): void;
  onToken?(token: number | null): void;
  onHover?(neuron: string | null, token: number | null): void;
}

const TABS = ["model", "layer", "ranked"] as const;
const SORTS: Record<Sort, string> = {
  index: "by index",
  activation: "by activation",
  variance: "by spread",
  effect: "by effect",
  unusual: "most unusual first",
};
const COLOURS = { activation: "activation", effect: "effect" } as const;

export function neuronBrowser(el: HTMLElement, on: NeuronBrowserEvents = {}) {
  let props: NeuronBrowserProps | null = null;
  let map: NeuronMap | null = null;
  let layer: LayerHeatmap | null = null;
  let list: RankedList | null = null;

  const tabs = TABS.map((tab) =>
    h("button", {
      type: "button",
      class: "nw-tab",
      role: "tab",
      dataset: { tab },
      onclick: () => on.onView?.({ tab }),
    }),
  );
  const tablist = h("div", { class: "nw-tabs", role: "tablist", "aria-label": "Neurons" }, ...tabs);
  const layers = h("select", {
    "aria-label": "Layer",
    onchange: () => on.onView?.({ layer: Number(layers.value) }),
  });
  const sort = h("select", {
    "aria-label": "Order of the neurons",
    onchange: () => on.onView?.({ sort: sort.value as Sort }),
  });
  const colour = h("select", {
    "aria-label": "What the colour shows",
    onchange: () => on.onView?.({ color: colour.value as ExplorerView["color"] }),
  });
  const input = h("input", {
    type: "search",
    class: "nw-search",
    "aria-label": "Find a neuron, a layer or a token",
    onkeydown: (event: KeyboardEvent) => {
      if (event.key === "Enter") go();
      else if (event.key === "Escape" && input.value) {
        input.value = "";
        setText(answer, "");
      } else return;
      event.preventDefault();
      event.stopPropagation();
    },
    oninput: () => setText(answer, promise(found())),
  });
  const answer = h("span", { class: "nw-search-answer nw-small nw-muted", role: "status" });
  const words = h("div", { class: "nw-browser-words nw-small nw-muted" });
  const panels = TABS.map((tab) =>
    h("div", { class: "nw-tabpanel", role: "tabpanel", dataset: { tab }, hidden: true }),
  );
  const foot = h("div", { class: "nw-browser-foot" });
  const box = h(
    "section",
    { class: "nw-browser", "aria-label": "Neurons" },
    h("div", { class: "nw-browser-head" }, tablist, layers, colour, sort),
    h("div", { class: "nw-browser-caption" }, words, answer, input),
    ...panels,
    foot,
  );
  el.append(box);
  const key: Legend = legend(foot, { onRange: (range) => on.onView?.({ range }) });
  const rove = roving(tablist, ".nw-tab", (item) =>
    on.onView?.({ tab: item.dataset.tab as ExplorerView["tab"] }),
  );

  const found = (): Found =>
    props
      ? search(input.value, { ...props.model, pieces: props.tokens?.pieces ?? [] })
      : { kind: "nothing", why: "" };

  function go() {
    const result = found();
    if (result.kind === "neuron") {
      on.onNeuron?.(result.neuron, false);
      if (props?.view.tab === "layer" && props.view.layer !== result.layer)
        on.onView?.({ layer: result.layer });
      reveal(result.neuron);
    } else if (result.kind === "layer") on.onView?.({ tab: "layer", layer: result.layer });
    else if (result.kind === "token") {
      // The same word again goes to the next place where it stands.
      const { matches } = result;
      on.onToken?.(matches[(matches.indexOf(props?.token ?? -1) + 1) % matches.length]);
    }
    setText(answer, result.kind === "nothing" ? result.why : "");
  }

  /** Bring a neuron into view, once the selection has been drawn. */
  function reveal(neuron: string) {
    queueMicrotask(() => {
      const tab = props?.view.tab;
      if (tab === "model") map?.reveal(neuron);
      else if (tab === "layer") layer?.reveal(neuron);
      else list?.reveal(neuron);
    });
  }

  function draw(p: NeuronBrowserProps) {
    const { view, model } = p;
    const shared = {
      model,
      sort: view.sort,
      keys: p.keys,
      selected: p.selected,
      pinned: p.pinned,
      hovered: p.hovered,
      details: p.details,
      theme: p.theme,
      height: p.height,
    };
    const notes: string[] = [];
    if (view.tab === "model") {
      map ??= neuronMap(panels[0], {
        onSelect: (neuron, add) => on.onNeuron?.(neuron, add),
        onHover: (neuron, value) => {
          key.mark(value);
          on.onHover?.(neuron, null);
        },
      });
      const { values, preview, info, scale, shownToken } = p;
      map.update({ ...shared, values, preview, info, scale, token: shownToken });
      if (map.pooled > 1) notes.push(`each cell is the strongest of ${map.pooled} neurons`);
    } else if (view.tab === "layer" && p.values) {
      layer ??= layerHeatmap(panels[1], {
        onSelect: (neuron, token, add) => {
          if (p.values?.shape.length === 3 && !add && neuron !== null && token !== null) on.onToken?.(token);
          on.onNeuron?.(neuron, add);
        },
        onHover: (neuron, token, value) => {
          key.mark(value);
          on.onHover?.(neuron, token);
        },
      });
      layer.update({
        ...shared,
        values: p.values,
        layer: Math.max(0, model.layers.indexOf(view.layer)),
        tokens: p.values.shape.length === 3 ? p.tokens : null,
        info: p.info,
        scale: p.scale,
        token: p.token,
        hoveredToken: p.hoveredToken,
      });
    }
    const ranked = view.tab === "ranked" ? p.ranked() : null;
    if (ranked) {
      list ??= rankedList(panels[2], {
        onSelect: (neuron, add) => on.onNeuron?.(neuron, add),
        onHover: (neuron) => on.onHover?.(neuron, null),
      });
      const { items, info, scale, effect } = ranked;
      list.update({ items, info, scale, effect, selected: p.selected, pinned: p.pinned, hovered: p.hovered });
    }
    setText(words, ranked?.words ?? wordsFor(p));
    key.update({
      scale: ranked?.scale ?? p.scale,
      info: ranked?.info ?? p.info,
      range: view.range,
      ranges: p.ranges ?? ["text", "neuron", "fixed"],
      clipped: ranked ? null : p.clipped,
      hasNaN: p.hasNaN,
      notes,
    });
  }

  return {
    update(next: NeuronBrowserProps) {
      props = next;
      const { view, model } = next;
      const labels = { model: "Whole model", layer: `Layer ${view.layer}`, ranked: "Ranked" };
      for (const tab of tabs) {
        const name = tab.dataset.tab as ExplorerView["tab"];
        setText(tab, labels[name]);
        tab.setAttribute("aria-selected", String(name === view.tab));
        tab.disabled = !next.values && name !== "model";
      }
      for (const panel of panels) {
        panel.hidden = panel.dataset.tab !== view.tab;
        panel.setAttribute("aria-label", labels[view.tab]);
      }
      rove.refresh();
      const numbers = [...model.layers].reverse();
      const names = Object.fromEntries(numbers.map((layer) => [layer, `layer ${layer}`]));
      choices(layers, numbers.map(String), names, String(view.layer), view.tab === "layer");
      choices(sort, next.sorts, SORTS, next.sorts.includes(view.sort) ? view.sort : next.sorts[0]);
      choices(colour, next.colours, COLOURS, view.color);
      input.disabled = !next.values;
      input.placeholder = `L${model.layers.at(-1) ?? 0}.${model.site}[131], L2, a word`;
      draw(next);
    },
    reveal,
    destroy() {
      rove.dispose();
      for (const view of [map, layer, list, key]) view?.destroy();
      box.remove();
    },
  };
}

/** Fill a select when its choices changed; one choice is none. */
function choices<T extends string>(
  select: HTMLSelectElement,
  values: readonly T[],
  names: Record<T, string>,
  now: T,
  shown = true,
) {
  const wanted = values.join();
  if (select.dataset.values !== wanted) {
    select.dataset.values = wanted;
    replace(select, ...values.map((value) => h("option", { value }, names[value])));
  }
  select.value = now;
  select.hidden = values.length < 2 || !shown;
}

/** What Enter would do. */
function promise(found: Found): string {
  if (found.kind === "nothing") return found.why;
  if (found.kind === "neuron") return `Enter: ${found.neuron}`;
  if (found.kind === "layer") return `Enter: layer ${found.layer}`;
  const { matches } = found;
  return matches.length > 1
    ? `Enter: ${matches.length} tokens, one after the other`
    : `Enter: token ${found.token}`;
}

/** One line that says what a cell is, now. */
function wordsFor({ view, info, values, shownToken, tokens }: NeuronBrowserProps): string {
  const cell = `${info.name}${info.of ? ` of ${info.of}` : ""}`;
  if (!values) return "a saved picture: run the cell again for the details";
  if (view.tab === "layer") {
    return values.shape.length === 3
      ? `rows are tokens, columns the neurons of layer ${view.layer}`
      : `the neurons of layer ${view.layer}: ${cell}`;
  }
  if (values.shape.length === 2) return `a cell is a neuron: ${cell}`;
  if (shownToken === null) return `a cell is a neuron: its strongest ${info.name} over the tokens`;
  const piece = tokens?.pieces[shownToken]?.trim() || tokens?.raw[shownToken] || `token ${shownToken}`;
  return `a cell is a neuron: its ${info.name} at “${piece}”`;
}
