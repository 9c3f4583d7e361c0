// Where values of one neuron fall in a corpus: a histogram, and a line for the token that is looked at.
import { h, replace } from "../lib/dom";
import { group, num } from "../lib/format";
import type { Corpus } from "../lib/payload";
import { svg } from "../lib/svg";

export interface DensityProps {
  corpus: Corpus | null;
  value: number | null;
}

const HEIGHT = 100;

/** Heights from 0 to 1 on a logarithmic scale: most values of a neuron sit near zero. */
export function barHeights(counts: readonly number[]): number[] {
  const top = Math.log1p(Math.max(0, ...counts));
  return counts.map((count) => (top ? Math.log1p(Math.max(0, count)) / top : 0));
}

export function density(el: HTMLElement) {
  const plot = svg("svg", { class: "nw-density-plot", preserveAspectRatio: "none", role: "img" });
  const low = h("span");
  const high = h("span");
  const box = h(
    "div",
    { class: "nw-density" },
    plot,
    h("div", { class: "nw-axis nw-small nw-muted" }, low, h("span", null, "log counts"), high),
  );
  el.append(box);
  return {
    update({ corpus, value }: DensityProps) {
      if (!corpus?.counts.length) {
        plot.replaceChildren();
        replace(low);
        replace(high);
        return;
      }
      const { edges, counts } = corpus;
      const first = edges[0];
      const span = edges[edges.length - 1] - first || 1;
      const x = (v: number) => (100 * (v - first)) / span;
      const heights = barHeights(counts);
      const d = heights
        .map((height, i) =>
          height ? `M${x(edges[i])},${HEIGHT}v${-HEIGHT * height}H${x(edges[i + 1])}V${HEIGHT}z` : "",
        )
        .join("");
      const mark = value === null || Number.isNaN(value) ? null : Math.max(0, Math.min(100, x(value)));
      plot.setAttribute("viewBox", `0 0 100 ${HEIGHT}`);
      plot.setAttribute(
        "aria-label",
        `values over ${group(corpus.tokens)} tokens of ${corpus.name}, from ${num(corpus.min)} to ${num(corpus.max)}` +
          (mark === null ? "" : `; here ${num(value)}`),
      );
      plot.replaceChildren(
        svg("path", { class: "nw-counts", d }),
        ...(first < 0 ? [svg("path", { class: "nw-zero", d: `M${x(0)},0V${HEIGHT}` })] : []),
        ...(mark === null ? [] : [svg("path", { class: "nw-here-line", d: `M${mark},0V${HEIGHT}` })]),
      );
      replace(low, num(corpus.min));
      replace(high, num(corpus.max));
    },
    destroy() {
      box.remove();
    },
  };
}
