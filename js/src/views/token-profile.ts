// One neuron over the tokens: a bar each, in reading order, a second neuron or the hovered one as a line.
import { h, replace } from "../lib/dom";
import { num } from "../lib/format";
import { svg } from "../lib/svg";

export interface TokenProfileProps {
  pieces: readonly string[];
  values: ArrayLike<number> | null;
  /** Drawn as a line over the bars, on the same scale. */
  other: { label: string; values: ArrayLike<number> } | null;
  token: number | null;
  /** The text runs from right to left, and so do the bars. */
  rtl?: boolean;
}

export interface TokenProfileHandlers {
  onHover?(token: number | null): void;
  onSelect?(token: number): void;
}

const HEIGHT = 100;
/** So many words fit under their bars. */
const MOST_LABELS = 16;

export function tokenProfile(el: HTMLElement, handlers: TokenProfileHandlers = {}) {
  const plot = svg("svg", { class: "nw-profile-plot", preserveAspectRatio: "none", role: "img" });
  const readout = h("div", { class: "nw-readout nw-small" });
  const labels = h("div", { class: "nw-profile-labels nw-small nw-muted", "aria-hidden": "true" });
  const box = h("div", { class: "nw-profile" }, plot, labels, readout);
  el.append(box);
  let count = 0;
  const tokenAt = (event: PointerEvent | MouseEvent) => {
    const area = plot.getBoundingClientRect();
    const share = (event.clientX - area.left) / (area.width || 1);
    const t = Math.floor((box.dir === "rtl" ? 1 - share : share) * count);
    return t >= 0 && t < count ? t : null;
  };
  plot.addEventListener("pointermove", (event) => handlers.onHover?.(tokenAt(event)));
  plot.addEventListener("pointerleave", () => handlers.onHover?.(null));
  plot.addEventListener("click", (event) => {
    const t = tokenAt(event);
    if (t !== null) handlers.onSelect?.(t);
  });

  return {
    update({ pieces, values, other, token, rtl }: TokenProfileProps) {
      box.dir = rtl ? "rtl" : "ltr";
      count = values?.length ?? 0;
      if (!values || !count) {
        plot.replaceChildren();
        replace(readout);
        replace(labels);
        return;
      }
      const all = [...Array.from(values), ...(other ? Array.from(other.values) : [])].filter(Number.isFinite);
      const top = Math.max(0, ...all);
      const bottom = Math.min(0, ...all);
      const y = (v: number) => HEIGHT * (1 - (v - bottom) / (top - bottom || 1));
      let up = "";
      let down = "";
      for (let t = 0; t < count; t++) {
        const v = values[t];
        if (!Number.isFinite(v) || v === 0) continue;
        const bar = `M${t + 0.12},${y(0)}V${y(v)}h0.76V${y(0)}z`;
        if (v > 0) up += bar;
        else down += bar;
      }
      let line = "";
      for (let t = 0; other && t < other.values.length; t++) {
        line += `${t ? "H" : "M"}${t}${t ? "" : `,${y(other.values[t])}`}V${y(other.values[t])}H${t + 1}`;
      }
      const strongest = argmax(values);
      plot.setAttribute("viewBox", `0 0 ${count} ${HEIGHT}`);
      plot.setAttribute(
        "aria-label",
        `activation over ${count} tokens, strongest ${num(values[strongest])} at “${pieces[strongest]}”`,
      );
      plot.replaceChildren(
        ...(token === null
          ? []
          : [svg("rect", { class: "nw-here", x: token, y: 0, width: 1, height: HEIGHT })]),
        svg("path", { class: "nw-bar-up", d: up }),
        svg("path", { class: "nw-bar-down", d: down }),
        svg("path", { class: "nw-zero", d: `M0,${y(0)}H${count}` }),
        ...(other ? [svg("path", { class: "nw-other", d: line })] : []),
      );
      const at = (t: number, v: ArrayLike<number>) =>
        h("bdi", null, `“${pieces[t]?.trim() || pieces[t]}” `, num(v[t]));
      labels.hidden = count > MOST_LABELS;
      replace(labels, ...(labels.hidden ? [] : pieces.map((piece) => h("bdi", null, piece))));
      replace(
        readout,
        token !== strongest && h("span", null, "strongest ", at(strongest, values)),
        token !== null && h("span", { class: "nw-here-text" }, at(token, values)),
        other && token !== null && h("span", null, "--- ", at(token, other.values)),
        other && token === null && h("span", null, "--- ", other.label),
      );
    },
    destroy() {
      box.remove();
    },
  };
}

/** Where |v| is largest; NaN never wins. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  let size = -1;
  for (let i = 0; i < values.length; i++) {
    const v = Math.abs(values[i]);
    if (v > size) {
      size = v;
      best = i;
    }
  }
  return best;
}
