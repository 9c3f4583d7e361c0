/** What a page without a kernel can still answer: the runs that were made before it was written. */

import { editInWords, type Intervention } from "./interventions";
import type { Card, Prediction } from "./payload";

export interface SweptAnswer {
  after: Prediction | null;
  /** What stands beside the answer, or why there is none. */
  note: string;
}

const NEEDS_KERNEL = "needs a kernel";

export function nearest(values: readonly number[], wanted: number): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) {
    if (Math.abs(values[i] - wanted) < Math.abs(values[best] - wanted)) best = i;
  }
  return best;
}

/** Whether the edit can be answered from the card at all, with the reason if not. */
export function canAnswer(edit: Pick<Intervention, "kind" | "how">, card: Card | null): string | null {
  if (!card) return `${NEEDS_KERNEL}: nothing was precomputed for this neuron`;
  if (edit.kind === "set") return card.dose ? null : `${NEEDS_KERNEL}: this neuron was not swept`;
  if (edit.kind === "scale") return `${NEEDS_KERNEL}: scaling was not precomputed`;
  if (!card.off) return `${NEEDS_KERNEL}: switching this neuron off was not precomputed`;
  const made = ablationOf(card);
  const asked = edit.how ?? made ?? "zero";
  return made && made !== asked ? `${NEEDS_KERNEL}: only "off (${made})" was precomputed` : null;
}

/** The ablation by which the card's own numbers were made, when it is one of those a person can choose. */
export function ablationOf(card: Card | null): "zero" | "mean" | null {
  const name = card?.effect?.ablation.toLowerCase() ?? "";
  return name.startsWith("zero") ? "zero" : name.startsWith("mean") ? "mean" : null;
}

export function sweptAnswer(
  edits: readonly Intervention[],
  before: Prediction | null,
  cardOf: (neuron: string) => Card | null,
): SweptAnswer {
  if (!edits.length) return { after: null, note: "" };
  if (edits.length > 1) return { after: null, note: `Several changes at once: ${NEEDS_KERNEL}.` };
  const edit = edits[0];
  const card = cardOf(edit.neuron);
  const reason = canAnswer(edit, card);
  if (reason || !card) return { after: null, note: `${edit.neuron} ${editInWords(edit)}: ${reason}.` };
  if (edit.kind === "ablate") {
    return { after: card.off && { ...card.off, asked: [edit] }, note: "Precomputed." };
  }
  const dose = card.dose!;
  const i = nearest(dose.x, edit.value ?? dose.natural);
  const x = dose.x[i];
  const after: Prediction = {
    kind: before?.kind ?? "classes",
    labels: dose.labels,
    ids: dose.labels.map((label) => before?.ids?.[before.labels.indexOf(label)] ?? -1),
    probabilities: dose.probabilities[i],
    target: before?.target ? { name: before.target.name, value: dose.target[i] } : null,
    interventions: [`${edit.neuron} = ${x}`],
    asked: [edit],
  };
  return {
    after,
    note: `Swept value ${Number(x.toPrecision(3))}, nearest of ${dose.x.length} precomputed ones.`,
  };
}
