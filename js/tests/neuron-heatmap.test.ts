import { afterEach, beforeEach, describe, expect, it } from "vitest";
import fixture from "../fixtures/neuron-heatmap.json";
import effects from "../fixtures/neuron-heatmap-effects.json";
import { StaticModel } from "../src/hosts/static-host";
import widget from "../src/widgets/neuron-heatmap";
import { countListeners, observed } from "./stubs";
import { heatmapState, SHORT, sentence, VIEW } from "./synthetic";

let el: HTMLElement;
beforeEach(() => {
  el = document.createElement("div");
  document.body.append(el);
  observed.clear();
});
afterEach(() => el.remove());

const mount = (state: object) => {
  const model = new StaticModel(structuredClone(state) as Record<string, unknown>);
  return { model, dispose: widget.render({ model: model as never, el }) };
};
const tick = () => Promise.resolve();
const key = (target: Element, name: string) =>
  target.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
const options = () => [...el.querySelectorAll<HTMLElement>("[role=option].nw-ranked-row")];

it.each([
  ["neuron-heatmap", fixture],
  ["neuron-heatmap-effects", effects],
])("draws the committed fixture %s", (_, { state }) => {
  mount(state);
  expect(el.querySelector(".nw-fatal")).toBeNull();
  expect(el.querySelector("canvas")).not.toBeNull();
  expect(el.querySelector(".nw-legend")?.textContent).toMatch(/colour: .*−\d/);
});

it("lists the strongest neurons first, and a click is the selection", async () => {
  const { model } = mount(heatmapState(2, SHORT, 40, { view: { ...VIEW, tab: "ranked" } }));
  const values = options().map((row) =>
    Math.abs(Number(row.querySelector(".nw-ranked-value")?.textContent?.replace("−", "-"))),
  );
  expect(values.length).toBe(80);
  expect(values).toEqual([...values].sort((a, b) => b - a));
  options()[3].click();
  const chosen = model.get("selected_neuron");
  expect(chosen).toMatch(/^L[01]\.mlp\[\d+\]$/);
  expect(model.get("view")).toMatchObject({ layer: Number(String(chosen)[1]) });
  await tick();
  expect(options()[3].getAttribute("aria-selected")).toBe("true");
});

it("goes where the search says", async () => {
  const { model } = mount(heatmapState(3, SHORT, 40));
  const box = el.querySelector<HTMLInputElement>("input[type=search]") as HTMLInputElement;
  const find = async (text: string) => {
    box.value = text;
    box.dispatchEvent(new Event("input"));
    key(box, "Enter");
    await tick();
  };
  await find("2 13");
  expect(model.get("selected_neuron")).toBe("L2.mlp[13]");
  await find("L1");
  expect(model.get("view")).toMatchObject({ tab: "layer", layer: 1 });
  await find("bad");
  expect(model.get("selected_token")).toBe(5);
  await find("L9");
  expect(el.querySelector(".nw-search-answer")?.textContent).toMatch(/layers are L0 to L2/);
});

it("moves the cursor of the map by key and says where it is", async () => {
  const { model } = mount(heatmapState(2, SHORT, 40));
  const canvas = el.querySelector("canvas") as HTMLCanvasElement;
  const said = () => el.querySelector(".nw-surface-box [aria-live]")?.textContent;
  key(canvas, "ArrowRight");
  expect(said()).toMatch(/^L1\.mlp\[0\], activation/);
  key(canvas, "ArrowRight");
  expect(said()).toMatch(/^L1\.mlp\[1\]/);
  key(canvas, "PageDown");
  expect(said()).toMatch(/^L0\.mlp\[1\]/);
  key(canvas, "End");
  key(canvas, "Enter");
  expect(model.get("selected_neuron")).toBe("L0.mlp[39]");
  await tick();
  key(canvas, "Escape");
  expect(model.get("selected_neuron")).toBeNull();
});

it("keeps the picture when the details were not saved, and says so", () => {
  const state = heatmapState(2, null, 4, {
    _matrix: { data: new DataView(new ArrayBuffer(0)), dtype: "float32", shape: [2, 4] },
    _preview: {
      data: btoa("\u0001\u0080\u00ff\u0080\u0001\u0080\u00ff\u0080"),
      dtype: "uint8",
      shape: [2, 4],
      scale: [2, 2],
    },
    view: { ...VIEW, tab: "ranked" },
  });
  mount(state);
  expect(el.querySelector("canvas")).not.toBeNull();
  expect(el.textContent).toMatch(/run the cell again/);
  expect(el.querySelector<HTMLButtonElement>("[data-tab=ranked]")?.disabled).toBe(true);
});

it("says that there is nothing yet, and what is wrong with what came", async () => {
  const { model } = mount(heatmapState(2, null, 4, { _matrix: {} as never }));
  expect(el.textContent).toMatch(/No values yet/);
  model.set("_matrix", { data: new DataView(new ArrayBuffer(12)), dtype: "float32", shape: [2, 4] });
  await tick();
  expect(el.querySelector("[role=alert]")?.textContent).toMatch(/needs 32 bytes, got 12/);
  model.set("_matrix", { data: new DataView(new ArrayBuffer(32)), dtype: "float32", shape: [2, 4] });
  await tick();
  expect(el.querySelector("[role=alert]")).toBeNull();
});

describe("the end of a view", () => {
  it.each(["model", "layer", "ranked"] as const)("leaves nothing behind (%s)", async (tab) => {
    const counted = countListeners(document, document.body, window);
    const { model, dispose } = mount(heatmapState(2, sentence(10), 40, { view: { ...VIEW, tab } }));
    model.set("selected_token", 2);
    await tick();
    dispose();
    expect(model.listening).toBe(0);
    expect(counted.open()).toBe(0);
    expect(observed.size).toBe(0);
    expect(el.childElementCount).toBe(0);
    counted.restore();
  });
});
