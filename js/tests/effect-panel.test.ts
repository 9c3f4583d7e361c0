import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { explorerCases } from "../gallery/explorer-cases";
import type { Prediction } from "../src/lib/payload";
import { predictionInWords, predictionRows, probability } from "../src/views/prediction-bars";
import widget from "../src/widgets/effect-panel";
import { FakeKernel } from "./fake-kernel";
import "./stubs";

const tokens = (labels: string[], probabilities: number[], value = 0): Prediction => ({
  kind: "next_token",
  labels,
  ids: labels.map((label) => label.charCodeAt(1)),
  probabilities,
  target: { name: "log-probability of “ Paris”", value },
  interventions: [],
});
const BEFORE = tokens([" Paris", " the", " Lyon", " a"], [0.6, 0.2, 0.1, 0.05], -0.5);
const AFTER = tokens([" the", " Rome", " Paris", " Lyon"], [0.5, 0.2, 0.1, 0.02], -2.3);

describe("predictionRows", () => {
  it("keeps the order of before, marks what entered and left, and finds both probabilities past the shown ones", () => {
    const rows = predictionRows(BEFORE, AFTER, 3);
    expect(rows).toEqual([
      { label: " Paris", before: 0.6, after: 0.1, moved: null },
      { label: " the", before: 0.2, after: 0.5, moved: null },
      { label: " Lyon", before: 0.1, after: 0.02, moved: "left" },
      { label: " Rome", before: null, after: 0.2, moved: "entered" },
    ]);
  });

  it("matches tokens by id, not by how they are written", () => {
    const before = { ...tokens(["x", "x"], [0.6, 0.3]), ids: [1, 2] };
    const after = { ...tokens(["x", "x"], [0.5, 0.4]), ids: [2, 1] };
    expect(predictionRows(before, after).map((row) => [row.before, row.after])).toEqual([
      [0.6, 0.4],
      [0.3, 0.5],
    ]);
  });

  it("never says that a class entered or left", () => {
    const classes = { ...BEFORE, kind: "classes" };
    expect(predictionRows(classes, { ...AFTER, kind: "classes" }, 2).every((row) => row.moved === null)).toBe(
      true,
    );
  });
});

it("writes probabilities that are not 0 or 1 as such", () => {
  expect([0, 0.0001, 0.5, 0.99999, 1].map((p) => probability(p, 0.01))).toEqual([
    "0.000",
    "<0.001",
    "0.500",
    ">0.999",
    "1.000",
  ]);
  expect(probability(null, 0.013)).toBe("<0.01");
});

it("says in words what changed", () => {
  expect(predictionInWords(BEFORE, AFTER)).toBe(
    'From " Paris" 0.600 to " the" 0.500. log-probability of “ Paris” changes by −1.8.',
  );
});

describe("effect-panel", () => {
  let el: HTMLElement;
  beforeEach(() => {
    el = document.createElement("div");
    document.body.append(el);
  });
  afterEach(() => el.remove());
  const state = (more: object) => ({
    _kind: "effect-panel",
    _live: true,
    _notes: ["one note"],
    _status: { state: "ready" },
    last_error: null,
    _before: BEFORE,
    _after: { ...AFTER, interventions: ["L5.mlp[131] off (mean)"] },
    ...more,
  });
  const mount = (more: object = {}) => {
    const kernel = new FakeKernel(state(more));
    return { kernel, dispose: widget.render({ model: kernel as never, el }) as () => void };
  };

  it("shows both predictions, what was done, and the change by name", () => {
    mount();
    expect(el.textContent).toContain("After L5.mlp[131] off (mean)");
    expect(el.textContent).toContain("change = F(after) − F(before)");
    expect(el.querySelector("tfoot")?.textContent).toContain("−1.8");
    expect(el.textContent).toContain("▲ entered");
    expect(el.textContent).toContain("one note");
  });

  it("shows one prediction without a word of change", () => {
    mount({ _after: null });
    expect(el.textContent).toContain("The model as it is");
    expect(el.textContent).not.toContain("change");
    expect(el.querySelectorAll("tbody tr")).toHaveLength(4);
  });

  it("follows Python, shows an error, and leaves nothing behind", async () => {
    const { kernel, dispose } = mount({ _after: null });
    await kernel.python({ _after: AFTER });
    await Promise.resolve();
    expect(el.textContent).toContain("After, with no intervention");
    await kernel.python({ last_error: "ValueError: no such layer" });
    await Promise.resolve();
    expect(el.textContent).toContain("no such layer");
    dispose();
    expect(kernel.listening).toBe(0);
    expect(el.childElementCount).toBe(0);
  });

  it.each(explorerCases().filter(({ kind }) => kind === "effect-panel"))("draws $name", ({ state: made }) => {
    widget.render({ model: new FakeKernel(made as Record<string, unknown>) as never, el });
    expect(el.querySelector(".nw-fatal")).toBeNull();
    expect(el.querySelectorAll("tbody tr").length).toBeGreaterThan(1);
  });
});
