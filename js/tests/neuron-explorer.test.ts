import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { explorerCases } from "../gallery/explorer-cases";
import { answered, card, explorerState, wire } from "../gallery/explorer-state";
import { decode, type WireArray } from "../src/lib/arrays";
import { strongest } from "../src/lib/order";
import type { Card, Prediction } from "../src/lib/payload";
import widget from "../src/widgets/neuron-explorer";
import { FakeKernel } from "./fake-kernel";
import { countListeners, observed } from "./stubs";

const NOT = "L3.mlp[204]";
const OTHER = "L1.mlp[7]";
const SMALL = { width: 256 };

let el: HTMLElement;
let dispose: (() => void) | null = null;
beforeEach(() => {
  el = document.createElement("div");
  document.body.append(el);
});
afterEach(() => {
  dispose?.();
  dispose = null;
  el.remove();
  vi.useRealTimers();
});

function mount(more: object = {}, state = explorerState(SMALL)) {
  const kernel = new FakeKernel({ ...state, ...more });
  dispose = widget.render({ model: kernel as never, el }) as () => void;
  return kernel;
}
const tick = () => Promise.resolve().then(() => Promise.resolve());
const find = <E extends HTMLElement>(selector: string) => {
  const found = el.querySelector<E>(selector);
  if (!found) throw new Error(`no ${selector}`);
  return found;
};
const shown = (selector: string) => {
  const found = el.querySelector<HTMLElement>(selector);
  return Boolean(found && !found.closest("[hidden]"));
};
const token = (i: number) => el.querySelectorAll<HTMLElement>(".nw-token")[i];
const button = (words: string | RegExp, within: ParentNode = el) => {
  const all = [...within.querySelectorAll<HTMLButtonElement>("button")];
  const match = all.find(
    (one) =>
      !one.closest("[hidden]") &&
      (typeof words === "string"
        ? one.textContent === words
        : words.test(one.getAttribute("aria-label") ?? one.textContent ?? "")),
  );
  if (!match) throw new Error(`no button ${words} among ${all.map((one) => one.textContent)}`);
  return match;
};
const press = (target: Element, key: string, more: object = {}) =>
  target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
const type = (box: HTMLInputElement | HTMLTextAreaElement, value: string) => {
  box.value = value;
  box.dispatchEvent(new Event("input", { bubbles: true }));
};
const chips = () => [...el.querySelectorAll(".nw-chip .nw-chip-label")].map((chip) => chip.textContent);
const status = () => find(".nw-status").textContent ?? "";
const search = async (text: string) => {
  const box = find<HTMLInputElement>("input[type=search]");
  type(box, text);
  press(box, "Enter");
  await tick();
};

describe("one selection", () => {
  it("locks a token by a click, and lets go by a second one", async () => {
    const kernel = mount();
    token(4).click();
    await tick();
    expect(kernel.get("selected_token")).toBe(4);
    expect(kernel.saved.at(-1)).toEqual({ selected_token: 4 });
    expect(find(".nw-browser-words").textContent).toContain("“not”");
    expect(chips()).toEqual(["token “not”"]);
    token(4).click();
    await tick();
    expect(kernel.get("selected_token")).toBeNull();
    expect(chips()).toEqual([]);
  });

  it("ranks the neurons at the locked token, and a hovered token reorders nothing", async () => {
    const view = { tab: "ranked", layer: 0, sort: "index", color: "activation", range: "text" };
    const kernel = mount({ view });
    token(4).click();
    await tick();
    const names = () => [...el.querySelectorAll(".nw-browser .nw-ranked-name")].map((one) => one.textContent);
    expect(find(".nw-browser-words").textContent).toContain("strongest at “not”");
    const before = names();
    expect(before).toHaveLength(100);
    const cells = decode(kernel.get("_activations") as WireArray);
    const rows = Array.from({ length: 6 }, (_, layer) => cells.row(layer, 4));
    const [top] = strongest(rows, 1);
    expect(before[0]).toBe(`L${top.layer}.mlp[${top.index}]`);
    token(7).dispatchEvent(new Event("pointerover", { bubbles: true }));
    await tick();
    expect(names()).toEqual(before);
  });

  it("locks a neuron from the list to start from, colours the tokens by it and opens its card", async () => {
    const kernel = mount();
    expect(find(".nw-start-list h3").textContent).toBe("Start here: the largest effects on log-odds of POS");
    find(".nw-start-list [role=option]").click();
    await tick();
    const neuron = kernel.get("selected_neuron");
    expect(neuron).toMatch(/^L\d\.mlp\[\d+\]$/);
    expect(find(".nw-card-name").textContent).toBe(neuron);
    expect(shown(".nw-start-list")).toBe(false);
    expect(find(".nw-token-foot select").textContent).toContain(`activation of ${neuron}`);
    expect(kernel.get("view")).toMatchObject({ layer: Number(String(neuron)[1]) });
  });

  it("orders the first list by how unusual the token is for a neuron, where a corpus is known", async () => {
    const kernel = mount({ selected_token: 4 });
    const order = () => find<HTMLSelectElement>(".nw-start-list select");
    expect(order().hidden).toBe(true);
    const spread = kernel.get("_spread") as { values: WireArray };
    const deviation = decode(spread.values);
    const [layers, width] = deviation.shape;
    const mean = new Float32Array(layers * width);
    kernel.python({ _spread: { ...spread, mean: wire(mean, [layers, width]) } });
    await tick();
    expect([...order().options].map((option) => option.value)).toEqual(["activation", "unusual"]);
    order().value = "unusual";
    order().dispatchEvent(new Event("change"));
    await tick();
    expect(kernel.get("view")).toMatchObject({ first: "unusual" });
    const cells = decode(kernel.get("_activations") as WireArray);
    const rows = Array.from({ length: layers }, (_, layer) =>
      cells.row(layer, 4).map((v, i) => Math.max(0, v / deviation.row(layer)[i])),
    );
    const [top] = strongest(rows, 1);
    expect(find(".nw-start-list h3").textContent).toBe("Most unusual at “not”");
    expect(find(".nw-start-list .nw-ranked-name").textContent).toBe(`L${top.layer}.mlp[${top.index}]`);
  });

  it("shows what a neuron may stand for, and sends a note about it", async () => {
    const state = explorerState();
    const made = (state._cards as Record<string, object>)[NOT];
    const explanation = {
      method: "top words",
      statements: [{ text: "not", score: 8, sign: 1, count: 9 }],
      more: 0,
      statement_score: "mean",
      score: 0.6,
      score_name: "held-out correlation",
      range: [-1, 1],
      chance: 0,
      controls: [0.1, 0.2],
      control_mean: 0.15,
      control_95: 0.2,
      warnings: [],
    };
    const kernel = mount({
      selected_neuron: NOT,
      _cards: { [NOT]: { ...made, explanations: [explanation] } },
      notes: { [NOT]: { text: "mine", tags: ["a", "b"] } },
    });
    expect(find(".nw-explanations").textContent).toContain("better than 95 % of random neurons");
    const text = find<HTMLTextAreaElement>(".nw-note textarea");
    expect([text.value, find<HTMLInputElement>(".nw-note-tags").value]).toEqual(["mine", "a, b"]);
    text.value = "ours";
    text.dispatchEvent(new Event("input", { bubbles: true }));
    find(".nw-note button").click();
    expect(kernel.of("note")[0]).toMatchObject({ neuron: NOT, text: "ours", tags: ["a", "b"] });
  });

  it("draws a neuron that Python selected, exactly once for all traits of a message", async () => {
    const kernel = mount();
    kernel.python({ selected_neuron: NOT, selected_token: 5 });
    await tick();
    expect(find(".nw-card-name").textContent).toBe(NOT);
    expect(chips()).toEqual(["token “bad”", NOT]);
    expect(kernel.saved).toEqual([]);
  });

  it("finds neurons, layers and words by the search", async () => {
    const kernel = mount();
    await search("5 131");
    expect(kernel.get("selected_neuron")).toBe("L5.mlp[131]");
    await search("L2");
    expect(kernel.get("view")).toMatchObject({ tab: "layer", layer: 2 });
    await search("film");
    expect(kernel.get("selected_token")).toBe(2);
    await search("L99");
    expect(find(".nw-search-answer").textContent).toContain("L0 to L5");
  });

  it("lets go by Escape, the last lock first", async () => {
    const kernel = mount();
    token(4).click();
    await tick();
    find(".nw-start-list [role=option]").click();
    await tick();
    const card = find(".nw-card button");
    press(card, "Escape");
    await tick();
    expect(kernel.get("selected_neuron")).toBeNull();
    expect(kernel.get("selected_token")).toBe(4);
    press(find(".nw-tab"), "Escape");
    await tick();
    expect(kernel.get("selected_token")).toBeNull();
  });

  it("leaves Escape alone while somebody types", async () => {
    const kernel = mount({ selected_neuron: NOT });
    press(find("textarea.nw-ask-text"), "Escape");
    await tick();
    expect(kernel.get("selected_neuron")).toBe(NOT);
  });

  it("pins by shift-click and by the button, and unpins by the chip", async () => {
    const kernel = mount();
    const rows = el.querySelectorAll(".nw-start-list [role=option]");
    const name = rows[1].querySelector(".nw-ranked-name")?.textContent;
    rows[1].dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: true }));
    await tick();
    expect(kernel.get("pinned_neurons")).toEqual([name]);
    expect(kernel.get("selected_neuron")).toBeNull();
    button(/^Unpin/).click();
    await tick();
    expect(kernel.get("pinned_neurons")).toEqual([]);
    await kernel.python({ selected_neuron: NOT });
    await tick();
    button("Pin").click();
    await tick();
    expect(kernel.get("pinned_neurons")).toEqual([NOT]);
  });

  it("keeps the tab, the order and other people's keys of view when it changes one of them", async () => {
    const kernel = mount({ view: { tab: "ranked", sort: "variance", mine: 1 } });
    button("Whole model").click();
    await tick();
    expect(kernel.get("view")).toMatchObject({ tab: "model", sort: "variance", mine: 1 });
  });

  it("previews a hovered neuron in the tokens and the card without locking it", async () => {
    const kernel = mount({ selected_neuron: NOT });
    const colour = token(4).style.backgroundColor;
    button("Ranked").click();
    await tick();
    const row = el.querySelectorAll(".nw-browser [role=option]")[3];
    row.dispatchEvent(new Event("pointerover", { bubbles: true }));
    await tick();
    expect(find(".nw-card-name").textContent).toBe(NOT);
    expect(el.querySelector(".nw-card .nw-other")).not.toBeNull();
    expect(token(4).style.backgroundColor).not.toBe(colour);
    find(".nw-browser .nw-ranked-list").dispatchEvent(new Event("pointerleave"));
    await tick();
    expect(token(4).style.backgroundColor).toBe(colour);
    expect(kernel.get("selected_neuron")).toBe(NOT);
  });
});

describe("the card", () => {
  it("says what each missing part needs", async () => {
    const made = card(
      NOT,
      Array.from({ length: 12 }, () => 0.1),
    );
    const bare: Card = {
      ...made,
      corpus: null,
      examples: [],
      effect: null,
      missing: { examples: "give corpus= to see examples", effect: "this model has no head" },
    };
    mount({ selected_neuron: NOT, _cards: { [NOT]: bare } });
    expect(find(".nw-card").textContent).toContain("give corpus= to see examples");
    expect(find(".nw-card").textContent).toContain("this model has no head");
    expect(shown(".nw-density-plot")).toBe(false);
  });

  it("shows the activations at once and says that the rest is computed", async () => {
    mount({ selected_neuron: OTHER });
    expect(shown(".nw-profile-plot")).toBe(true);
    expect(find(".nw-profile-plot").getAttribute("aria-label")).toContain("activation over 12 tokens");
    expect(find(".nw-card").textContent).toContain("Computing…");
  });

  it("names the effect, its ablation and the interval on other texts", async () => {
    mount({ selected_neuron: NOT });
    const words = find(".nw-card").textContent ?? "";
    expect(words).toContain("F(clean) − F(ablated)");
    expect(words).toContain("on log-odds of POS, mean ablation");
    expect(words).toContain("50 held-out texts");
    expect(words).toContain("[0.05, 0.19]");
    expect(words).toMatch(/99\.\dth percentile/);
  });

  it("compares with a second neuron, whose card it asks for once", async () => {
    const kernel = mount({ selected_neuron: NOT });
    button("Compare").click();
    await tick();
    expect(kernel.get("view")).toMatchObject({ compare: NOT });
    await search(OTHER);
    expect([...el.querySelectorAll(".nw-card-name")].map((name) => name.textContent)).toEqual([OTHER, NOT]);
    await search("L2.mlp[5]");
    button("Comparing").click();
    await tick();
    button("Compare").click();
    await tick();
    await search(OTHER);
    for (const i of [1, 2, 3]) token(i).dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(kernel.of("card").map((message) => message.neuron)).toEqual(["L2.mlp[5]"]);
    kernel.answer("card", {
      ok: true,
      result: card(
        "L2.mlp[5]",
        Array.from({ length: 12 }, () => 1),
      ),
    });
    await tick();
    await tick();
    expect(find(".nw-cards > :nth-child(2)").textContent).toContain("Fires on");
    press(find(".nw-tab"), "Escape");
    await tick();
    press(find(".nw-tab"), "Escape");
    await tick();
    expect(kernel.get("view")).toMatchObject({ compare: null });
  });
});

describe("interventions", () => {
  it("switches a neuron off by the ablation that its effect was measured with, and back on", async () => {
    const kernel = mount({ selected_neuron: NOT });
    button("Switch off").click();
    await tick();
    expect(kernel.get("interventions")).toEqual([{ kind: "ablate", neuron: NOT, how: "mean" }]);
    expect(find(".nw-prediction-note").textContent).toContain("Computing");
    button("Switch off").click();
    await tick();
    expect(kernel.get("interventions")).toEqual([]);
  });

  it("shows before, after and the change once Python answered exactly this", async () => {
    const state = answered(explorerState(SMALL));
    const kernel = mount({}, { ...state, _after: null });
    expect(find(".nw-prediction-note").textContent).toContain("Computing");
    const stale = { ...(state._after as Prediction), asked: [{ kind: "set", neuron: NOT, value: 1 }] };
    await kernel.python({ _after: stale });
    await tick();
    expect(find(".nw-prediction-box").hasAttribute("data-pending")).toBe(true);
    await kernel.python({ _after: state._after });
    await tick();
    expect(find(".nw-prediction-box").hasAttribute("data-pending")).toBe(false);
    const row = find(".nw-prediction tbody tr").textContent;
    expect(row).toContain("0.840");
    expect(row).toContain("0.310");
    expect(row).toContain("−0.530");
    expect(find(".nw-prediction tfoot").textContent).toContain("−2.46");
    expect(find(".nw-prediction-note").textContent).toBe("change = F(after) − F(before)");
  });

  it("undoes and redoes what was done here and in Python", async () => {
    const kernel = mount({ selected_neuron: NOT });
    button("Switch off").click();
    await tick();
    await kernel.python({
      interventions: [
        ...(kernel.get("interventions") as object[]),
        { kind: "ablate", neuron: OTHER, how: "zero" },
      ],
    });
    await tick();
    button("Undo").click();
    await tick();
    expect(kernel.get("interventions")).toEqual([{ kind: "ablate", neuron: NOT, how: "mean" }]);
    button("Undo").click();
    await tick();
    expect(kernel.get("interventions")).toEqual([]);
    expect(button("Undo").disabled).toBe(true);
    button("Redo").click();
    await tick();
    button("Redo").click();
    await tick();
    expect(kernel.get("interventions")).toHaveLength(2);
    button("Clear").click();
    await tick();
    expect(kernel.get("interventions")).toEqual([]);
    button("Undo").click();
    await tick();
    expect(kernel.get("interventions")).toHaveLength(2);
  });

  it("sends the moves of a slider at most every 60 ms, the last one always, as one step of the history", async () => {
    vi.useFakeTimers();
    const kernel = mount({ selected_neuron: NOT, interventions: [{ kind: "set", neuron: NOT, value: 1 }] });
    const slider = find<HTMLInputElement>("input[type=range]");
    expect(Number(slider.min)).toBeLessThanOrEqual(-1);
    expect(Number(slider.max)).toBeGreaterThanOrEqual(3.42);
    slider.dispatchEvent(new Event("pointerdown"));
    for (let i = 1; i <= 50; i++) {
      type(slider, String(1 + i / 50));
      vi.advanceTimersByTime(10);
    }
    slider.dispatchEvent(new Event("change"));
    await tick();
    const sent = kernel.saved.filter((save) => "interventions" in save);
    expect(sent.length).toBeLessThanOrEqual(11);
    expect(sent.at(-1)?.interventions).toEqual([{ kind: "set", neuron: NOT, value: 2 }]);
    expect(kernel.get("interventions")).toEqual([{ kind: "set", neuron: NOT, value: 2 }]);
    button("Undo").click();
    await tick();
    expect(kernel.get("interventions")).toEqual([{ kind: "set", neuron: NOT, value: 1 }]);
    await tick();
    expect(Number(find<HTMLInputElement>("input[type=number]").value)).toBe(1);
  });

  it("takes a number, another kind of edit, and marks the natural value", async () => {
    const kernel = mount({ selected_neuron: NOT, interventions: [{ kind: "set", neuron: NOT, value: 1 }] });
    expect(find(".nw-natural-mark").title).toBe("as it is: 3.42 at “not”");
    const number = find<HTMLInputElement>("input[type=number]");
    number.value = "7.5";
    number.dispatchEvent(new Event("change"));
    await tick();
    expect(kernel.get("interventions")).toEqual([{ kind: "set", neuron: NOT, value: 7.5 }]);
    const kind = find<HTMLSelectElement>(".nw-edit select");
    kind.value = "scale";
    kind.dispatchEvent(new Event("change"));
    await tick();
    expect(kernel.get("interventions")).toEqual([{ kind: "scale", neuron: NOT, value: 2 }]);
    button(/^Remove the intervention/).click();
    await tick();
    expect(kernel.get("interventions")).toEqual([]);
  });

  it("keeps the ends of a slider when a new text took the cards away", async () => {
    const kernel = mount({ interventions: [{ kind: "set", neuron: NOT, value: 4 }] });
    const high = () => Number(find<HTMLInputElement>("input[type=range]").max);
    const before = high();
    expect(before).toBeGreaterThanOrEqual(4.2);
    const next = explorerState({ ...SMALL, seed: 9 });
    await kernel.python({ ...next, _cards: {}, _card: null, interventions: kernel.get("interventions") });
    await tick();
    expect(high()).toBe(before);
  });

  it("keeps the slider that is held when Python answers", async () => {
    const kernel = mount({ selected_neuron: NOT, interventions: [{ kind: "set", neuron: NOT, value: 1 }] });
    const slider = find("input[type=range]");
    slider.focus();
    await kernel.python({ _status: { state: "running", what: "changing neurons" } });
    await tick();
    expect(find("input[type=range]")).toBe(slider);
    expect(document.activeElement).toBe(slider);
  });
});

describe("running a text", () => {
  const box = () => find<HTMLTextAreaElement>("textarea.nw-ask-text");

  it("runs by Enter and Ctrl+Enter, not by Shift+Enter and not while an input method composes", async () => {
    const kernel = mount();
    type(box(), "Another film.");
    await tick();
    press(box(), "Enter", { shiftKey: true });
    await tick();
    press(box(), "Enter", { isComposing: true });
    await tick();
    expect(kernel.saved).toEqual([]);
    press(box(), "Enter", { ctrlKey: true });
    await tick();
    expect(kernel.get("text")).toBe("Another film.");
  });

  it("asks to run the same text again", async () => {
    const kernel = mount();
    press(box(), "Enter");
    await tick();
    expect(kernel.of("rerun")).toHaveLength(1);
  });

  it("greys what is about the text before, and says which", async () => {
    const kernel = mount();
    type(box(), "Another film.");
    await tick();
    press(box(), "Enter");
    await tick();
    expect(find(".nw-panels").hasAttribute("data-stale")).toBe(true);
    expect(status()).toContain("Waiting for the kernel");
    await kernel.python({ _status: { state: "running", what: "reading the text", done: 1, total: 4 } });
    await tick();
    expect(status()).toContain("reading the text: 1 of 4");
    expect(find(".nw-status [role=progressbar]").getAttribute("aria-valuenow")).toBe("25");
    button("Cancel").click();
    await tick();
    expect(kernel.of("cancel")).toHaveLength(1);
    await kernel.python({ _status: { state: "ready" } });
    await tick();
    expect(status()).toContain("not about the text above");
    button("Run again").click();
    await tick();
    expect(kernel.of("rerun")).toHaveLength(1);
    await kernel.python({ _text_answered: "Another film." });
    await tick();
    expect(find(".nw-panels").hasAttribute("data-stale")).toBe(false);
  });

  it("says that the kernel is busy when a ping stays unanswered, and takes it back", async () => {
    vi.useFakeTimers();
    const kernel = mount();
    type(box(), "Another film.");
    await tick();
    press(box(), "Enter");
    await tick();
    vi.advanceTimersByTime(799);
    await tick();
    expect(status()).not.toContain("busy");
    vi.advanceTimersByTime(2);
    await tick();
    expect(status()).toContain("The kernel is busy with a cell; this runs when it is done.");
    kernel.answer("ping", { ok: true, result: null });
    await tick();
    await tick();
    expect(status()).not.toContain("busy");
  });

  it("keeps what is typed when other traits change, and takes a text that Python set", async () => {
    const kernel = mount();
    type(box(), "half a sent");
    await tick();
    await kernel.python({ _status: { state: "ready" } });
    await tick();
    expect(box().value).toBe("half a sent");
    await kernel.python({ text: "From Python." });
    await tick();
    expect(box().value).toBe("From Python.");
  });

  it("shows an error with what to do, until it is dismissed or another comes", async () => {
    const kernel = mount({ _status: { state: "error", error: "ValueError: too long" } });
    expect(status()).toContain("ValueError: too long. Change the text");
    expect(find(".nw-status-text").getAttribute("role")).toBe("alert");
    button("Dismiss").click();
    await tick();
    expect(status()).not.toContain("too long");
    await kernel.python({ _status: { state: "error", error: "KeyError: x" } });
    await tick();
    expect(status()).toContain("KeyError: x");
  });

  it("takes an empty object for nothing, as Python sends it before the first result", () => {
    const nothing = [
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
      "_legend",
    ];
    mount(Object.fromEntries(nothing.map((name) => [name, {}])));
    expect(el.querySelector(".nw-fatal")).toBeNull();
  });

  it("offers texts while there is none", async () => {
    const empty = {
      text: "",
      _text_answered: "",
      _tokens: {},
      _activations: {},
      _preview: {},
      _before: null,
      _effects: null,
      _attribution: null,
    };
    const kernel = mount({ ...empty, _prompts: ["Try me."], _status: { state: "empty" } });
    expect(el.textContent).toContain("Type a sentence above and press Enter");
    button("Try me.").click();
    await tick();
    expect(kernel.get("text")).toBe("Try me.");
  });
});

describe("taking it away", () => {
  it("copies the code, and selects it where there is no clipboard", async () => {
    const written: string[] = [];
    const clipboard = {
      writeText: async (text: string) => {
        written.push(text);
      },
    };
    vi.stubGlobal("navigator", { ...navigator, clipboard });
    const kernel = mount();
    button("Copy as Python").click();
    await tick();
    expect(written).toEqual([kernel.get("_code")]);
    button("Copy as Python").click();
    await tick();
    clipboard.writeText = () => Promise.reject(new Error("NotAllowedError"));
    button("Copy as Python").click();
    await tick();
    const code = find<HTMLTextAreaElement>("textarea.nw-code");
    expect(document.activeElement).toBe(code);
    expect(code.selectionEnd).toBe(code.value.length);
    vi.unstubAllGlobals();
  });

  it("downloads the page that Python made, and shows why it could not", async () => {
    const kernel = mount();
    const clicked: string[] = [];
    URL.createObjectURL = () => "blob:x";
    URL.revokeObjectURL = () => {};
    HTMLAnchorElement.prototype.click = function () {
      clicked.push(this.download);
    };
    button("Export HTML").click();
    await tick();
    kernel.answer("export", { ok: true, result: { html: "<p>", name: "page.html" } });
    await tick();
    await tick();
    expect(clicked).toEqual(["page.html"]);
    button("Export HTML").click();
    await tick();
    kernel.answer("export", { ok: false, error: { type: "OSError", message: "disk full" } });
    await tick();
    await tick();
    await tick();
    expect(status()).toContain("disk full");
  });
});

describe("a page without a kernel", () => {
  const saved = (more: object = {}) => mount({ _live: false, ...more });

  it("asks nothing of a kernel, and says why what needs one is off", async () => {
    const kernel = saved({ selected_neuron: OTHER });
    expect(find<HTMLTextAreaElement>("textarea.nw-ask-text").readOnly).toBe(true);
    expect(button(/^Run/).disabled).toBe(true);
    expect(button("Export HTML").title).toContain("needs a kernel");
    expect(button("Switch off").title).toContain("needs a kernel");
    expect(find(".nw-card").textContent).toContain("Not precomputed for this neuron: needs a kernel.");
    expect(shown(".nw-profile-plot")).toBe(true);
    find(".nw-tab").click();
    await tick();
    expect(kernel.sent).toEqual([]);
  });

  it("marks the neurons that have a card in the list to start from", () => {
    const state = explorerState(SMALL);
    const top = (state._effects as { top: { neuron: string }[] }).top[0].neuron;
    saved({ view: { tab: "model" }, selected_token: null, _effects: null, _cards: {} });
    expect(el.querySelector(".nw-start-list small")).toBeNull();
    const first = find(".nw-start-list .nw-ranked-name").textContent ?? "";
    dispose?.();
    saved({ _effects: null, _cards: { [first]: (state._cards as Record<string, Card>)[top] } });
    expect(find(".nw-start-list .nw-ranked-name small").textContent).toBe("saved");
  });

  it("switches a precomputed neuron off", async () => {
    const kernel = saved({ selected_neuron: NOT });
    button("Switch off").click();
    await tick();
    const off = (kernel.get("_cards") as Record<string, Card>)[NOT].off as Prediction;
    expect(find(".nw-prediction tbody").textContent).toContain(off.probabilities[0].toFixed(3));
    expect(find(".nw-prediction-note").textContent).toContain("Precomputed.");
    expect(kernel.sent).toEqual([]);
  });

  it("keeps a swept slider alive and says that the value is a swept one", async () => {
    saved({ selected_neuron: NOT });
    button("Set").click();
    await tick();
    const slider = find<HTMLInputElement>("input[type=range]");
    type(slider, "-1");
    await tick();
    expect(find(".nw-prediction-note").textContent).toContain("Swept value −1".replace("−", "-"));
    const low = find(".nw-prediction tbody").textContent;
    type(slider, "4.2");
    await tick();
    expect(find(".nw-prediction tbody").textContent).not.toBe(low);
  });

  it("says that several changes need a kernel", async () => {
    saved({
      interventions: [
        { kind: "ablate", neuron: NOT, how: "mean" },
        { kind: "ablate", neuron: OTHER, how: "mean" },
      ],
    });
    expect(find(".nw-prediction-note").textContent).toContain("Several changes at once: needs a kernel.");
  });
});

it("draws the preview when the bytes were lost", async () => {
  const cells = btoa(String.fromCharCode(...Array.from({ length: 6 * 64 }, (_, i) => 100 + (i % 60))));
  const preview = { data: cells, dtype: "uint8", shape: [6, 64], scale: [1, 1, 1, 1, 1, 1] };
  mount({ _activations: { data: null, dtype: "float16", shape: [6, 12, 256] }, _preview: preview });
  expect(el.querySelector(".nw-fatal")).toBeNull();
  expect(find(".nw-browser-words").textContent).toContain("saved picture");
});

const drawn = explorerCases().filter(({ kind }) => kind === "neuron-explorer");
it.each(drawn.map((one) => [one.name, one.state] as const))("draws the state: %s", (_, state) => {
  mount(state);
  expect(el.querySelector(".nw-fatal")).toBeNull();
});

it("shows a failure while drawing, until the view can be drawn again", async () => {
  const kernel = mount();
  const silenced = vi.spyOn(console, "error").mockImplementation(() => {});
  await kernel.python({ _attribution: { target: "x", scores: [1] } });
  await tick();
  expect(find(".nw-fatal").textContent).toContain("could not be drawn");
  await kernel.python({ _attribution: null });
  await tick();
  expect(el.querySelector(".nw-fatal")).toBeNull();
  silenced.mockRestore();
});

it("names every control and uses no id twice", async () => {
  mount({ selected_neuron: NOT, interventions: [{ kind: "set", neuron: NOT, value: 1 }] });
  for (const control of el.querySelectorAll("button, select, input, textarea")) {
    if (control.closest("[hidden]")) continue;
    const name =
      control.getAttribute("aria-label") || control.textContent || control.closest("label")?.textContent;
    expect(name?.trim(), control.outerHTML).toBeTruthy();
  }
  const ids = [...el.querySelectorAll("[id]")].map((one) => one.id);
  expect(new Set(ids).size).toBe(ids.length);
});

it("sets no style attribute from text and no markup from data", async () => {
  const hostile = "<img src=x onerror=alert(1)>";
  const state = explorerState({ ...SMALL, pieces: ["[CLS]", hostile, " bad", "[SEP]"] });
  const before = state._before as Prediction;
  mount(
    {
      selected_neuron: NOT,
      selected_token: 1,
      _before: { ...before, labels: [hostile, "NEG"] },
      text: hostile,
    },
    state,
  );
  expect(el.querySelector("img")).toBeNull();
  expect(el.textContent).toContain(hostile);
});

it("leaves no listener, observer or element behind", async () => {
  vi.useFakeTimers();
  const counted = countListeners(window, document, document.documentElement, document.body);
  const before = counted.open();
  const kernel = mount({ selected_neuron: NOT, interventions: [{ kind: "set", neuron: NOT, value: 1 }] });
  button("Layer 3").click();
  await tick();
  button("Ranked").click();
  await tick();
  const slider = find<HTMLInputElement>("input[type=range]");
  type(slider, "2");
  type(slider, "3");
  dispose?.();
  dispose = null;
  expect(kernel.saved.at(-1)).toEqual({ interventions: [{ kind: "set", neuron: NOT, value: 3 }] });
  expect(kernel.listening).toBe(0);
  expect(counted.open()).toBe(before);
  expect(observed.size).toBe(0);
  expect(el.childElementCount).toBe(0);
  const saves = kernel.saved.length;
  vi.advanceTimersByTime(5000);
  expect(kernel.saved.length).toBe(saves);
  counted.restore();
});
