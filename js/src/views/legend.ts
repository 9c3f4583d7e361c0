// The numeric key to a colour: what it shows, its ends, what was cut, and whose range it is.
import type { Scale } from "../lib/colour";
import { h, replace, setText } from "../lib/dom";
import { count, num } from "../lib/format";
import type { MatrixInfo, RangeKind } from "../lib/snapshot";

export interface LegendProps {
  scale: Scale | null;
  info: MatrixInfo;
  range: RangeKind;
  /** The ranges that can be chosen; one or none hides the switch. */
  ranges?: readonly RangeKind[];
  /** How many values lie beyond the ends, and the largest of them by size. */
  clipped?: { count: number; most: number; below?: boolean; above?: boolean } | null;
  hasNaN?: boolean;
  /** For example "each cell is the strongest of 4 neurons". */
  notes?: readonly string[];
  /** A value to point at (what is hovered). */
  mark?: number | null;
}
export interface Legend {
  update(props: LegendProps): void;
  mark(value: number | null): void;
  destroy(): void;
}

const RANGES: Record<RangeKind, [short: string, long: string]> = {
  text: ["this text", "the ends fit all values of this text (all but the largest 0.1 %)"],
  neuron: ["this neuron", "the ends fit the selected neuron"],
  fixed: ["fixed", "the ends stay as they are when the text changes"],
};

export function legend(el: HTMLElement, on: { onRange?: (range: RangeKind) => void } = {}): Legend {
  const title = h("span", { class: "nw-legend-title" });
  const low = h("span", { class: "nw-legend-end" });
  const zero = h("span", { class: "nw-legend-zero" }, "0");
  const high = h("span", { class: "nw-legend-end" });
  const bar = h("span", { class: "nw-legend-bar" });
  const pointer = h("span", { class: "nw-legend-mark", hidden: true });
  const cutLow = h("span", { class: "nw-legend-cut", "aria-hidden": "true" });
  const cutHigh = h("span", { class: "nw-legend-cut", "aria-hidden": "true" });
  const track = h("span", { class: "nw-legend-track" }, bar, zero, pointer);
  const select = h("select", {
    class: "nw-small",
    "aria-label": "Range of the colours",
    onchange: () => on.onRange?.(select.value as RangeKind),
  });
  const notes = h("span", { class: "nw-legend-notes nw-muted" });
  const root = h(
    "div",
    { class: "nw-legend nw-small", role: "group", "aria-label": "Colour legend" },
    title,
    h("span", { class: "nw-legend-scale" }, low, cutLow, track, cutHigh, high),
    select,
    notes,
  );
  el.append(root);
  let scale: Scale | null = null;
  let painted = "";
  const mark = (value: number | null) => {
    const show = value !== null && scale !== null && scale.max > 0 && !Number.isNaN(value);
    pointer.hidden = !show;
    if (!show || !scale) return;
    const t = (value - scale.min) / (scale.max - scale.min);
    pointer.style.left = `${100 * Math.max(0, Math.min(1, t))}%`;
  };
  return {
    update(props) {
      scale = props.scale;
      root.hidden = !scale;
      if (!scale) return;
      const { name, of, unit } = props.info;
      setText(title, `colour: ${name}${of ? ` of ${of}` : ""}`);
      const end = (v: number) => `${num(v)}${unit ? ` ${unit}` : ""}`;
      setText(low, scale.signed ? end(scale.min) : "0");
      setText(high, end(scale.max));
      zero.hidden = !scale.signed;
      const gradient = gradientOf(scale);
      if (gradient !== painted) bar.style.backgroundImage = painted = gradient;
      const clipped = props.clipped?.count ? props.clipped : null;
      setText(cutLow, clipped && (clipped.below ?? scale.signed) ? "◂" : "");
      setText(cutHigh, clipped && (clipped.above ?? true) ? "▸" : "");
      const ranges = props.ranges ?? [];
      select.hidden = ranges.length < 2;
      if (select.options.length !== ranges.length) {
        replace(
          select,
          ...ranges.map((r) => h("option", { value: r, title: RANGES[r][1] }, `range: ${RANGES[r][0]}`)),
        );
      }
      select.value = props.range;
      select.title = RANGES[props.range][1];
      const words = [
        ...(ranges.length < 2 ? [`range: ${RANGES[props.range][0]}`] : []),
        ...(clipped ? [`${count(clipped.count, "value")} beyond the ends, up to ${num(clipped.most)}`] : []),
        ...(props.notes ?? []),
      ];
      replace(
        notes,
        words.join(" · "),
        props.hasNaN &&
          h("span", null, words.length ? " · " : "", h("span", { class: "nw-hatch" }), " not a number"),
      );
      mark(props.mark ?? null);
    },
    mark,
    destroy() {
      root.remove();
    },
  };
}

function gradientOf(scale: Scale): string {
  const from = 1;
  const steps = 32;
  const stops = Array.from({ length: steps + 1 }, (_, i) => {
    const entry = Math.round(from + ((255 - from) * i) / steps);
    return `rgb(${scale.entry(entry).join(" ")})`;
  });
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
