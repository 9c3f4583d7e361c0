/** The edits a person asked for, as the `interventions` trait holds them. */

export type InterventionKind = "ablate" | "set" | "scale";

export interface Intervention {
  kind: InterventionKind;
  neuron: string;
  how?: "zero" | "mean";
  value?: number;
}

export function sameIntervention(a: Intervention, b: Intervention): boolean {
  return (
    a.kind === b.kind &&
    a.neuron === b.neuron &&
    (a.kind === "ablate" ? (a.how ?? "zero") === (b.how ?? "zero") : a.value === b.value)
  );
}

export function sameInterventions(a: readonly Intervention[], b: readonly Intervention[]): boolean {
  return a.length === b.length && a.every((item, i) => sameIntervention(item, b[i]));
}

/** One edit a neuron: `edit` takes the place of the neuron's present one, or goes to the end. */
export function withIntervention(list: readonly Intervention[], edit: Intervention): Intervention[] {
  const at = list.findIndex((item) => item.neuron === edit.neuron);
  return at < 0 ? [...list, edit] : list.map((item, i) => (i === at ? edit : item));
}

export function withoutNeuron(list: readonly Intervention[], neuron: string): Intervention[] {
  return list.filter((item) => item.neuron !== neuron);
}

/** "off (zero)", "= 2.4", "× 2": what is done, without the neuron's name. */
export function editInWords(edit: Intervention): string {
  if (edit.kind === "ablate") return `off (${edit.how ?? "zero"})`;
  const value = String(Number((edit.value ?? 0).toPrecision(4)));
  return edit.kind === "set" ? `= ${value}` : `× ${value}`;
}

/** Whether two edits differ only in their number: the moves of one slider. */
export function onlyValueDiffers(a: readonly Intervention[], b: readonly Intervention[]): boolean {
  return (
    a.length === b.length &&
    a.every((item, i) => item.neuron === b[i].neuron && item.kind === b[i].kind && item.how === b[i].how)
  );
}
