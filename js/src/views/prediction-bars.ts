// What the model answers before and after an edit: paired bars on one scale, and what entered and left the list.
import { h, replace, setText } from "../lib/dom";
import { num, signed } from "../lib/format";
import type { Prediction } from "../lib/payload";
import { markedText } from "./token-text";

export interface PredictionBarsProps {
  before: Prediction | null;
  after: Prediction | null;
  /** Set while the answer to the present edits is not there yet. */
  pending?: string | null;
  /** A line under the bars: how the answer was made, or why there is none. */
  note?: string;
  /** Stands in place of the bars while there is no prediction. */
  empty?: string;
  shown?: number;
}

export interface PredictionRow {
  label: string;
  before: number | null;
  after: number | null;
  /** Whether the label is new among the shown ones, or no longer there. */
  moved: "entered" | "left" | null;
}

/**
 * The rows of both predictions. The order of `before` stays, so that nothing jumps while a slider moves; what enters
 * comes below. A probability that is in neither list is null.
 */
export function predictionRows(
  before: Prediction | null,
  after: Prediction | null,
  shown = 8,
): PredictionRow[] {
  const main = before ?? after;
  if (!main) return [];
  const key = (p: Prediction, i: number) =>
    p.ids?.[i] !== undefined && p.ids[i] >= 0 ? `#${p.ids[i]}` : p.labels[i];
  const index = (p: Prediction | null) => new Map(p?.labels.map((_, i) => [key(p, i), i] as const));
  const was = index(before);
  const is = index(after);
  const top = (p: Prediction | null) => p?.labels.slice(0, shown).map((_, i) => key(p, i)) ?? [];
  const topBefore = top(before);
  const topAfter = top(after);
  const both = Boolean(before && after);
  const row = (name: string): PredictionRow => {
    const b = was.get(name);
    const a = is.get(name);
    const label = (b !== undefined ? before?.labels[b] : after?.labels[a ?? 0]) ?? name;
    return {
      label,
      before: b === undefined ? null : (before?.probabilities[b] ?? null),
      after: a === undefined ? null : (after?.probabilities[a] ?? null),
      moved:
        !both || isClosed(main)
          ? null
          : !topBefore.includes(name)
            ? "entered"
            : !topAfter.includes(name)
              ? "left"
              : null,
    };
  };
  return [...topBefore, ...topAfter.filter((name) => !topBefore.includes(name))].map(row);
}

/** Classes are all listed; next tokens are the first of very many. */
function isClosed(prediction: Prediction): boolean {
  return prediction.kind === "classes" || prediction.kind === "token_classes";
}

export function probability(p: number | null, floor: number): string {
  if (p === null) return `<${floor.toPrecision(1)}`;
  if (p > 0 && p < 0.0005) return "<0.001";
  if (p < 1 && p > 0.9995) return ">0.999";
  return p.toFixed(3);
}

/** One sentence: the answer before, the answer after, the change of the target. */
export function predictionInWords(before: Prediction | null, after: Prediction | null): string {
  const answer = (p: Prediction) =>
    `${JSON.stringify(p.labels[0])} ${probability(p.probabilities[0], 0.001)}`;
  if (!before) return "";
  if (!after) return `The model answers ${answer(before)}.`;
  const change =
    before.target && after.target
      ? ` ${after.target.name} changes by ${signed(after.target.value - before.target.value)}.`
      : "";
  return before.labels[0] === after.labels[0]
    ? `Still ${answer(after)}, before ${answer(before)}.${change}`
    : `From ${answer(before)} to ${answer(after)}.${change}`;
}

export function predictionBars(el: HTMLElement) {
  const body = h("tbody");
  const foot = h("tfoot");
  const head = h("thead");
  const table = h("table", { class: "nw-prediction" }, head, body, foot);
  const scroll = h(
    "div",
    { class: "nw-prediction-scroll", tabindex: 0, role: "group", "aria-label": "Prediction" },
    table,
  );
  const note = h("p", { class: "nw-prediction-note nw-small nw-muted" });
  const spoken = h("div", { class: "nw-hidden", "aria-live": "polite" });
  const box = h("div", { class: "nw-prediction-box" }, scroll, note, spoken);
  el.append(box);

  return {
    update({
      before,
      after,
      pending,
      note: words = "",
      empty = "No prediction yet.",
      shown = 8,
    }: PredictionBarsProps) {
      const rows = predictionRows(before, after, shown);
      table.hidden = !rows.length;
      box.toggleAttribute("data-pending", Boolean(pending));
      setText(note, rows.length ? (pending ?? words) : empty);
      if (!pending && after) setText(spoken, predictionInWords(before, after));
      const two = Boolean(before && after) || Boolean(pending);
      const floor = (p: Prediction | null) => Math.min(...(p?.probabilities ?? [0.001]));
      const cell = (text: string, name = "") => h("td", { class: `nw-number ${name}` }, text);
      replace(
        head,
        h(
          "tr",
          null,
          h("th", { scope: "col" }, isClosed(before ?? after ?? NOTHING) ? "class" : "token"),
          h("th", { scope: "col" }, h("span", { class: "nw-hidden" }, "bars")),
          h("th", { scope: "col", class: "nw-number nw-was" }, two ? "before" : "probability"),
          two && h("th", { scope: "col", class: "nw-number nw-is" }, "after"),
          two && h("th", { scope: "col", class: "nw-number" }, "change"),
        ),
      );
      replace(
        body,
        ...rows.map((row) =>
          h(
            "tr",
            { dataset: row.moved ? { moved: row.moved } : {} },
            h(
              "th",
              { scope: "row" },
              h("bdi", { class: "nw-piece" }, markedText(row.label)),
              row.moved &&
                h("span", { class: "nw-moved nw-small" }, row.moved === "entered" ? "▲ entered" : "▼ left"),
            ),
            h(
              "td",
              { class: "nw-pair" },
              bar("nw-was", row.before),
              two && bar("nw-is", after ? row.after : null),
            ),
            cell(probability(row.before, floor(before)), "nw-was"),
            two && cell(after ? probability(row.after, floor(after)) : "", "nw-is"),
            two && cell(after ? difference(row) : ""),
          ),
        ),
      );
      const target = before?.target ?? after?.target;
      replace(
        foot,
        target &&
          h(
            "tr",
            null,
            h("th", { scope: "row", colspan: 2 }, h("bdi", null, target.name)),
            cell(before?.target ? num(before.target.value) : "", "nw-was"),
            two && cell(after?.target ? num(after.target.value) : "", "nw-is"),
            two &&
              h(
                "td",
                { class: "nw-number", title: "change = F(after) − F(before)" },
                before?.target && after?.target
                  ? h("b", null, signed(after.target.value - before.target.value))
                  : "",
              ),
          ),
      );
    },
    destroy() {
      box.remove();
    },
  };
}

const NOTHING: Prediction = { kind: "classes", labels: [], ids: [], probabilities: [], target: null };

function bar(name: string, p: number | null): HTMLElement {
  const fill = h("span", { class: name });
  fill.style.width = `${100 * Math.max(0, Math.min(1, p ?? 0))}%`;
  return h("span", { class: "nw-track" }, fill);
}

function difference({ before, after }: PredictionRow): string {
  return before === null || after === null ? "" : change(after - before);
}

function change(value: number): string {
  if (value === 0) return "0";
  if (Math.abs(value) < 0.0005) return value > 0 ? "+<0.001" : "−<0.001";
  return `${value > 0 ? "+" : "−"}${Math.abs(value).toFixed(3)}`;
}
