// The edits that are on: one row each, with the value it has and could have, and undo for all of them.
import { h, replace, setText } from "../lib/dom";
import { num } from "../lib/format";
import { editInWords, type Intervention } from "../lib/interventions";
import { keyed } from "../lib/keyed";

/** What is known about the values of a neuron. */
export interface ValueRange {
  low: number;
  high: number;
  /** Its value in this text where it is largest, and at which token. */
  natural: number | null;
  at: string;
}

export interface InterventionBarProps {
  edits: readonly Intervention[];
  rangeOf: (neuron: string) => ValueRange | null;
  /** Why this edit cannot be answered here, or null. */
  refuse: (edit: Intervention) => string | null;
  canUndo: boolean;
  canRedo: boolean;
  selected: string | null;
}

export interface InterventionBarHandlers {
  onEdit?(edit: Intervention): void;
  onRemove?(neuron: string): void;
  onClear?(): void;
  onUndo?(): void;
  onRedo?(): void;
  onSelect?(neuron: string): void;
  onDragStart?(): void;
  onDragEnd?(): void;
}

const MODES = [
  ["ablate zero", "off (zero)"],
  ["ablate mean", "off (mean)"],
  ["set", "set to"],
  ["scale", "scale by"],
] as const;
const THUMB = 14;
const SCALE_RANGE: ValueRange = { low: -2, high: 4, natural: 1, at: "" };

/** Three significant digits of the range: enough to see, short enough to read. */
export function roundTo(value: number, span: number): number {
  const digits = Math.max(0, Math.min(12, 3 - Math.ceil(Math.log10(Math.max(1e-9, span)))));
  return Number(value.toFixed(digits));
}

/** The value that an edit of this kind starts from: where it changes nothing at the strongest token, times one. */
export function startValue(kind: Intervention["kind"], range: ValueRange | null): number {
  if (kind === "scale") return 2;
  const { natural, low, high } = range ?? SCALE_RANGE;
  return roundTo(natural ?? 0, high - low);
}

export function interventionBar(el: HTMLElement, handlers: InterventionBarHandlers = {}) {
  const undo = h("button", { type: "button", onclick: () => handlers.onUndo?.() }, "Undo");
  const redo = h("button", { type: "button", onclick: () => handlers.onRedo?.() }, "Redo");
  const clear = h("button", { type: "button", onclick: () => handlers.onClear?.() }, "Clear");
  const title = h("h3", null, "Interventions");
  const rows = h("div", { class: "nw-edit-rows", role: "list", "aria-label": "Interventions" });
  const empty = h(
    "p",
    { class: "nw-edit-empty nw-muted" },
    "The model runs as it is. Pick a neuron, then switch it off, set it or scale it, and read what changes here.",
  );
  const box = h(
    "section",
    { class: "nw-interventions", "aria-label": "Interventions" },
    h("div", { class: "nw-row" }, title, h("span", { class: "nw-push" }, undo, redo, clear)),
    empty,
    rows,
  );
  el.append(box);
  let props: InterventionBarProps | null = null;

  function edit(neuron: string, change: Partial<Intervention>) {
    const now = props?.edits.find((item) => item.neuron === neuron);
    if (now) handlers.onEdit?.({ ...now, ...change });
  }

  function create(item: Intervention): HTMLElement {
    const { neuron } = item;
    const choose = h(
      "select",
      {
        "aria-label": `What is done to ${neuron}`,
        onchange: () => {
          const [kind, how] = choose.value.split(" ") as [Intervention["kind"], "zero" | "mean" | undefined];
          const next: Intervention = { kind, neuron };
          if (kind === "ablate") next.how = how;
          else next.value = startValue(kind, props?.rangeOf(neuron) ?? null);
          handlers.onEdit?.(next);
        },
      },
      ...MODES.map(([value, label]) => h("option", { value }, label)),
    );
    const slider = h("input", {
      type: "range",
      "aria-label": `Value of ${neuron}`,
      onpointerdown: () => handlers.onDragStart?.(),
      oninput: () => {
        const span = Number(slider.max) - Number(slider.min);
        edit(neuron, { value: roundTo(Number(slider.value), span) });
      },
      onchange: () => handlers.onDragEnd?.(),
      onpointerup: () => handlers.onDragEnd?.(),
      onpointercancel: () => handlers.onDragEnd?.(),
    });
    const number = h("input", {
      type: "number",
      step: "any",
      "aria-label": `Value of ${neuron} as a number`,
      onchange: () => {
        if (Number.isFinite(number.valueAsNumber)) edit(neuron, { value: number.valueAsNumber });
        else number.value = slider.value;
      },
    });
    const mark = h("span", { class: "nw-natural-mark" });
    return h(
      "div",
      { class: "nw-edit", role: "listitem" },
      h(
        "button",
        {
          type: "button",
          class: "nw-edit-name",
          title: "Show this neuron",
          onclick: () => handlers.onSelect?.(neuron),
        },
        neuron,
      ),
      choose,
      h(
        "span",
        { class: "nw-slider" },
        h("span", { class: "nw-slider-low nw-small nw-muted" }),
        h("span", { class: "nw-slider-track" }, mark, slider),
        h("span", { class: "nw-slider-high nw-small nw-muted" }),
      ),
      number,
      h("span", { class: "nw-edit-note nw-small nw-muted" }),
      h(
        "button",
        {
          type: "button",
          class: "nw-remove",
          "aria-label": `Remove the intervention on ${neuron}`,
          onclick: () => handlers.onRemove?.(neuron),
        },
        "×",
      ),
    );
  }

  function update(row: HTMLElement, item: Intervention) {
    const find = <E extends HTMLElement>(selector: string) => row.querySelector<E>(selector) as E;
    const range = item.kind === "scale" ? SCALE_RANGE : (props?.rangeOf(item.neuron) ?? null);
    const slides = item.kind !== "ablate";
    const name = find(".nw-edit-name");
    name.setAttribute("aria-current", String(item.neuron === props?.selected));
    const choose = find<HTMLSelectElement>("select");
    choose.value = item.kind === "ablate" ? `ablate ${item.how ?? "zero"}` : item.kind;
    for (const option of choose.options) {
      const [kind, how] = option.value.split(" ") as [Intervention["kind"], "zero" | "mean" | undefined];
      const reason = props?.refuse({ kind, neuron: item.neuron, ...(how ? { how } : {}) }) ?? null;
      option.disabled = Boolean(reason);
      option.title = reason ?? "";
    }
    row.toggleAttribute("data-slides", slides);
    find(".nw-slider").toggleAttribute("inert", !slides);
    const slider = find<HTMLInputElement>('input[type="range"]');
    const number = find<HTMLInputElement>('input[type="number"]');
    number.disabled = !slides;
    if (slides && range) {
      const span = range.high - range.low || 1;
      slider.min = String(range.low);
      slider.max = String(range.high);
      slider.step = String(span / 400);
      const value = item.value ?? 0;
      if (Number(slider.value) !== value) slider.value = String(value);
      const inside = row.getRootNode() as Document | ShadowRoot;
      const rounded = String(roundTo(value, span));
      if (inside.activeElement !== number && number.value !== rounded) number.value = rounded;
      slider.setAttribute("aria-valuetext", `${editInWords(item)}`);
      setText(find(".nw-slider-low"), num(range.low));
      setText(find(".nw-slider-high"), num(range.high));
      const mark = find(".nw-natural-mark");
      const share = range.natural === null ? null : (range.natural - range.low) / span;
      mark.hidden = share === null || share < 0 || share > 1;
      if (share !== null) mark.style.left = `calc(${THUMB / 2}px + (100% - ${THUMB}px) * ${share})`;
      mark.title =
        item.kind === "scale" ? "× 1: as it is" : `as it is: ${num(range.natural)} at “${range.at.trim()}”`;
    } else if (number.value) number.value = "";
    const refused = props?.refuse(item) ?? null;
    const known = props?.rangeOf(item.neuron);
    const natural = known?.natural == null ? "" : `as it is: ${num(known.natural)} at “${known.at.trim()}”`;
    setText(
      find(".nw-edit-note"),
      refused ?? (slides && item.kind === "scale" ? "× 1 is as it is" : natural),
    );
    row.toggleAttribute("data-refused", Boolean(refused));
  }

  return {
    update(next: InterventionBarProps) {
      props = next;
      undo.disabled = !next.canUndo;
      redo.disabled = !next.canRedo;
      clear.disabled = !next.edits.length;
      empty.hidden = next.edits.length > 0;
      const count = next.edits.length;
      replace(
        title,
        "Interventions",
        count > 1 && h("span", { class: "nw-muted nw-small" }, ` ${count} together`),
      );
      keyed(rows, next.edits, (item) => item.neuron, create, update);
    },
    destroy() {
      box.remove();
    },
  };
}
