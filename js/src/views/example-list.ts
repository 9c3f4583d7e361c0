// Where a neuron fires in a corpus: examples by quantile, with more or less of the text around them.
import type { Scale } from "../lib/colour";
import { h, replace } from "../lib/dom";
import { num } from "../lib/format";
import type { Example } from "../lib/payload";

export interface ExampleListProps {
  examples: readonly Example[];
  scale: Scale;
  quantile: string;
  /** Tokens on each side of the one that counts; 0 is all of them. */
  context: number;
}

export interface ExampleListHandlers {
  onQuantile?(quantile: string): void;
  onContext?(context: number): void;
}

const CONTEXTS = [5, 16, 0];

/** "top", "bottom", "q90" -> "90 %". */
export function quantileName(quantile: string): string {
  const share = /^q(\d+)$/.exec(quantile);
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
  const from = Math.max(real ? first : 0, context ? example.focus - context : 0);
  const to = Math.min(real ? last + 1 : n, context ? example.focus + context + 1 : n);
  return { from, to, cut: [from > (real ? first : 0), to < (real ? last + 1 : n)] };
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
  const list = h("ol", { class: "nw-example-list", tabindex: 0, "aria-label": "Examples" });
  const box = h(
    "div",
    { class: "nw-examples" },
    h("div", { class: "nw-example-bar" }, quantiles, contexts),
    list,
  );
  el.append(box);
  let drawn: unknown[] = [];

  return {
    update({ examples, scale, quantile, context }: ExampleListProps) {
      const names = [...new Set(examples.map((example) => example.quantile))];
      const chosen = names.includes(quantile) ? quantile : (names[0] ?? "");
      const now = [examples, scale.max, scale.dark, chosen, context];
      if (now.every((value, i) => value === drawn[i])) return;
      drawn = now;
      replace(
        quantiles,
        ...names.map((name) =>
          h(
            "button",
            {
              type: "button",
              "aria-pressed": String(name === chosen),
              onclick: () => handlers.onQuantile?.(name),
            },
            quantileName(name),
          ),
        ),
      );
      for (const button of contexts.querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(Number(button.dataset.context) === context));
      }
      replace(
        list,
        ...examples
          .filter((example) => example.quantile === chosen)
          .map((example) => line(example, scale, context)),
      );
    },
    destroy() {
      box.remove();
    },
  };
}

function line(example: Example, scale: Scale, context: number): HTMLElement {
  const { from, to, cut } = excerpt(example, context);
  const text = h("span", { class: "nw-example-text", dir: "auto" }, cut[0] && "… ");
  for (let i = from; i < to; i++) {
    const value = example.values[i];
    const [, space, word] = /^(\s*)(.*)$/s.exec(example.pieces[i]) ?? ["", "", example.pieces[i]];
    if (i > from) text.append(space);
    const token = h(
      i === example.focus ? "mark" : "span",
      { class: "nw-example-token", title: `${num(value)}` },
      word,
    );
    if (scale.index(value) !== scale.index(0)) {
      token.style.backgroundColor = scale.css(value);
      token.style.color = scale.text(value);
    }
    text.append(token);
  }
  if (cut[1]) text.append(" …");
  return h(
    "li",
    null,
    text,
    h("span", { class: "nw-example-value nw-small nw-muted" }, num(example.values[example.focus])),
  );
}
