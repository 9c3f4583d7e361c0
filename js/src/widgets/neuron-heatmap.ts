// A matrix of values per neuron (and token): the whole model, one layer, or ranked.
import { decode, hasData, type NdArray, type WireArray } from "../lib/arrays";
import { h, replace } from "../lib/dom";
import { deviation } from "../lib/field";
import { parseNeuron } from "../lib/neuron";
import { ColourRange, neuronValues } from "../lib/range";
import { given, type NeuronHeatmapState, type ViewState } from "../lib/snapshot";
import { defineWidget } from "../lib/widget";
import { matrixPanel } from "../views/matrix-panel";
import { tokenStrip } from "../views/token-strip";

const VIEW: ViewState = { tab: "model", layer: 0, sort: "index", color: "activation", range: "text" };

export default defineWidget<NeuronHeatmapState>("neuron-heatmap", ({ root, binding, theme, onDispose }) => {
  const strip = h("div", null);
  const body = h("div", null);
  const notes = h("ul", { class: "nw-notes" });
  root.append(strip, body, notes);
  const range = new ColourRange();
  const read = decoded();
  const readPreview = decoded();
  let hovered: string | null = null;
  let hoveredToken: number | null = null;

  const setView = (change: Partial<ViewState>) =>
    binding.set("view", { ...VIEW, ...binding.get("view"), ...change });
  const tokens = tokenStrip(strip, {
    onSelect: (chosen) => binding.set("selected_token", chosen[0] ?? null),
    onHover(token) {
      hoveredToken = token;
      draw();
    },
  });
  const panel = matrixPanel(body, {
    onSelect(neuron) {
      binding.set("selected_neuron", neuron);
      const layer = parseNeuron(neuron)?.layer;
      if (layer !== undefined && layer !== binding.get("view")?.layer) setView({ layer });
    },
    onToken: (token) => binding.set("selected_token", token),
    onHover(neuron, token) {
      hovered = neuron;
      hoveredToken = token;
      draw();
    },
    onView: setView,
  });

  const draw = () => {
    const model = given(binding.get("_model"));
    const text = given(binding.get("_tokens"));
    const matrix = read(given(binding.get("_matrix")));
    const preview = readPreview(given(binding.get("_preview")));
    const info = given(binding.get("_matrix_info")) ?? { name: "value", of: "", signed: true, unit: "" };
    const view = { ...VIEW, ...binding.get("view") };
    const selected = binding.get("selected_neuron");
    const layers = model?.layers ?? [];
    const perToken = matrix?.shape.length === 3;
    const token = perToken ? binding.get("selected_token") : null;
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
    panel.update({
      status: binding.get("_status"),
      empty: "No values yet.",
      model,
      tokens: text,
      values: matrix,
      preview,
      info,
      scale,
      view,
      ranges: perToken ? ["text", "neuron", "fixed"] : ["text", "fixed"],
      keys: perToken && matrix && matrix.shape[1] > 1 ? { variance: deviations(matrix) } : {},
      token: perToken && view.tab !== "layer" ? (hoveredToken ?? token) : token,
      selected,
      hovered,
      hoveredToken,
      theme: theme.theme,
    });
    replace(notes, ...(binding.get("_notes") ?? []).map((note) => h("li", null, note)));
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
    panel.destroy();
  });
  draw();
});

const spreads = new WeakMap<NdArray, Float32Array[]>();

function deviations(matrix: NdArray): Float32Array[] {
  let rows = spreads.get(matrix);
  if (!rows) {
    rows = deviation(matrix);
    spreads.set(matrix, rows);
  }
  return rows;
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
