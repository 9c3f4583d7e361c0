// Where a neuron fires in a corpus: examples by quantile, with more or less of the text around them.
import type { Scale } from "../lib/colour";
import { h, listen, replace, setText } from "../lib/dom";
import { num, signed } from "../lib/format";
import type { Example } from "../lib/payload";
import { markedText } from "./token-text";

export interface ExampleListProps {
  examples: readonly Example[];
  scale: Scale;
  /** A group of the examples, or "all". */
  quantile: string;
  /** Tokens on each side of the one that counts; 0 is all of them. */
  context: number;
}

/** A token that is looked at: its value, and how it is written. */
export interface Looked {
  value: number | null;
  piece: string;
}

export interface ExampleListHandlers {
  onQuantile?(quantile: string): void;
  onContext?(context: number): void;
  onHover?(looked: Looked | null): void;
}

const CONTEXTS = [5, 16, 0];
const ALL = "all";
/** Lines of a group that are drawn at once: each is dozens of elements. */
const LINES = 50;

/** "top", "bottom", "q90" -> "90 %". */
export function quantileName(quantile: string): string {
  if (quantile === ALL) return "all groups";
  const share = /^q(\d+(?:\.\d+)?)$/.exec(quantile);
  return share ? `${share[1]} %` : quantile;
}

/** The tokens to show: `context` on each side of the focus, with marks where text is cut off. */
export function excerpt(
  example: Example,
  context: number,
): { from: number; to: number; cut: [boolean, boolean] } {
  const n = example.pieces.length;
  const first = example.special.findIndex((special) => !special);
  const last = example.special.lastIndexOf(false);
  const real = first >= 0 && !example.special[example.focus];
  const start = real ? first : 0;
  const end = real ? last + 1 : n;
  const from = Math.max(start, context ? example.focus - context : 0);
  const to = Math.min(end, context ? example.focus + context + 1 : n);
  const [before, after] = example.cut ?? [false, false];
  return { from, to, cut: [from > start || before, to < end || after] };
}

/** The tokens of an excerpt as they are written: those that share one character are one. */
export function exampleCells(example: Example, from: number, to: number) {
  const cells: { token: number; space: string; text: string; value: number | null; focus: boolean }[] = [];
  for (let i = from; i < to; i++) {
    const piece = example.pieces[i];
    const value = example.values[i] ?? null;
    const last = cells.at(-1);
    if (piece === "" && last) {
      last.focus ||= i === example.focus;
      if (i === example.focus || Math.abs(value ?? 0) > Math.abs(last.value ?? 0)) last.value = value;
      continue;
    }
    const [, space, word] = /^( ?)(.*)$/s.exec(piece) ?? ["", "", piece];
    cells.push({
      token: i,
      space,
      text: markedText(word || space || "▯"),
      value,
      focus: i === example.focus,
    });
  }
  return cells;
}

export function exampleList(el: HTMLElement, handlers: ExampleListHandlers = {}) {
  const quantiles = h("div", {
    class: "nw-segments",
    role: "group",
    "aria-label": "Quantile of the examples",
  });
  const contexts = h(
    "div",
    { class: "nw-segments", role: "group", "aria-label": "Tokens of context" },
    h("span", { class: "nw-small nw-muted" }, "context"),
    ...CONTEXTS.map((context) =>
      h(
        "button",
        {
          type: "button",
          dataset: { context: String(context) },
          onclick: () => handlers.onContext?.(context),
        },
        context ? `±${context}` : "all",
      ),
    ),
  );
  const list = h("div", {
    class: "nw-example-list",
    role: "group",
    "aria-label": "Examples: arrows move over the tokens, up and down to the next example",
  });
  const said = h("div", { class: "nw-hidden", "aria-live": "polite" });
  const box = h(
    "div",
    { class: "nw-examples" },
    h("div", { class: "nw-example-bar" }, quantiles, contexts),
    list,
    said,
  );
  el.append(box);
  let drawn: unknown[] = [];
  let looked = new WeakMap<Element, Looked>();
  let over: Element | null = null;

  const tokenOf = (target: EventTarget | null) =>
    target instanceof Element ? target.closest<HTMLElement>(".nw-example-token") : null;
  const look = (token: Element | null, aloud = false) => {
    if (token === over) return;
    over = token;
    const at = token ? (looked.get(token) ?? null) : null;
    if (aloud && at) setText(said, `${at.piece}, ${at.value === null ? "no value kept" : num(at.value)}`);
    handlers.onHover?.(at);
  };
  const focusOn = (token: HTMLElement | null | undefined) => {
    if (!token) return;
    for (const old of list.querySelectorAll<HTMLElement>(".nw-example-token[tabindex='0']"))
      old.tabIndex = -1;
    token.tabIndex = 0;
    token.focus();
  };
  const deafen = listen(list, {
    pointerover: (event) => look(tokenOf(event.target)),
    pointerleave: () => look(null),
    focusin: (event) =>
      (event.target as Element).matches(":focus-visible") && look(tokenOf(event.target), true),
    focusout: () => look(null),
    keydown(event) {
      const token = tokenOf(event.target);
      if (!token || event.ctrlKey || event.metaKey || event.altKey) return;
      const line = token.closest("li");
      const near = [...(line?.querySelectorAll<HTMLElement>(".nw-example-token") ?? [])];
      const lines = [...list.querySelectorAll("li")];
      const forward = getComputedStyle(token).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
      const at = near.indexOf(token);
      const up = event.key === "ArrowUp";
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        focusOn(near[at + (event.key === forward ? 1 : -1)]);
      } else if (up || event.key === "ArrowDown") {
        focusOn(
          lines[lines.indexOf(line as HTMLLIElement) + (up ? -1 : 1)]?.querySelector<HTMLElement>("mark"),
        );
      } else if (event.key === "Home" || event.key === "End") focusOn(near.at(event.key === "End" ? -1 : 0));
      else return;
      event.preventDefault();
    },
  });

  return {
    update({ examples, scale, quantile, context }: ExampleListProps) {
      const names = [...new Set(examples.map((example) => example.quantile))];
      const chosen = names.includes(quantile) || quantile === ALL ? quantile : (names[0] ?? "");
      const now = [examples, scale.max, scale.dark, chosen, context];
      if (now.every((value, i) => value === drawn[i])) return;
      drawn = now;
      look(null);
      looked = new WeakMap();
      const choices = names.length > 1 ? [...names, ALL] : names;
      replace(
        quantiles,
        ...choices.map((name) =>
          h(
            "button",
            {
              type: "button",
              "aria-pressed": String(name === chosen),
              title: title(name),
              onclick: () => handlers.onQuantile?.(name),
            },
            quantileName(name),
          ),
        ),
      );
      for (const button of contexts.querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(Number(button.dataset.context) === context));
      }
      list.toggleAttribute("data-aligned", context > 0 && context <= 5);
      const effects = examples.some((example) => example.effect !== undefined && example.effect !== null);
      list.toggleAttribute("data-effects", effects);
      replace(
        list,
        examples.length > 0 &&
          h(
            "div",
            { class: "nw-example-heads nw-small nw-muted", "aria-hidden": "true" },
            effects && h("span", { class: "nw-example-value" }, "effect"),
            h("span", { class: "nw-example-value" }, "value"),
          ),
      );
      for (const name of chosen === ALL ? names : [chosen]) {
        const members = examples.filter((example) => example.quantile === name);
        if (chosen === ALL) list.append(h("h5", { class: "nw-small nw-muted" }, title(name)));
        const lines = h("ol", null);
        list.append(lines);
        const draw = (from: number) => {
          const part = members.slice(from, from + LINES);
          lines.append(...part.map((example) => line(example, scale, context, effects, looked)));
          const left = members.length - from - part.length;
          if (left <= 0) return;
          const more = h(
            "button",
            { type: "button", class: "nw-small" },
            `${Math.min(left, LINES)} more of ${left}`,
          );
          more.addEventListener("click", () => {
            more.remove();
            draw(from + LINES);
            focusOn(lines.children[from + LINES]?.querySelector<HTMLElement>("mark"));
          });
          lines.after(more);
        };
        draw(0);
      }
      const first = list.querySelector<HTMLElement>("mark");
      if (first) first.tabIndex = 0;
    },
    destroy() {
      deafen();
      box.remove();
    },
  };
}

function title(group: string): string {
  if (group === "top") return "the highest values";
  if (group === "bottom") return "the lowest values";
  if (group === ALL) return "every group, one below the other";
  return `around the ${quantileName(group).replace(" ", "\u202f")} quantile of all tokens`;
}

function line(
  example: Example,
  scale: Scale,
  context: number,
  effects: boolean,
  looked: WeakMap<Element, Looked>,
): HTMLElement {
  const { from, to, cut } = excerpt(example, context);
  const [before, at, after] = [h("span", null, cut[0] && "… "), h("span", null), h("span", null)];
  let part = before;
  for (const cell of exampleCells(example, from, to)) {
    const { token, space, text, value, focus } = cell;
    if (focus) part = at;
    else if (part === at) part = after;
    const special = example.special[token];
    const sink = example.sink?.includes(token) ?? false;
    const element = h(
      focus ? "mark" : "span",
      {
        class: special ? "nw-example-token nw-muted" : "nw-example-token",
        tabindex: "-1",
        title: spoken(cell, sink),
      },
      text,
    );
    looked.set(element, { value, piece: text });
    if (value !== null && !special && !sink && scale.index(value) !== scale.index(0)) {
      element.style.backgroundColor = scale.css(value);
      element.style.color = scale.text(value);
    }
    if (token > from) part.append(space);
    part.append(element);
  }
  if (cut[1]) after.append(" …");
  const { effect, text } = example;
  return h(
    "li",
    null,
    h(
      "span",
      {
        class: "nw-example-text",
        dir: "auto",
        title: text === undefined ? null : `text ${text} of the corpus`,
      },
      h("span", { class: "nw-example-before" }, before),
      at,
      h("span", { class: "nw-example-after" }, after),
    ),
    effects &&
      h(
        "span",
        {
          class: "nw-example-value nw-small nw-muted",
          title: "effect of removing it here: F(clean) − F(ablated)",
        },
        effect === undefined || effect === null ? "–" : signed(effect),
      ),
    h("span", { class: "nw-example-value nw-small" }, num(example.values[example.focus])),
  );
}

function spoken({ value }: { value: number | null }, sink: boolean): string {
  if (value === null) return "no value was kept this far from the example";
  return sink ? `${num(value)}, where attention rests: not counted` : num(value);
}
