// A model with a kernel behind it, as a widget sees one: it keeps what was saved and sent, and answers when told to.

type Listener = (...args: unknown[]) => void;
interface Message {
  id: string;
  kind: string;
  [more: string]: unknown;
}

export class FakeKernel {
  readonly sent: Message[] = [];
  /** Every save: the traits that had changed by then. */
  readonly saved: Record<string, unknown>[] = [];
  #listeners = new Map<string, Set<Listener>>();
  #dirty: Record<string, unknown> = {};

  constructor(readonly state: Record<string, unknown>) {}

  get(name: string): unknown {
    return this.state[name];
  }
  set(name: string, value: unknown): void {
    if (Object.is(this.state[name], value)) return;
    this.state[name] = value;
    this.#dirty[name] = value;
    this.emit(`change:${name}`);
  }
  save_changes(): void {
    if (!Object.keys(this.#dirty).length) return;
    this.saved.push(this.#dirty);
    this.#dirty = {};
  }
  on(name: string, listener: Listener): void {
    this.#listeners.set(name, (this.#listeners.get(name) ?? new Set()).add(listener));
  }
  off(name: string, listener: Listener): void {
    this.#listeners.get(name)?.delete(listener);
  }
  send(content: Message): void {
    this.sent.push(content);
  }
  emit(name: string, ...args: unknown[]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(...args);
  }

  /** What Python does: set some traits as one message. */
  python(traits: Record<string, unknown>): Promise<void> {
    for (const [name, value] of Object.entries(traits)) {
      this.state[name] = value;
      this.emit(`change:${name}`);
    }
    return Promise.resolve();
  }
  answer(kind: string, reply: object): void {
    const message = [...this.sent].reverse().find((one) => one.kind === kind);
    if (!message) throw new Error(`no message ${kind} was sent`);
    this.emit("msg:custom", { id: message.id, ...reply }, []);
  }
  of(kind: string): Message[] {
    return this.sent.filter((message) => message.kind === kind);
  }
  get listening(): number {
    return [...this.#listeners.values()].reduce((sum, set) => sum + set.size, 0);
  }
}
