// What a neuron may stand for, and whether that is worth anything: the held-out score on one axis with random neurons.
import { h, replace } from "../lib/dom";
import { num, signed } from "../lib/format";
import type { Explained, TopWord } from "../lib/payload";
import { svg } from "../lib/svg";
import { markedText } from "./token-text";

export interface ExplanationListProps {
  explanations: readonly Explained[];
  words: readonly TopWord[];
}

/** In words, how an explanation stands against those of random neurons. */
export function verdict({ score, control_95, controls }: Explained): { good: boolean; words: string } {
  if (score === null) return { good: false, words: "it could not be scored" };
  if (control_95 === null || !controls.length)
    return { good: true, words: "no random neurons to compare with" };
  return score > control_95
    ? { good: true, words: "better than 95 % of random neurons" }
    : { good: false, words: "no better than random neurons" };
}

export function explanationList(el: HTMLElement) {
  const box = h("div", { class: "nw-explanations" });
  el.append(box);
  let drawn: unknown[] = [];
  return {
    update({ explanations, words }: ExplanationListProps) {
      if (drawn[0] === explanations && drawn[1] === words) return;
      drawn = [explanations, words];
      replace(box, words.length > 0 && wordLine(words), ...explanations.map(one));
    },
    destroy() {
      box.remove();
    },
  };
}

function wordLine(words: readonly TopWord[]): HTMLElement {
  return h(
    "div",
    { class: "nw-explanation" },
    h("div", { class: "nw-small nw-muted" }, "tokens with the largest values"),
    h(
      "ul",
      { class: "nw-statements" },
      ...words.map(({ text, value, count }) =>
        h(
          "li",
          { title: `largest value ${num(value)}, over ${count} places` },
          h("bdi", null, markedText(text.replace(/^[Ġ▁]/, ""))),
          h("span", { class: "nw-small nw-muted" }, num(value, 2)),
        ),
      ),
    ),
  );
}

function one(explained: Explained): HTMLElement {
  const { method, statements, more, statement_score, warnings } = explained;
  const found = verdict(explained);
  return h(
    "div",
    { class: "nw-explanation" },
    h(
      "div",
      { class: "nw-explanation-head" },
      h("b", null, method),
      // Its own warning says more.
      !warnings.length &&
        h("span", { class: found.good ? "nw-small nw-muted" : "nw-small nw-warning" }, found.words),
    ),
    h(
      "ul",
      { class: "nw-statements" },
      ...statements.map(({ text, score, sign, count }) =>
        h(
          "li",
          {
            dataset: { sign: String(sign) },
            title: `${statement_score} ${num(score)}, ${count} places${sign < 0 ? ", goes with low values" : ""}`,
          },
          sign < 0 && h("span", { "aria-label": "low:" }, "−"),
          h("bdi", null, markedText(text)),
          h("span", { class: "nw-small nw-muted" }, num(score, 2)),
        ),
      ),
      more > 0 && h("li", { class: "nw-muted" }, `${more} more`),
    ),
    !statements.length && h("p", { class: "nw-missing" }, "It found nothing to say."),
    scoreLine(explained),
    ...warnings.map((warning) => h("div", { class: "nw-small nw-warning" }, warning)),
  );
}

/** The score and those of the random neurons on the range that the score can have. */
function scoreLine({
  score,
  score_name,
  range,
  chance,
  controls,
  control_mean,
  control_95,
}: Explained): HTMLElement {
  const known = controls.filter((value): value is number => value !== null);
  // A correlation is never far below 0: the empty half of its range says nothing.
  const low = Math.max(range[0], Math.min(0, score ?? 0, ...known));
  const x = (value: number) => (100 * (value - low)) / (range[1] - low || 1);
  const tick = (value: number, top: number, name: string) =>
    svg("path", { class: name, d: `M${x(value)},${top}V${20 - top}` });
  const plot = svg("svg", {
    class: "nw-score-plot",
    viewBox: "0 0 100 20",
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  plot.append(svg("path", { class: "nw-zero", d: "M0,10H100" }));
  for (const value of known) plot.append(tick(value, 5, "nw-tick"));
  if (chance !== null) plot.append(tick(chance, 3, "nw-chance"));
  if (control_95 !== null) plot.append(tick(control_95, 2, "nw-control"));
  if (score !== null) plot.append(tick(score, 0, "nw-here-line"));
  return h(
    "div",
    { class: "nw-score" },
    h("div", { class: "nw-small" }, `${score_name} `, h("b", null, score === null ? "none" : num(score))),
    h(
      "span",
      { class: "nw-score-track nw-small nw-muted" },
      h("span", null, num(low, 2)),
      plot,
      h("span", null, num(range[1], 2)),
    ),
    h(
      "span",
      {
        class: "nw-small nw-muted",
        title: chance === null ? null : `an explanation that says nothing gets ${num(chance)}`,
      },
      known.length
        ? `${known.length} random neurons: mean ${num(control_mean)}, 95 % at ${num(control_95)}`
        : "no random neurons",
    ),
  );
}

/** "+0.43" -> how value and effect go together over the corpus. */
export function correlationInWords(
  correlation: number | null | undefined,
  target: string | null | undefined,
): string {
  return correlation === null || correlation === undefined
    ? ""
    : `value and effect on ${target ?? "the target"} correlate ${signed(correlation, 2)}`;
}
