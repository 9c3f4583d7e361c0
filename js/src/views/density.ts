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

/** The share of values under `value`, in percent, interpolated within its bin. */
export function percentileOf({ edges, counts }: Corpus, value: number): number {
  let below = 0;
  const all = counts.reduce((sum, count) => sum + count, 0);
  counts.forEach((count, i) => {
    const share =
      edges[i + 1] > edges[i] ? (value - edges[i]) / (edges[i + 1] - edges[i]) : Number(value >= edges[i]);
    below += count * Math.max(0, Math.min(1, share));
  });
  return all ? (100 * below) / all : Number.NaN;
}

/**
 * The bins cut to the range of the values, with their counts as if all were as wide as the usual one: the outermost
 * bins reach as far as any value did.
 */
export function binsOf({ edges, counts, min, max }: Corpus) {
  const cut = (v: number) => Math.max(min, Math.min(max, v));
  const bins = counts.map((count, i) => ({ count, from: cut(edges[i]), to: cut(edges[i + 1]) }));
  const widths = bins.map(({ from, to }) => to - from).filter((width) => width > 0);
  const usual = widths.sort((a, b) => a - b)[Math.floor(widths.length / 2)] ?? 1;
  const scaled = bins.map((bin) => ({ ...bin, density: (bin.count * usual) / (bin.to - bin.from || usual) }));
  return { low: min, bins: scaled };
}

export function density(el: HTMLElement) {
  const plot = svg("svg", { class: "nw-density-plot", preserveAspectRatio: "none", role: "img" });
  const low = h("span");
  const high = h("span");
  const box = h(
    "div",
    { class: "nw-density" },
    plot,
    h("div", { class: "nw-axis nw-small nw-muted" }, low, h("span", null, "log density"), high),
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
      const { low: first, bins } = binsOf(corpus);
      const span = corpus.max - first || 1;
      const x = (v: number) => (100 * (v - first)) / span;
      let up = "";
      let down = "";
      const heights = barHeights(bins.map((bin) => bin.density));
      bins.forEach(({ from, to }, i) => {
        if (!heights[i]) return;
        const bar = (left: number, right: number) =>
          `M${x(left)},${HEIGHT}v${-HEIGHT * heights[i]}H${Math.max(x(right), x(left) + 0.4)}V${HEIGHT}z`;
        // The bin that zero falls into is shared.
        if (from < 0) down += bar(from, Math.min(0, to));
        if (to > 0 || from >= 0) up += bar(Math.max(0, from), to);
      });
      const mark = value === null || Number.isNaN(value) ? null : Math.max(0, Math.min(100, x(value)));
      plot.setAttribute("viewBox", `0 0 100 ${HEIGHT}`);
      plot.setAttribute(
        "aria-label",
        `values over ${group(corpus.tokens)} tokens of ${corpus.name}, from ${num(corpus.min)} to ${num(corpus.max)}` +
          (mark === null ? "" : `; here ${num(value)}`),
      );
      plot.replaceChildren(
        svg("path", { class: "nw-counts-down", d: down }),
        svg("path", { class: "nw-counts-up", d: up }),
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
