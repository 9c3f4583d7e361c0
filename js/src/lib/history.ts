/**
 * Undo and redo of one value that others may change as well.
 *
 * `record` takes every value that was seen, whoever set it; a value equal to the present one is no step. Between
 * `begin` and `end` (a drag) all values are one step.
 */
export class History<T> {
  #past: T[] = [];
  #future: T[] = [];
  #now: T;
  #dragging = false;
  #dragStepTaken = false;

  constructor(
    start: T,
    private readonly same: (a: T, b: T) => boolean,
    private readonly limit = 200,
  ) {
    this.#now = start;
  }

  get now(): T {
    return this.#now;
  }
  get canUndo(): boolean {
    return this.#past.length > 0;
  }
  get canRedo(): boolean {
    return this.#future.length > 0;
  }

  begin(): void {
    this.#dragging = true;
    this.#dragStepTaken = false;
  }

  end(): void {
    this.#dragging = false;
  }

  record(value: T): void {
    if (this.same(value, this.#now)) return;
    if (!this.#dragging || !this.#dragStepTaken) {
      this.#past.push(this.#now);
      if (this.#past.length > this.limit) this.#past.shift();
      this.#dragStepTaken = this.#dragging;
    }
    this.#future = [];
    this.#now = value;
  }

  /** The value to go back to (it becomes the present one), or the present one when there is none. */
  undo(): T {
    if (this.#past.length) {
      this.#future.push(this.#now);
      this.#now = this.#past.pop() as T;
    }
    return this.#now;
  }

  redo(): T {
    if (this.#future.length) {
      this.#past.push(this.#now);
      this.#now = this.#future.pop() as T;
    }
    return this.#now;
  }
}
