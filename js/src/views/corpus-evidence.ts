// What a corpus says about one neuron, on a page of its own: density, statistics, examples, explanations.
import type { Scale } from "../lib/colour";
import { h, replace, setText } from "../lib/dom";
import { count, num, percent } from "../lib/format";
import type { Corpus, CorpusCard } from "../lib/payload";
import { section } from "./card-section";
import { density, percentileOf } from "./density";
import { exampleList, type Looked } from "./example-list";
import { correlationInWords, explanationList } from "./explanation-list";
import { legend } from "./legend";
import { percentileName } from "./percentile";

export interface CorpusEvidenceProps {
  card: CorpusCard;
  scale: Scale;
  /** A group of the examples, or "all". */
  group: string;
  context: number;
  /** How many tokens were left out of the statistics, by reason. */
  excluded: Readonly<Record<string, number>>;
}

export interface CorpusEvidenceHandlers {
  onGroup(group: string): void;
  onContext(context: number): void;
}

export function corpusEvidence(left: HTMLElement, right: HTMLElement, on: CorpusEvidenceHandlers) {
  let props: CorpusEvidenceProps | null = null;
  const densityPart = section("Values in the corpus");
  const explanationPart = section("May stand for");
  const examplePart = section("Fires on");
  const facts = h("dl", { class: "nw-facts nw-small" });
  const histogram = density(densityPart.body);
  const readout = h("div", { class: "nw-readout nw-small" });
  densityPart.body.append(readout, facts);
  const explanations = explanationList(explanationPart.body);
  const examples = exampleList(examplePart.body, {
    onQuantile: (group) => on.onGroup(group),
    onContext: (context) => on.onContext(context),
    onHover: (looked) => look(looked),
  });
  const key = legend(examplePart.body);
  left.append(densityPart.el, explanationPart.el);
  right.append(examplePart.el);

  const look = (looked: Looked | null) => {
    const corpus = props?.card.corpus ?? null;
    const value = looked?.value ?? null;
    histogram.update({ corpus, value });
    key.mark(value);
    replace(
      readout,
      corpus && looked
        ? h(
            "span",
            { class: "nw-here-text" },
            h("bdi", null, `“${looked.piece}” `),
            value === null
              ? "no value kept"
              : `${num(value)}, ${percentileName(percentileOf(corpus, value))}`,
          )
        : corpus && "Point at a token to see where its value stands.",
    );
  };

  return {
    update(next: CorpusEvidenceProps) {
      props = next;
      const { card, scale } = next;
      const { corpus, missing } = card;
      // Explanations alone are not a page with holes: they are all there is.
      const alone = !corpus && !card.examples.length && Boolean(card.explanations?.length);
      densityPart.el.hidden = right.hidden = alone;
      setText(alone ? explanationPart.note : examplePart.note, alone ? (missing.examples ?? "") : "");
      densityPart.show(corpus ? null : (missing.corpus ?? "Not computed."));
      setText(densityPart.note, corpus ? `${count(corpus.tokens, "token")} of ${corpus.name}` : "");
      replace(facts, ...(corpus ? factsOf(corpus, next.excluded) : []));
      const said = (card.explanations?.length ?? 0) + (card.words?.length ?? 0);
      explanationPart.show(
        said ? null : (missing.explanations ?? "No explanation of this neuron was given."),
      );
      explanations.update({ explanations: card.explanations ?? [], words: card.words ?? [] });
      examplePart.show(card.examples.length ? null : (missing.examples ?? "No example was found."));
      examples.update({ examples: card.examples, scale, quantile: next.group, context: next.context });
      key.update({
        scale: card.examples.length ? scale : null,
        info: { name: "activation", of: card.neuron, signed: true, unit: "" },
        range: "neuron",
      });
      look(null);
    },
    destroy() {
      for (const view of [histogram, explanations, examples, key]) view.destroy();
      for (const part of [densityPart, explanationPart, examplePart]) part.el.remove();
    },
  };
}

function factsOf(corpus: Corpus, excluded: Readonly<Record<string, number>>): HTMLElement[] {
  const fact = (name: string, value: string, title = "") =>
    h("div", { title }, h("dt", null, name), h("dd", null, value));
  const left = Object.entries(excluded).filter(([, many]) => many > 0);
  const facts = [
    fact("range", `${num(corpus.min)} to ${num(corpus.max)}`),
    fact(
      "mean",
      `${num(corpus.mean)}${corpus.sd == null ? "" : ` ± ${num(corpus.sd)}`}`,
      "± one standard deviation",
    ),
  ];
  if (corpus.positive != null) {
    facts.push(
      fact("above 0", `${percent(corpus.positive)} of tokens`, `sparsity ${percent(1 - corpus.positive)}`),
    );
  }
  if (left.length) {
    const many = left.reduce((sum, [, n]) => sum + n, 0);
    facts.push(fact("left out", count(many, "token"), left.map(([why, n]) => `${why}: ${n}`).join(", ")));
  }
  const together = correlationInWords(corpus.correlation, corpus.target);
  if (together) facts.push(fact("effect", together));
  return facts;
}
