import { afterEach, expect, it, vi } from "vitest";
import { h, replace, roving } from "../src/lib/dom";
import { stateBox } from "../src/lib/state-box";
import { isDark, watchTheme } from "../src/lib/theme";

afterEach(() => {
  document.body.replaceChildren();
  document.documentElement.removeAttribute("style");
  for (const name of ["nwThemeForce"]) delete document.documentElement.dataset[name];
  document.body.removeAttribute("style");
});

it("makes elements without ever reading markup", () => {
  const clicked = vi.fn();
  const el = h(
    "button",
    { class: "a", disabled: false, title: null, "aria-label": "it's", dataset: { x: "1" }, onclick: clicked },
    "<b>text</b>",
    null,
    false,
    7,
    h("i", null),
  );
  expect(el.outerHTML).toBe(
    '<button class="a" aria-label="it\'s" data-x="1">&lt;b&gt;text&lt;/b&gt;7<i></i></button>',
  );
  el.click();
  expect(clicked).toHaveBeenCalledOnce();
  replace(el, "x", undefined);
  expect(el.textContent).toBe("x");
});

it("sets styles one by one, never as an attribute", () => {
  const set = vi.spyOn(Element.prototype, "setAttribute");
  const el = h("div", { style: { width: "3px", "--nw-x": "2" } });
  expect(set.mock.calls.some(([name]) => name === "style")).toBe(false);
  expect([el.style.width, el.style.getPropertyValue("--nw-x")]).toEqual(["3px", "2"]);
  set.mockRestore();
});

it("roves: one tab stop, arrows swap in right-to-left text, modifiers are left alone", () => {
  const list = h("div", { dir: "rtl" }, ...["a", "b", "c"].map((text) => h("span", { class: "item" }, text)));
  document.body.append(list);
  for (const item of list.children) (item as HTMLElement).style.direction = "rtl";
  const moved = vi.fn();
  const rove = roving(list, ".item", moved);
  const items = [...list.children] as HTMLElement[];
  const press = (i: number, key: string, more = {}) =>
    items[i].dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...more }));
  items[0].focus();
  press(0, "ArrowLeft");
  expect(document.activeElement).toBe(items[1]);
  press(1, "ArrowRight");
  press(0, "ArrowLeft", { ctrlKey: true });
  expect(document.activeElement).toBe(items[0]);
  expect(moved).toHaveBeenCalledTimes(2);
  items[2].focus();
  expect(items.map((item) => item.tabIndex)).toEqual([-1, -1, 0]);
  items[2].remove();
  rove.refresh();
  expect(items[1].tabIndex).toBe(0);
  rove.dispose();
  press(1, "Home");
  expect(moved).toHaveBeenCalledTimes(2);
});

it("has five states, and keeps its contents in all of them", () => {
  const cancel = vi.fn();
  const box = stateBox(document.body, cancel);
  box.body.append("picture");
  const message = () => document.querySelector<HTMLElement>(".nw-state-message") as HTMLElement;
  box.update({ state: "ready" });
  expect(message().hidden).toBe(true);
  box.update({ state: "running", what: "Ablating", done: 3, total: 4 });
  expect(document.querySelector<HTMLElement>(".nw-progress > div")?.style.width).toBe("75%");
  document.querySelector("button")?.click();
  expect(cancel).toHaveBeenCalledOnce();
  box.update({ state: "stale", what: "Run again." });
  expect(box.body.hasAttribute("data-dim")).toBe(true);
  box.update({ state: "error", error: "<b>", what: "Shorten it." });
  expect(message().textContent).toBe("<b>Shorten it.");
  expect(box.body.hasAttribute("inert")).toBe(true);
  box.update({ state: "empty" }, "Give a text.");
  expect(message().textContent).toBe("Give a text.");
  expect(box.body.textContent).toBe("picture");
  box.destroy();
  expect(document.body.childElementCount).toBe(0);
});

it("takes the darkness from the host's variables, else from what lies behind, else from the page", () => {
  const el = h("div", null);
  document.body.append(h("div", null, el));
  expect(isDark(el)).toBe(false);
  document.body.style.backgroundColor = "rgb(20, 20, 20)";
  expect(isDark(el)).toBe(true);
  document.documentElement.style.setProperty("--jp-layout-color1", "#fff");
  expect(isDark(el)).toBe(false);
  document.documentElement.style.setProperty("--jp-layout-color1", "#212121");
  expect(isDark(el)).toBe(true);
  document.documentElement.dataset.nwThemeForce = "light";
  expect(isDark(el)).toBe(false);
});

it("looks through a shadow root", () => {
  const outer = h("div", null);
  document.body.append(outer);
  outer.style.backgroundColor = "rgb(10, 10, 10)";
  const el = h("div", null);
  outer.attachShadow({ mode: "open" }).append(el);
  expect(isDark(el)).toBe(true);
});

it("hears when the theme changes, until it is disposed", async () => {
  const el = h("div", { class: "nw" });
  document.body.append(el);
  const watch = watchTheme(el);
  const heard = vi.fn();
  watch.onChange(heard);
  expect(el.dataset.nwTheme).toBe("light");
  document.body.style.backgroundColor = "rgb(10, 10, 10)";
  await vi.waitFor(() => expect(heard).toHaveBeenCalledOnce());
  expect([el.dataset.nwTheme, watch.theme.dark]).toEqual(["dark", true]);
  watch.dispose();
  document.body.style.backgroundColor = "rgb(250, 250, 250)";
  await new Promise((resolve) =>
    requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
  expect(el.dataset.nwTheme).toBe("dark");
});
