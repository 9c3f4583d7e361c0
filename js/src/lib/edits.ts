/** The `interventions` trait as this view edits it: at once here, at most every 60 ms to Python, with undo. */

import type { AnyModel } from "@anywidget/types";
import { History } from "./history";
import { type Intervention, sameInterventions, withIntervention, withoutNeuron } from "./interventions";
import type { ExplorerState } from "./payload";
import { throttle } from "./throttle";

const SEND_EVERY = 60;

export class Edits {
  readonly history: History<readonly Intervention[]>;
  #send: ReturnType<typeof throttle>;

  constructor(private readonly model: AnyModel<ExplorerState>) {
    this.history = new History(this.list, sameInterventions);
    this.#send = throttle(() => model.save_changes(), SEND_EVERY);
  }

  get list(): readonly Intervention[] {
    return this.model.get("interventions") ?? [];
  }

  of(neuron: string): Intervention | null {
    return this.list.find((edit) => edit.neuron === neuron) ?? null;
  }

  /** Call when the trait changed, whoever changed it. */
  seen(): void {
    this.history.record(this.list);
  }

  put(edit: Intervention): void {
    this.#set(withIntervention(this.list, edit));
  }

  remove(neuron: string): void {
    this.#set(withoutNeuron(this.list, neuron));
  }

  clear(): void {
    this.#set([]);
  }

  undo(): void {
    this.seen();
    this.#set(this.history.undo());
  }

  redo(): void {
    this.seen();
    this.#set(this.history.redo());
  }

  begin(): void {
    this.seen();
    this.history.begin();
  }

  end(): void {
    this.seen();
    this.history.end();
    this.#send.flush();
  }

  /** Send what still waits. */
  dispose(): void {
    this.#send.flush();
    this.#send.cancel();
  }

  #set(list: readonly Intervention[]): void {
    this.model.set("interventions", [...list]);
    this.seen();
    this.#send();
  }
}
