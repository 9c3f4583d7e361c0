import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import fixture from "../fixtures/neuron-card.json";
import { findNeurons, type NeuronIndex, NeuronOrder } from "../src/lib/neuron-index";
import type { CorpusCard, Example } from "../src/lib/payload";
import { percentileOf } from "../src/views/density";
import { exampleCells } from "../src/views/example-list";
import { verdict } from "../src/views/explanation-list";
import { tagsOf } from "../src/views/neuron-notes";
import widget from "../src/widgets/neuron-card";
import { FakeKernel } from "./fake-kernel";
import "./stubs";

const card = (fixture.state._cards as unknown as Record<string, CorpusCard>)["L1.mlp[2]"];
const SOURCE = { ...fixture.state._source, layers: [0, 1], width: 3, count: 6 };
let kernel: FakeKernel;
let el: HTMLElement;
let stop: () => void;

function open(state: object = {}) {
  kernel = new FakeKernel({
    ...structuredClone(fixture.state),
    _live: true,
    _source: SOURCE,
    _neurons: null,
    _card: card,
    _cards: {},
    ...state,
  });
  stop = widget.render({ model: kernel as never, el }) as () => void;
}
const settle = () => new Promise((resolve) => setTimeout(resolve));
const $ = <E extends HTMLElement = HTMLElement>(selector: string) => el.querySelector<E>(selector) as E;
const all = (selector: string) => [...el.querySelectorAll<HTMLElement>(selector)];
const key = (on: Element, name: string, more: object = {}) =>
  on.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...more }));

beforeEach(() => {
  el = document.body.appendChild(document.createElement("div"));
});
afterEach(() => {
  stop?.();
  expect(kernel?.listening ?? 0).toBe(0);
  document.body.replaceChildren();
});

describe("the order and the search", () => {
  const order = new NeuronOrder(null, SOURCE);
  const index: NeuronIndex = {
    neurons: ["L0.mlp[0]", "L0.mlp[1]", "L0.mlp[2]", "L1.mlp[0]", "L1.mlp[1]", "L1.mlp[2]"],
    words: ["a not", "not no", "nothing", "warm", "x", "y"],
    about: ["", "", "", "", "not · never", ""],
    maximum: [1, 2, 3, 4, 5, 6],
  };
  const names = (query: string, notes = {}) =>
    findNeurons(query, order, index, notes).matches.map((match) => match.neuron);

  it("counts all neurons of all layers without a list", () => {
    expect(order.count).toBe(6);
    expect(order.at(4)).toBe("L1.mlp[1]");
    expect(order.place("L1.mlp[1]")).toBe(4);
    expect([order.at(6), order.at(-1)]).toEqual([null, null]);
    expect(["L2.mlp[0]", "L1.mlp[3]", "L1.residual[0]", "x"].map((name) => order.place(name))).toEqual([
      -1, -1, -1, -1,
    ]);
    expect(new NeuronOrder(["L9.mlp[7]"], SOURCE).place("L9.mlp[7]")).toBe(0);
  });

  it("puts whole words before parts of words, and earlier ones before later ones", () => {
    expect(names("not")).toEqual(["L0.mlp[1]", "L0.mlp[0]", "L1.mlp[1]", "L0.mlp[2]"]);
  });

  it("finds addresses, beginnings of them, and what people wrote", () => {
    expect(names("L1.mlp[2]")).toEqual(["L1.mlp[2]"]);
    expect(names("L1")).toEqual(["L1.mlp[0]", "L1.mlp[1]", "L1.mlp[2]"]);
    expect(names("mine", { "L1.mlp[0]": { text: "", tags: ["mine"] } })).toEqual(["L1.mlp[0]"]);
    expect(names("zzz")).toEqual([]);
  });
});

describe("numbers", () => {
  it("interpolates a percentile within its bin", () => {
    const corpus = {
      ...(card.corpus as NonNullable<CorpusCard["corpus"]>),
      edges: [0, 1, 3],
      counts: [1, 3],
    };
    expect([-1, 0.5, 1, 2, 9].map((value) => percentileOf(corpus, value))).toEqual([0, 12.5, 25, 62.5, 100]);
  });

  it("says whether an explanation beats random neurons", () => {
    const [good, poor] = card.explanations ?? [];
    expect(verdict(good).good).toBe(true);
    expect(verdict(poor)).toEqual({ good: false, words: "no better than random neurons" });
    expect(verdict({ ...good, controls: [], control_95: null }).words).toMatch("no random neurons");
    expect(verdict({ ...good, score: null }).good).toBe(false);
  });

  it("joins tokens that share a character, and keeps the strongest value", () => {
    const example: Example = {
      quantile: "top",
      pieces: [" 🙂", "", "", " a"],
      special: [false, false, false, false],
      values: [1, -3, null, 0],
      focus: 2,
    };
    const cells = exampleCells(example, 0, 4);
    expect(cells.map(({ text, focus }) => [text, focus])).toEqual([
      ["🙂", true],
      ["a", false],
    ]);
    expect(tagsOf(" a, b,,a ,")).toEqual(["a", "b"]);
  });
});

describe("the card", () => {
  it("shows density, statistics, examples, explanations and their controls", () => {
    open();
    const words = el.textContent ?? "";
    expect(words).toContain("53 tokens of synthetic sentences");
    expect(words).toContain("−8 to 8");
    expect(all(".nw-example-list li").length).toBe(5);
    expect(words).toContain("held-out correlation 0.625");
    expect(words).toContain("4 random neurons: mean 0.0625");
    expect(words).toContain("The mask has 3 tokens");
    expect(el.querySelector("script")).toBeNull();
    expect($(".nw-legend").textContent).toContain("8");
  });

  it("draws a line in the density at the token that is looked at, by pointer and by key", () => {
    open();
    const token = $("mark");
    token.dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect($(".nw-density .nw-here-line")).not.toBeNull();
    expect($(".nw-evidence .nw-readout").textContent).toContain("percentile");
    $(".nw-example-list").dispatchEvent(new Event("pointerleave"));
    expect($(".nw-density .nw-here-line")).toBeNull();
    token.focus();
    key(token, "ArrowDown");
    expect(document.activeElement).toBe(all("mark")[1]);
    key(document.activeElement as Element, "ArrowLeft");
    expect(document.activeElement?.tagName).toBe("SPAN");
    expect(all("[tabindex='0'].nw-example-token").length).toBe(1);
  });

  it("changes group and context, and Python hears of it", () => {
    open();
    const press = (name: string) =>
      all("button")
        .find((one) => one.textContent === name)
        ?.click();
    press("bottom");
    expect(kernel.state.view).toMatchObject({ group: "bottom" });
    expect(all(".nw-example-list li").length).toBe(3);
    press("all groups");
    expect(all(".nw-example-list h5").length).toBe(4);
    press("±16");
    expect(kernel.state.view).toMatchObject({ context: 16 });
    expect($(".nw-example-list").hasAttribute("data-aligned")).toBe(false);
  });

  it("steps to the next neuron and waits for its card in words", async () => {
    open({ selected_neuron: "L0.mlp[2]", _card: { ...card, neuron: "L0.mlp[2]" } });
    $<HTMLButtonElement>("[aria-label='Next neuron']").click();
    expect(kernel.state.selected_neuron).toBe("L1.mlp[0]");
    expect($(".nw-state-message").textContent).toContain("Looking up L1.mlp[0]");
    await kernel.python({ _card: { ...card, neuron: "L1.mlp[0]" } });
    await settle();
    expect($(".nw-state-message").hidden).toBe(true);
    expect($("h3").textContent).toBe("L1.mlp[0]");
  });

  it("is chosen by a word, with the keyboard alone", async () => {
    open();
    const input = $<HTMLInputElement>("input[role=combobox]");
    input.value = "rain.";
    input.dispatchEvent(new Event("input"));
    expect($(".nw-matches-said").textContent).toContain("Reading");
    kernel.answer("index", {
      ok: true,
      result: {
        neurons: ["L0.mlp[0]", "L1.mlp[1]"],
        words: ["film", "the rain."],
        about: ["", ""],
        maximum: [1, 2],
      },
    });
    await settle();
    expect(all(".nw-match").map((row) => row.textContent)).toEqual(["L1.mlp[1]the rain.2"]);
    expect(input.getAttribute("aria-activedescendant")).toBe($(".nw-match").id);
    key(input, "Enter");
    expect(kernel.state.selected_neuron).toBe("L1.mlp[1]");
    expect($(".nw-matches-panel").hidden).toBe(true);
  });

  it("keeps a note, says when it could not, and does not lose what was written", async () => {
    open();
    const text = $<HTMLTextAreaElement>("textarea");
    text.value = "negation";
    text.dispatchEvent(new Event("input", { bubbles: true }));
    key(text, "Enter", { ctrlKey: true });
    expect(kernel.of("note")[0]).toMatchObject({ neuron: "L1.mlp[2]", text: "negation", tags: [] });
    kernel.answer("note", { ok: false, error: { type: "OSError", message: "No space left on device" } });
    await settle();
    expect($(".nw-note").textContent).toContain("No space left on device");
    expect(text.value).toBe("negation");
    $<HTMLButtonElement>("[aria-label='Previous neuron']").click();
    await kernel.python({ _card: { ...card, neuron: "L1.mlp[1]" } });
    await settle();
    expect(kernel.of("note")[1]).toMatchObject({ neuron: "L1.mlp[2]", text: "negation" });
  });

  it("shows notes without a kernel, and nothing to write in", () => {
    open({
      _live: false,
      _neurons: ["L1.mlp[2]"],
      notes: { "L1.mlp[2]": { text: "<b>mine</b>", tags: ["x"] } },
    });
    expect($(".nw-note-text").textContent).toBe("<b>mine</b>");
    expect($(".nw-note-form").hidden).toBe(true);
  });

  it("asks a page for a card, and says when it has none", async () => {
    open({ _live: false, _card: null, selected_neuron: "L0.mlp[1]" });
    expect(kernel.of("card")[0].neuron).toBe("L0.mlp[1]");
    kernel.answer("card", { ok: false, error: { type: "NoKernel", message: "This page has no kernel." } });
    await settle();
    expect($(".nw-state-message").textContent).toContain("no card of L0.mlp[1]");
  });

  it("never goes to a page that is not of the report", () => {
    const assign = vi.fn();
    vi.stubGlobal("location", { pathname: "/index.html", assign });
    const pages = { size: 3, files: ["cards-0001.html", "javascript:alert(1)"], index: "index.html" };
    open({ _live: false, _pages: pages, _card: null, selected_neuron: null });
    const input = $<HTMLInputElement>("input[role=combobox]");
    for (const name of ["L1.mlp[0]", "L0.mlp[1]"]) {
      input.value = name;
      input.dispatchEvent(new Event("input"));
      key(input, "Enter");
    }
    expect(assign.mock.calls).toEqual([["cards-0001.html#L0.mlp[1]"]]);
    vi.unstubAllGlobals();
  });

  it("has words for having nothing", () => {
    open({ _neurons: [], _card: null, selected_neuron: null, _status: { state: "empty" } });
    expect($(".nw-state-message").textContent).toContain("nw.top_examples");
  });

  it("shows a kernel's error and what to do", async () => {
    open();
    await kernel.python({ _status: { state: "error", error: "IndexError: L9.mlp[0] is not here" } });
    await settle();
    expect($("[role=alert]").textContent).toContain("L9.mlp[0] is not here");
    expect(all(".nw-example-list li").length).toBe(5);
    await kernel.python({ selected_neuron: "L0.mlp[0]" });
    await settle();
    expect($(".nw-state-message").textContent).toContain("Choose another neuron");
  });
});
