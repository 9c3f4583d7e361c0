// The target against the value that one neuron is set to, over its observed range: hover to read, click to set.
import { h, replace } from "../lib/dom";
import { num } from "../lib/format";
import type { Dose } from "../lib/payload";
import { svg } from "../lib/svg";
import { nearest } from "../lib/swept";

export interface DoseResponseProps {
  dose: Dose | null;
  target: string;
  /** The value that an intervention sets now. */
  value: number | null;
}

export interface DoseResponseHandlers {
  onValue?(value: number): void;
}

const HEIGHT = 100;
const MARGIN = 6;

export function doseResponse(el: HTMLElement, handlers: DoseResponseHandlers = {}) {
  const plot = svg("svg", { class: "nw-dose-plot", preserveAspectRatio: "none", role: "img" });
  const low = h("span");
  const high = h("span");
  const readout = h("span", { class: "nw-readout" });
  const box = h(
    "div",
    { class: "nw-dose" },
    plot,
    h("div", { class: "nw-axis nw-small nw-muted" }, low, readout, high),
  );
  el.append(box);
  let props: DoseResponseProps = { dose: null, target: "", value: null };
  let hover: number | null = null;

  const valueAt = (event: MouseEvent) => {
    const { dose } = props;
    if (!dose?.x.length) return null;
    const area = plot.getBoundingClientRect();
    const share = (event.clientX - area.left) / (area.width || 1);
    return nearest(dose.x, dose.x[0] + share * (dose.x[dose.x.length - 1] - dose.x[0]));
  };
  plot.addEventListener("pointermove", (event) => {
    hover = valueAt(event);
    draw();
  });
  plot.addEventListener("pointerleave", () => {
    hover = null;
    draw();
  });
  plot.addEventListener("click", (event) => {
    const i = valueAt(event);
    if (i !== null && props.dose) handlers.onValue?.(props.dose.x[i]);
  });

  function draw() {
    const { dose, target, value } = props;
    if (!dose?.x.length) {
      plot.replaceChildren();
      for (const part of [low, high, readout]) replace(part);
      return;
    }
    const first = dose.x[0];
    const span = dose.x[dose.x.length - 1] - first || 1;
    const bottom = Math.min(...dose.target);
    const rise = Math.max(...dose.target) - bottom || 1;
    const x = (v: number) => Math.max(0, Math.min(100, (100 * (v - first)) / span));
    const y = (v: number) => HEIGHT - MARGIN - ((HEIGHT - 2 * MARGIN) * (v - bottom)) / rise;
    const d = dose.x.map((v, i) => `${i ? "L" : "M"}${x(v)},${y(dose.target[i])}`).join("");
    const vertical = (v: number, name: string) => svg("path", { class: name, d: `M${x(v)},0V${HEIGHT}` });
    const at = hover ?? (value === null ? null : nearest(dose.x, value));
    plot.setAttribute("viewBox", `0 0 100 ${HEIGHT}`);
    plot.setAttribute(
      "aria-label",
      `${target} against the neuron's value: from ${num(dose.target[0])} at ${num(first)} ` +
        `to ${num(dose.target[dose.target.length - 1])} at ${num(dose.x[dose.x.length - 1])}`,
    );
    plot.replaceChildren(
      vertical(dose.natural, "nw-natural"),
      ...(value === null ? [] : [vertical(value, "nw-here-line")]),
      ...(hover === null ? [] : [vertical(dose.x[hover], "nw-hover-line")]),
      svg("path", { class: "nw-curve", d }),
    );
    replace(low, num(first));
    replace(high, num(dose.x[dose.x.length - 1]));
    replace(
      readout,
      at === null
        ? `┆ natural ${num(dose.natural)}`
        : h("span", null, `set to ${num(dose.x[at])}: `, h("b", null, num(dose.target[at]))),
    );
  }

  return {
    update(next: DoseResponseProps) {
      props = next;
      draw();
    },
    destroy() {
      box.remove();
    },
  };
}
