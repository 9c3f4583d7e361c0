// The strongest neurons as a list of bars: layer, value, and what removing the neuron does where that is known.
import type { Scale } from "../lib/colour";
import { h, listen, replace, roving } from "../lib/dom";
import { num, signed } from "../lib/format";
import type { MatrixInfo } from "../lib/snapshot";

export interface RankedItem {
  neuron: string;
  value: number;
  effect?: number | null;
  /** For example the concept that a probe gave it. */
  label?: string;
}
export interface RankedListProps {
  items: readonly RankedItem[];
  info: MatrixInfo;
  scale: Scale;
  /** What the effect column says: "effect on POS - NEG". */
  effect?: { name: string; estimate: boolean } | null;
  selected: string | null;
  pinned?: readonly string[];
  hovered?: string | null;
  empty?: string;
}
export interface RankedListEvents {
  onSelect?: (neuron: string | null, add: boolean) => void;
  onHover?: (neuron: string | null, value: number | null) => void;
}
export interface RankedList {
  update(props: RankedListProps): void;
  reveal(neuron: string): void;
  destroy(): void;
}

export function rankedList(el: HTMLElement, on: RankedListEvents = {}): RankedList {
  const head = h("div", { class: "nw-ranked-row nw-ranked-head nw-small nw-muted", "aria-hidden": "true" });
  const list = h("div", { class: "nw-ranked-list", role: "listbox", "aria-label": "Strongest neurons" });
  const root = h("div", { class: "nw-ranked" }, head, list);
  el.append(root);
  let props: RankedListProps | null = null;
  let rows: HTMLElement[] = [];
  let drawn: readonly RankedItem[] | null = null;
  let drawnScale: Scale | null = null;
  let over = -1;
  const rove = roving(list, ".nw-ranked-row", (_, i) => hover(i));

  const at = (target: EventTarget | null) =>
    target instanceof Element ? rows.indexOf(target.closest(".nw-ranked-row") as HTMLElement) : -1;
  const hover = (i: number) => {
    if (i === over) return;
    over = i;
    const item = props?.items[i];
    on.onHover?.(item?.neuron ?? null, item?.value ?? null);
  };
  const choose = (i: number, add: boolean) => {
    const item = props?.items[i];
    if (item) on.onSelect?.(!add && item.neuron === props?.selected ? null : item.neuron, add);
  };
  const deafen = listen(list, {
    pointerover: (e) => hover(at(e.target)),
    pointerleave: () => hover(-1),
    focusout: () => hover(-1),
    click(e) {
      const i = at(e.target);
      if (i < 0) return;
      rove.focus(i);
      choose(i, e.shiftKey);
    },
    keydown(e) {
      const i = at(e.target);
      if (i >= 0 && (e.key === "Enter" || e.key === " ")) choose(i, e.shiftKey);
      else if (e.key === "Escape" && props?.selected) on.onSelect?.(null, false);
      else return;
      e.preventDefault();
      e.stopPropagation();
    },
  });

  const draw = (p: RankedListProps) => {
    const most = Math.max(1e-30, ...p.items.map((item) => Math.abs(item.value)).filter(Number.isFinite));
    const both = p.items.some((item) => item.value > 0) && p.items.some((item) => item.value < 0);
    list.toggleAttribute("data-both", both);
    replace(
      head,
      h("span", null, "#"),
      h("span", null, "neuron"),
      h(
        "span",
        null,
        `${p.info.name}${p.info.of ? ` of ${p.info.of}` : ""}${p.info.unit ? `, ${p.info.unit}` : ""}`,
      ),
      h("span", null, ""),
      p.effect &&
        h("span", { title: p.effect.name }, p.effect.estimate ? `≈ ${p.effect.name}` : p.effect.name),
    );
    root.toggleAttribute("data-effect", !!p.effect);
    rows = p.items.map((item, i) => row(item, i, p, most, both));
    if (rows.length) replace(list, ...rows);
    else replace(list, h("p", { class: "nw-muted" }, p.empty ?? "No neurons to rank yet."));
    rove.refresh();
  };

  return {
    update(next) {
      props = next;
      if (next.items !== drawn || next.scale !== drawnScale) draw(next);
      drawn = next.items;
      drawnScale = next.scale;
      next.items.forEach((item, i) => {
        rows[i].setAttribute("aria-selected", String(item.neuron === next.selected));
        rows[i].toggleAttribute("data-pinned", !!next.pinned?.includes(item.neuron));
        rows[i].toggleAttribute("data-hovered", item.neuron === next.hovered);
      });
    },
    reveal(neuron) {
      const i = props?.items.findIndex((item) => item.neuron === neuron) ?? -1;
      if (i >= 0) rows[i].scrollIntoView({ block: "nearest" });
    },
    destroy() {
      deafen();
      rove.dispose();
      root.remove();
    },
  };
}

function row(item: RankedItem, i: number, p: RankedListProps, most: number, both: boolean): HTMLElement {
  const bar = h("i", { class: "nw-ranked-bar" });
  const share = Number.isFinite(item.value) ? Math.abs(item.value) / most : 0;
  const width = share * (both ? 50 : 100);
  bar.style.width = `${width}%`;
  bar.style.insetInlineStart = both ? (item.value < 0 ? `${50 - width}%` : "50%") : "0";
  bar.style.backgroundColor = p.scale.css(item.value);
  // What the columns are is said, not shown, in every row.
  const said = (text: string) => h("span", { class: "nw-hidden" }, text);
  return h(
    "div",
    { class: "nw-ranked-row", role: "option", tabindex: "-1" },
    h("span", { class: "nw-muted" }, `${i + 1}`),
    h(
      "span",
      { class: "nw-ranked-name" },
      item.neuron,
      item.label && h("small", { dir: "auto" }, item.label),
    ),
    h("span", { class: "nw-ranked-track" }, bar),
    h("span", { class: "nw-ranked-value" }, said(`${p.info.name} `), num(item.value)),
    p.effect &&
      h(
        "span",
        { class: "nw-ranked-value" },
        said(`${p.effect.name} `),
        item.effect == null ? "–" : signed(item.effect),
      ),
  );
}
