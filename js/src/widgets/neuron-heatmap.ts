// A matrix of values per neuron (and token): the whole model, one layer, or ranked.
import { decode, hasData, type NdArray, type WireArray } from "../lib/arrays";
import { h, replace } from "../lib/dom";
import { deviation, field } from "../lib/field";
import { count } from "../lib/format";
import { latest } from "../lib/latest";
import { formatNeuron, parseNeuron } from "../lib/neuron";
import { strongest } from "../lib/order";
import { DEFAULT_VIEW } from "../lib/payload";
import { ColourRange, neuronValues, outside } from "../lib/range";
import {
  given,
  type MatrixInfo,
  type ModelInfo,
  type NeuronHeatmapState,
  type Sort,
  type ViewState,
} from "../lib/snapshot";
import { stateBox } from "../lib/state-box";
import { defineWidget } from "../lib/widget";
import { neuronBrowser, type RankedView } from "../views/neuron-browser";
import { tokenStrip } from "../views/token-strip";

const VIEW: ViewState = { tab: "model", layer: 0, sort: "index", color: "activation", range: "text" };
const INFO: MatrixInfo = { name: "value", of: "", signed: true, unit: "" };
const MOST_RANKED = 100;

export default defineWidget<NeuronHeatmapState>("neuron-heatmap", ({ root, binding, theme, onDispose }) => {
  const strip = h("div", null);
  const holder = h("div", null);
  const notes = h("ul", { class: "nw-notes" });
  root.append(strip, holder, notes);
  const box = stateBox(holder);
  box.body.classList.add("nw-heatmap-body");
  const range = new ColourRange();
  const read = decoded();
  const readPreview = decoded();
  const rank = latest<RankedView["items"]>();
  const beyond = latest<ReturnType<typeof outside>>();
  const spreads = latest<Float32Array[]>();
  let hovered: string | null = null;
  let hoveredToken: number | null = null;

  const setView = (change: Partial<ViewState>) => {
    const { tab, layer, sort, color, range: kind } = { ...VIEW, ...binding.get("view"), ...change };
    binding.set("view", { tab, layer, sort, color, range: kind });
  };
  const hover = (neuron: string | null, token: number | null) => {
    if (neuron === hovered && token === hoveredToken) return;
    hovered = neuron;
    hoveredToken = token;
    draw();
  };
  const tokens = tokenStrip(strip, {
    onSelect: (chosen) => binding.set("selected_token", chosen[0] ?? null),
    onHover: (token) => hover(null, token),
  });
  const browser = neuronBrowser(box.body, {
    onNeuron(neuron) {
      binding.set("selected_neuron", neuron);
      const layer = parseNeuron(neuron)?.layer;
      if (layer !== undefined && layer !== binding.get("view")?.layer) setView({ layer });
    },
    onToken: (token) => binding.set("selected_token", token),
    onHover: hover,
    onView: setView,
  });

  const draw = () => {
    const model = given(binding.get("_model"));
    const text = given(binding.get("_tokens"));
    const matrix = read(given(binding.get("_matrix")));
    const preview = readPreview(given(binding.get("_preview")));
    const info = given(binding.get("_matrix_info")) ?? INFO;
    const selected = binding.get("selected_neuron");
    const perToken = matrix?.shape.length === 3;
    const token = perToken ? binding.get("selected_token") : null;
    const layers = model?.layers ?? [];
    const view = { ...DEFAULT_VIEW, ...binding.get("view") };
    if (!matrix) view.tab = "model";
    const scale = range.scale({
      kind: view.range,
      matrix: matrix ?? preview,
      neuron: neuronValues(matrix, selected, layers),
      signed: info.signed,
      dark: theme.theme.dark,
    });
    const asked = hovered ?? selected;
    const over = perToken ? neuronValues(matrix, asked, layers) : null;
    strip.hidden = !text;
    if (text) {
      tokens.update({
        tokens: text,
        scores: over && { values: over, scale, name: `${info.name} of ${asked}`, unit: info.unit },
        selected: token === null ? [] : [token],
        colourSpecial: true,
      });
    }
    replace(notes, ...(binding.get("_notes") ?? []).map((note) => h("li", null, note)));
    const status = binding.get("_status") ?? { state: "ready" };
    const drawn = matrix ?? preview;
    const ready = model !== null && drawn !== null;
    box.update(!ready && status.state === "ready" ? { state: "empty" } : status, "No values yet.");
    if (!ready) return;

    const shownToken = perToken ? (hoveredToken ?? token) : null;
    const layer = Math.max(0, layers.indexOf(view.layer));
    const canSpread = matrix !== null && perToken && matrix.shape[1] > 1;
    const sorts: Sort[] = matrix
      ? ["index", "activation", ...(canSpread ? (["variance"] as const) : [])]
      : ["index"];
    // Over millions of cells each of these takes a while: only what is seen is computed.
    const onLayer = view.tab === "layer" && matrix !== null;
    const variance =
      canSpread && view.sort === "variance" ? spreads([matrix], () => deviation(matrix)) : undefined;
    const locked = onLayer && view.sort !== "activation" ? [] : field(drawn, token);
    const ranked = (): RankedView => {
      const by = variance ?? locked;
      const items = rank([locked, by, model], () => strongestItems(locked, by, model));
      const total = count(layers.length * model.width, "neuron");
      const how = variance ? ", by their spread over the tokens" : "";
      return { items, info, scale, effect: null, words: `the ${items.length} strongest of ${total}${how}` };
    };
    browser.update({
      view,
      model,
      tokens: text,
      values: matrix,
      preview,
      info,
      scale,
      token,
      shownToken,
      hoveredToken,
      keys: { activation: locked, variance },
      sorts,
      colours: ["activation"],
      ranges: perToken ? ["text", "neuron", "fixed"] : ["text", "fixed"],
      selected,
      pinned: [],
      hovered,
      details: () => [],
      ranked,
      ...beyond([drawn, onLayer, layer, shownToken, scale], () =>
        outside(onLayer ? [drawn.slice(layer)] : field(drawn, shownToken), scale),
      ),
      theme: theme.theme,
      height: 480,
    });
  };
  binding.on(
    [
      "_model",
      "_tokens",
      "_matrix",
      "_preview",
      "_matrix_info",
      "_status",
      "_notes",
      "view",
      "selected_neuron",
      "selected_token",
    ],
    draw,
  );
  onDispose(theme.onChange(draw));
  onDispose(() => {
    tokens.destroy();
    browser.destroy();
    box.destroy();
  });
  draw();
});

function strongestItems(
  rows: readonly Float32Array[],
  by: readonly Float32Array[],
  { layers, site, stack }: ModelInfo,
): RankedView["items"] {
  return strongest(by, MOST_RANKED).map(({ layer, index }) => ({
    neuron: formatNeuron({ layer: layers[layer], index, site, stack }),
    value: rows[layer][index],
  }));
}

/** Decode a trait once: the same value gives the same array, so that views see that nothing changed. */
function decoded(): (spec: WireArray | null) => NdArray | null {
  let last: unknown = null;
  let array: NdArray | null = null;
  return (spec) => {
    if (spec?.data !== last) {
      last = spec?.data;
      array = hasData(spec) ? decode(spec) : null;
    }
    return array;
  };
}
