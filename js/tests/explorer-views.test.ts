import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { card } from "../gallery/explorer-state";
import { Scale } from "../src/lib/colour";
import { keepKeys } from "../src/lib/shortcuts";
import { barHeights, density } from "../src/views/density";
import { doseResponse } from "../src/views/dose-response";
import { effectRows } from "../src/views/effect-rows";
import { exampleList, excerpt, quantileName } from "../src/views/example-list";
import { roundTo, startValue } from "../src/views/intervention-bar";
import { shortAblation } from "../src/views/neuron-card";
import { percentileName } from "../src/views/percentile";
import { statusLine } from "../src/views/status-bar";
import { argmax, tokenProfile } from "../src/views/token-profile";
import "./stubs";

let el: HTMLElement;
beforeEach(() => {
  el = document.createElement("div");
  document.body.append(el);
});
afterEach(() => el.remove());

const made = card("L3.mlp[204]", [-0.1, 0.2, 3.4, Number.NaN, -0.1]);
const pointer = (target: Element, name: string, clientX: number) => {
  target.getBoundingClientRect = () => ({ left: 0, width: 100, top: 0, height: 10 }) as DOMRect;
  target.dispatchEvent(new MouseEvent(name, { bubbles: true, clientX }));
};

describe("token profile", () => {
  it("draws a bar a token, none for NaN, and says the strongest", () => {
    const view = tokenProfile(el);
    view.update({ pieces: ["a", "b", "c", "d", "e"], values: made.activation, other: null, token: 1 });
    expect(el.querySelector(".nw-bar-up")?.getAttribute("d")?.match(/M/g)).toHaveLength(2);
    expect(el.querySelector(".nw-bar-down")?.getAttribute("d")?.match(/M/g)).toHaveLength(2);
    expect(el.textContent).toContain("strongest “c” 3.4");
    expect(el.querySelector(".nw-here-text")?.textContent).toContain("0.2");
    expect(argmax([Number.NaN, -3, 2])).toBe(1);
  });

  it("turns the pointer into a token", () => {
    const onHover = vi.fn();
    const onSelect = vi.fn();
    const view = tokenProfile(el, { onHover, onSelect });
    view.update({ pieces: ["a", "b", "c", "d"], values: [0, 1, 2, 3], other: null, token: null });
    const plot = el.querySelector("svg") as Element;
    pointer(plot, "pointermove", 60);
    pointer(plot, "click", 99);
    expect(onHover).toHaveBeenCalledWith(2);
    expect(onSelect).toHaveBeenCalledWith(3);
    view.update({ pieces: ["א", "ב", "ג", "ד"], values: [0, 1, 2, 3], other: null, token: null, rtl: true });
    pointer(plot, "click", 99);
    expect(onSelect).toHaveBeenLastCalledWith(0);
  });
});

describe("density", () => {
  it("has logarithmic heights, so that the rare values can be seen", () => {
    const [rare, common] = barHeights([9, 9999]);
    expect(common).toBe(1);
    expect(rare).toBeCloseTo(0.25, 2);
    expect(barHeights([0, 0])).toEqual([0, 0]);
  });

  it("puts the line where the value is, and keeps it inside", () => {
    const view = density(el);
    const corpus = { ...made.corpus!, edges: [0, 1, 2], counts: [3, 1], min: 0, max: 2 };
    const x = () => el.querySelector(".nw-here-line")?.getAttribute("d");
    view.update({ corpus, value: 1.5 });
    expect(x()).toMatch(/^M75,/);
    view.update({ corpus, value: 9 });
    expect(x()).toMatch(/^M100,/);
    view.update({ corpus, value: null });
    expect(x()).toBeUndefined();
  });
});

describe("dose response", () => {
  it("reads the nearest point under the pointer and gives its value to a click", () => {
    const onValue = vi.fn();
    const view = doseResponse(el, { onValue });
    const dose = { ...made.dose!, x: [0, 1, 2], target: [5, 7, 6], natural: 0.5 };
    view.update({ dose, target: "log-odds of POS", value: null });
    const plot = el.querySelector("svg") as Element;
    pointer(plot, "pointermove", 55);
    expect(el.textContent).toContain("set to 1: 7");
    pointer(plot, "click", 98);
    expect(onValue).toHaveBeenCalledWith(2);
    view.update({ dose: null, target: "", value: null });
    expect(el.querySelector("path")).toBeNull();
  });
});

it("draws the effect here and on other texts on one axis, with words where there is none", () => {
  const view = effectRows(el);
  const words = { noEffect: "no head", noHeldOut: "give more texts" };
  view.update({
    effect: made.effect,
    heldOut: { ...made.held_out!, mean: -0.1, low: -0.2, high: 0 },
    ...words,
  });
  expect(el.textContent).toContain("+0.31");
  expect(el.textContent).toContain("[−0.2, 0]");
  const zero = [...el.querySelectorAll(".nw-zero")].map((line) => line.getAttribute("d"));
  expect(new Set(zero).size).toBe(1);
  view.update({ effect: null, heldOut: { ...made.held_out!, low: null, high: null }, ...words });
  expect(el.textContent).toContain("no head");
  expect(el.textContent).toContain("under 6 texts: no interval");
});

describe("examples", () => {
  const example = {
    quantile: "top",
    pieces: ["[CLS]", "one", " two", " three", " four", " five", "[SEP]"],
    special: [true, false, false, false, false, false, true],
    values: [0, 0, 0, 3, 0, 0, 0],
    focus: 3,
  };

  it("cuts the text on both sides of the token, and leaves special tokens out", () => {
    expect(excerpt(example, 1)).toEqual({ from: 2, to: 5, cut: [true, true] });
    expect(excerpt(example, 0)).toEqual({ from: 1, to: 6, cut: [false, false] });
    expect(excerpt({ ...example, focus: 0 }, 1)).toEqual({ from: 0, to: 2, cut: [false, true] });
  });

  it("shows the chosen quantile, marks the token, and offers the others", () => {
    const onQuantile = vi.fn();
    const view = exampleList(el, { onQuantile });
    const scale = new Scale({ signed: true, max: 3 });
    const examples = [example, { ...example, quantile: "q90" }, { ...example, quantile: "bottom" }];
    view.update({ examples, scale, quantile: "top", context: 5 });
    expect(el.querySelector("li .nw-example-text")?.textContent).toBe("one two three four five");
    expect(el.querySelector("mark")?.textContent).toBe("three");
    expect([...el.querySelectorAll("[aria-label^=Quantile] button")].map((b) => b.textContent)).toEqual([
      "top",
      "90 %",
      "bottom",
      "all groups",
    ]);
    el.querySelectorAll<HTMLElement>("[aria-label^=Quantile] button")[1].click();
    expect(onQuantile).toHaveBeenCalledWith("q90");
    expect(quantileName("q50")).toBe("50 %");
  });
});

it("names percentiles so that the ends are never reached by rounding", () => {
  expect([98.66, 99.97, 100, 0.02, 1, 2, 3, 11, 50].map(percentileName)).toEqual([
    "98.7th percentile",
    ">99.9th percentile",
    "100th percentile",
    "<0.1th percentile",
    "1st percentile",
    "2nd percentile",
    "3rd percentile",
    "11th percentile",
    "50th percentile",
  ]);
  expect(shortAblation("mean over the bundled sample (4,650 tokens)")).toBe("mean ablation");
});

it("starts an edit where it changes nothing, rounded to what the slider can show", () => {
  expect(startValue("set", { low: -1, high: 4, natural: 3.4159, at: "not" })).toBe(3.42);
  expect(startValue("set", null)).toBe(1);
  expect(startValue("scale", null)).toBe(2);
  expect(roundTo(0.000123456, 0.001)).toBe(0.000123);
});

describe("the status line", () => {
  const base = {
    status: { state: "ready" as const },
    live: true,
    busy: false,
    stale: "",
    done: "1.2 s",
    lastError: null,
  };

  it("tells trouble before work, work before doubt, doubt before rest", () => {
    const running = { state: "running" as const, what: "attributing", done: 5, total: 20 };
    expect(statusLine(base)).toMatchObject({ tone: "quiet", text: "1.2 s", action: null });
    expect(statusLine({ ...base, stale: "old" })).toMatchObject({ tone: "warning", action: "rerun" });
    expect(statusLine({ ...base, stale: "old", status: running })).toMatchObject({
      text: "attributing: 5 of 20",
      action: "cancel",
      share: 0.25,
    });
    expect(statusLine({ ...base, status: running, busy: true }).text).toContain("busy with a cell");
    const error = { state: "error" as const, error: "ValueError: no", what: "Give a text." };
    expect(statusLine({ ...base, status: error, busy: true })).toMatchObject({
      tone: "error",
      text: "ValueError: no. Give a text.",
      action: "dismiss",
    });
    expect(statusLine({ ...base, live: false, busy: true }).text).toContain("no kernel");
  });
});

it("keeps the notebook's plain keys out of a focused view, and lets Ctrl through", () => {
  const inside = document.createElement("button");
  el.append(inside);
  const free = keepKeys(el);
  const press = (target: Element, more: object = {}) =>
    target.dispatchEvent(new KeyboardEvent("keydown", { key: "x", bubbles: true, composed: true, ...more }));
  press(inside);
  expect(inside.hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
  press(inside, { ctrlKey: true });
  expect(inside.hasAttribute("data-lm-suppress-shortcuts")).toBe(false);
  press(document.body);
  expect(document.body.hasAttribute("data-lm-suppress-shortcuts")).toBe(false);
  free();
  press(inside);
  expect(inside.hasAttribute("data-lm-suppress-shortcuts")).toBe(false);
});
