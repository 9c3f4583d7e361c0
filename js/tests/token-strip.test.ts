import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import fixture from "../fixtures/token-strip.json";
import { StaticModel } from "../src/hosts/static-host";
import { Scale } from "../src/lib/colour";
import { tokenStrip } from "../src/views/token-strip";
import { markedText, tokenCells, visibleWhitespace } from "../src/views/token-text";
import widget from "../src/widgets/token-strip";
import { countListeners } from "./stubs";
import { HEBREW, HOSTILE, SHORT, sentence, tokenStripState } from "./synthetic";

let el: HTMLElement;
beforeEach(() => {
  el = document.createElement("div");
  document.body.append(el);
});
afterEach(() => el.remove());

const cellsIn = () => [...el.querySelectorAll<HTMLElement>(".nw-token")];
const mount = (state: object) => {
  const model = new StaticModel(structuredClone(state) as Record<string, unknown>);
  const dispose = widget.render({ model: model as never, el });
  return { model, dispose };
};
const press = (target: HTMLElement, key: string, more: object = {}) =>
  target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
const tick = () => Promise.resolve();

describe("the text", () => {
  it("stays the text: the pieces of the page joined are the pieces given", () => {
    for (const tokens of [SHORT, HOSTILE, HEBREW, sentence(40)]) {
      el.replaceChildren();
      mount(tokenStripState(tokens));
      const shown = cellsIn().filter((cell) => !cell.matches(".nw-token-special"));
      expect(shown.map((cell) => cell.textContent).join("")).toBe(tokens.text);
    }
  });

  it("is inert: markup in a token is text", () => {
    mount(tokenStripState(HOSTILE));
    expect(el.querySelector("script")).toBeNull();
    expect(el.textContent).toContain("<script>alert(1)</script>");
  });

  it("runs from right to left when its first letter does, special tokens aside", () => {
    mount(tokenStripState(HEBREW));
    expect(el.querySelector(".nw-tokens")?.getAttribute("dir")).toBe("auto");
    expect(cellsIn()[0].getAttribute("dir")).toBe("ltr");
    expect(cellsIn()[1].hasAttribute("dir")).toBe(false);
  });

  it("draws tokens that share a character as one cell with a score each", () => {
    mount(tokenStripState(HOSTILE));
    const emoji = cellsIn().find((cell) => cell.textContent?.includes("👩"));
    expect(emoji?.querySelectorAll(".nw-parts i").length).toBe(3);
    expect(cellsIn().length).toBe(HOSTILE.pieces.length - 2);
  });

  it("marks whitespace without adding characters", () => {
    const text = " a\t\n\u00a0\u202eb\u200b";
    const parts = visibleWhitespace(text);
    expect(parts.map((part) => part.text).join("")).toBe(text);
    expect(parts.map((part) => part.mark)).toEqual([
      "·",
      undefined,
      "⇥",
      "↵",
      "⍽",
      "202E",
      undefined,
      "200B",
    ]);
    expect(visibleWhitespace("👩‍👩‍👧")).toEqual([{ text: "👩‍👩‍👧" }]);
  });

  it("keeps an empty piece that shares nothing visible by its raw form", () => {
    const tokens = {
      ...SHORT,
      pieces: ["", "a"],
      raw: ["<0x00>", "a"],
      special: [false, false],
      shares: [false, false],
    };
    expect(tokenCells(tokens).map((cell) => cell.text)).toEqual(["<0x00>", "a"]);
  });
});

describe("the colours", () => {
  const strip = (values: (number | null)[], more = {}) => {
    const view = tokenStrip(el);
    view.update({
      tokens: SHORT,
      scores: { values, scale: new Scale({ signed: true, max: 2 }), name: "attribution" },
      selected: [],
      ...more,
    });
    return view;
  };

  it("come from the scale, with text that can be read; 0 and special tokens have none", () => {
    strip([2, 2, -2, 0, null, 9, 2]);
    const [cls, the, film, was, not, bad] = cellsIn();
    expect(cls.style.backgroundColor).toBe("");
    expect(the.style.backgroundColor.replace(/,/g, "")).toBe("rgb(140 55 16)");
    expect(the.style.color).toBe("rgb(255, 255, 255)");
    expect(film.style.backgroundColor.replace(/,/g, "")).toBe("rgb(24 68 140)");
    expect(was.style.backgroundColor).toBe("");
    expect(not.hasAttribute("data-nan")).toBe(true);
    expect(bad.hasAttribute("data-clipped")).toBe(true);
    expect(the.hasAttribute("data-clipped")).toBe(false);
  });

  it("reach special tokens when asked to", () => {
    strip([2, 0, 0, 0, 0, 0, 2], { colourSpecial: true });
    expect(cellsIn()[0].style.backgroundColor).not.toBe("");
  });

  it("are numbers for a screen reader", () => {
    strip([0, 1.234, -2, 0, null, 9, 0]);
    expect(cellsIn().map((cell) => cell.getAttribute("aria-label"))).toEqual([
      "[CLS], 0",
      "The, 1.23",
      "film, −2",
      "was, 0",
      "not, not a number",
      "bad, 9",
      "[SEP], 0",
    ]);
    expect(el.querySelector("[role=listbox]")?.getAttribute("aria-multiselectable")).toBe("true");
  });

  it("leave the underline to the second score", () => {
    const underline = {
      values: [0, 1, -2, 0, 0, 0, 0],
      scale: new Scale({ signed: true, max: 2 }),
      name: "effect",
    };
    strip([0, 0, 0, 0, 0, 0, 0], { underline });
    const line = (i: number) => cellsIn()[i].style.getPropertyValue("--nw-line-height");
    expect([line(1), line(2), line(3)]).toEqual(["2px", "4px", ""]);
    expect(cellsIn()[2].hasAttribute("data-negative")).toBe(true);
  });

  it("do not build the tokens anew when only the scores change", () => {
    const view = strip([0, 1, 0, 0, 0, 0, 0]);
    const before = cellsIn();
    view.update({ tokens: SHORT, scores: null, selected: [3] });
    expect(cellsIn()).toEqual(before);
    expect(before[1].style.backgroundColor).toBe("");
    expect(before[3].getAttribute("aria-selected")).toBe("true");
  });
});

describe("choosing", () => {
  const open = () => {
    const onSelect = vi.fn((tokens: number[]) => view.update({ tokens: SHORT, selected: tokens }));
    const onHover = vi.fn();
    const view = tokenStrip(el, { onSelect, onHover });
    view.update({ tokens: SHORT, selected: [] });
    return { onSelect, onHover, view };
  };

  it("click locks, a second click unlocks, shift-click takes the range", () => {
    const { onSelect } = open();
    cellsIn()[2].click();
    expect(onSelect).toHaveBeenLastCalledWith([2]);
    cellsIn()[2].click();
    expect(onSelect).toHaveBeenLastCalledWith([]);
    cellsIn()[4].click();
    cellsIn()[2].dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: true }));
    expect(onSelect).toHaveBeenLastCalledWith([2, 3, 4]);
    expect(
      cellsIn()
        .map((cell) => cell.getAttribute("aria-selected"))
        .join(),
    ).toBe("false,false,true,true,true,false,false");
  });

  it("is one tab stop; arrows, Home and End move; Enter, Space and Escape lock and unlock", () => {
    const { onSelect } = open();
    expect(cellsIn().filter((cell) => cell.tabIndex === 0).length).toBe(1);
    cellsIn()[0].focus();
    press(cellsIn()[0], "ArrowRight");
    expect(document.activeElement).toBe(cellsIn()[1]);
    press(cellsIn()[1], "End");
    expect(document.activeElement).toBe(cellsIn()[6]);
    press(cellsIn()[6], "ArrowRight");
    expect(document.activeElement).toBe(cellsIn()[6]);
    press(cellsIn()[6], "Home");
    press(cellsIn()[0], "ArrowDown");
    press(cellsIn()[1], "Enter");
    expect(onSelect).toHaveBeenLastCalledWith([1]);
    press(cellsIn()[1], "ArrowRight", { shiftKey: true });
    expect(onSelect).toHaveBeenLastCalledWith([1, 2]);
    press(cellsIn()[2], "Escape");
    expect(onSelect).toHaveBeenLastCalledWith([]);
    press(cellsIn()[2], " ");
    expect(onSelect).toHaveBeenLastCalledWith([2]);
    expect(cellsIn().filter((cell) => cell.tabIndex === 0).length).toBe(1);
  });

  it("hover asks without choosing", () => {
    const { onSelect, onHover } = open();
    cellsIn()[3].dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(onHover).toHaveBeenLastCalledWith(3);
    expect(el.querySelector(".nw-tooltip")?.textContent).toContain("was");
    el.querySelector(".nw-tokens")?.dispatchEvent(new Event("pointerleave"));
    expect(onHover).toHaveBeenLastCalledWith(null);
    expect(onSelect).not.toHaveBeenCalled();
  });
});

describe("the widget", () => {
  it("draws the committed fixture", () => {
    mount(fixture.state);
    expect(
      cellsIn()
        .map((cell) => cell.textContent)
        .join(""),
    ).toContain("The film was not bad");
    expect(el.textContent).toContain("integrated gradients");
    expect(el.querySelector(".nw-fatal")).toBeNull();
  });

  it("writes the click to the trait, and follows the trait", async () => {
    const { model } = mount(tokenStripState(SHORT));
    cellsIn()[4].click();
    expect(model.get("selected_token")).toBe(4);
    model.set("selected_token", 2);
    await tick();
    expect(cellsIn()[2].getAttribute("aria-selected")).toBe("true");
    expect(cellsIn()[4].getAttribute("aria-selected")).toBe("false");
  });

  it.each([
    ["empty", { _tokens: null, _scores: {}, _status: { state: "empty" } }, /No text yet/],
    [
      "running",
      { _status: { state: "running", what: "Gradients", done: 1200, total: 5000 } },
      /Gradients: 1,200 of 5,000/,
    ],
    ["stale", { _status: { state: "stale", what: "The text has changed." } }, /The text has changed/],
    [
      "error",
      { _status: { state: "error", error: "Too long.", what: "Shorten it." } },
      /Too long\..*Shorten it\./,
    ],
  ])("says what is the matter when it is %s", (_, more, words) => {
    mount(tokenStripState(SHORT, 1, more as object));
    expect(el.querySelector("[role=status]")?.textContent).toMatch(words);
  });

  it("shows an error inside itself when its state is broken", async () => {
    const silent = vi.spyOn(console, "error").mockImplementation(() => {});
    const { model } = mount(tokenStripState(SHORT));
    model.set("_tokens", { pieces: 7 });
    await tick();
    expect(el.querySelector("[role=alert]")?.textContent).toMatch(/could not be drawn/);
    silent.mockRestore();
  });

  it("leaves nothing behind", async () => {
    const counted = countListeners(document, document.body, window);
    const { model, dispose } = mount(tokenStripState(sentence(30)));
    expect(model.listening).toBeGreaterThan(0);
    dispose();
    expect(model.listening).toBe(0);
    expect(counted.open()).toBe(0);
    expect(el.childElementCount).toBe(0);
    model.set("selected_token", 1);
    await tick();
    expect(el.childElementCount).toBe(0);
    counted.restore();
  });

  it("ends with the signal that its host gives", () => {
    const ends = new AbortController();
    const model = new StaticModel({ ...tokenStripState(SHORT) });
    widget.render({ model: model as never, el, signal: ends.signal });
    ends.abort();
    expect([model.listening, el.childElementCount]).toEqual([0, 0]);
  });
});

it("marks what cannot be seen in a label, and leaves a leading space alone", () => {
  expect([" Mary", "\n", " ", "a\tb"].map(markedText)).toEqual([" Mary", "↵", "·", "a⇥b"]);
});
