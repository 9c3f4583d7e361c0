// The host of exported pages: models without a kernel and without a network, under a strict content policy.
import type { AnyModel } from "@anywidget/types";
import { toBytes } from "../lib/arrays";
import { parseNeuron } from "../lib/neuron";
import { showError } from "../lib/widget";

type State = Record<string, unknown>;
// biome-ignore lint/suspicious/noExplicitAny: what an event carries depends on its name
type Listener = (...args: any[]) => void;

interface ViewRecord {
  kind: string;
  state: State;
  buffers: { path: (string | number)[]; id: string; encoding: "raw" | "deflate" }[];
}

interface Widget {
  initialize?(props: object): unknown;
  render?(props: object): unknown;
}

export const NO_KERNEL = "This page has no kernel: open the notebook to run this.";

/** What an anywidget sees of a model: traits, events, and an answer to every message. */
export class StaticModel implements AnyModel<State> {
  #listeners = new Map<string, Set<Listener>>();
  #changed = new Set<string>();

  /** `answers(command)` is what the page has been given to say to a message, such as `card L5.mlp[131]`. */
  constructor(
    readonly state: State,
    readonly answers?: (command: string) => Promise<unknown> | null,
  ) {}

  get(name: string): unknown {
    return this.state[name];
  }

  set(name: string | State, value?: unknown): void {
    if (typeof name === "object") {
      for (const [key, v] of Object.entries(name)) this.set(key, v);
      return;
    }
    if (Object.is(this.state[name], value)) return;
    this.state[name] = value;
    this.#changed.add(name);
    this.#emit(`change:${name}`);
  }

  save_changes(): void {
    if (!this.#changed.size) return;
    this.#changed.clear();
    this.#emit("change");
  }

  on(names: string, listener: Listener): void {
    for (const name of names.split(/\s+/)) {
      const set = this.#listeners.get(name) ?? new Set();
      this.#listeners.set(name, set.add(listener));
    }
  }

  off(names?: string | null, listener?: Listener | null): void {
    if (!names) {
      if (!listener) this.#listeners.clear();
      else for (const set of this.#listeners.values()) set.delete(listener);
      return;
    }
    for (const name of names.split(/\s+/)) {
      if (listener) this.#listeners.get(name)?.delete(listener);
      else this.#listeners.delete(name);
    }
  }

  send(content: { id?: string; kind?: string; neuron?: string } | null): void {
    const reply = (answer: object) => this.#emit("msg:custom", { id: content?.id, ...answer }, []);
    const refuse = (type: string, message: string) => reply({ ok: false, error: { type, message } });
    const command = [content?.kind, content?.neuron].filter(Boolean).join(" ");
    const answer = this.answers?.(command);
    if (!answer) queueMicrotask(() => refuse("NoKernel", NO_KERNEL));
    answer?.then(
      (result) => reply({ ok: true, result }),
      (error) =>
        refuse("Damaged", `The page's answer to “${command}” cannot be read: ${error?.message ?? error}`),
    );
  }

  /** How many listeners there are: none may be left when a view is gone. */
  get listening(): number {
    let n = 0;
    for (const set of this.#listeners.values()) n += set.size;
    return n;
  }

  get widget_manager(): AnyModel["widget_manager"] {
    return { get_model: () => Promise.reject(new Error(NO_KERNEL)) };
  }

  #emit(name: string, ...args: unknown[]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(...args);
  }
}

/** Draw every view of the page; `views` maps a kind to its widget. */
export async function boot(views: Record<string, Widget>): Promise<void> {
  const records = readRecords();
  const models = new Map<string, StaticModel>();
  const elements = [...document.querySelectorAll<HTMLElement>("[data-nw-view]")];
  await Promise.all(
    elements.map(async (el) => {
      try {
        const id = el.dataset.nwView ?? "";
        const record = Object.hasOwn(records, id) ? records[id] : null;
        if (!record) throw new Error(`the page has no data for the view ${JSON.stringify(id)}`);
        const kind = el.dataset.nwKind ?? record.kind;
        const widget = Object.hasOwn(views, kind) ? views[kind] : null;
        if (!widget) throw new Error(`the page has no script for views of the kind ${JSON.stringify(kind)}`);
        await fillBuffers(record);
        const model = models.get(id) ?? new StaticModel(record.state, (command) => answerOf(id, command));
        models.set(id, model);
        followHash(model);
        const { signal } = new AbortController();
        await widget.initialize?.({ model, signal, experimental });
        await widget.render?.({ model, el, signal, experimental, host });
      } catch (error) {
        el.classList.add("nw");
        showError(el, error);
      }
    }),
  );
  globalThis.addEventListener?.("hashchange", () => {
    for (const model of models.values()) followHash(model);
  });
  document.documentElement.dataset.nwReady = String(Math.round(performance.now()));
}

function readRecords(): Record<string, ViewRecord> {
  const text = document.getElementById("nw-state")?.textContent;
  try {
    return JSON.parse(text ?? "{}");
  } catch {
    return {};
  }
}

/** `page.html#L5.mlp[131]` opens with that neuron selected. */
function followHash(model: StaticModel): void {
  let wanted = location.hash.slice(1);
  try {
    wanted = decodeURIComponent(wanted);
  } catch {
    return;
  }
  if (!("selected_neuron" in model.state) || !parseNeuron(wanted)) return;
  model.set("selected_neuron", wanted);
  model.save_changes();
}

async function fillBuffers(record: ViewRecord): Promise<void> {
  for (const { path, id, encoding } of record.buffers ?? []) {
    const text = document.getElementById(id)?.textContent;
    if (text === undefined || text === null) throw new Error(`the page has lost the data block ${id}`);
    let bytes = toBytes(text.trim());
    if (encoding === "deflate") bytes = await inflate(bytes);
    else if (encoding !== "raw") throw new Error(`the data block ${id} has the unknown encoding ${encoding}`);
    let at = record.state as Record<string | number, unknown>;
    for (const key of path.slice(0, -1)) {
      if (!Object.hasOwn(at, key))
        throw new Error(`the data block ${id} belongs to nothing: ${path.join(".")}`);
      at = at[key] as Record<string | number, unknown>;
    }
    at[path[path.length - 1]] = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  record.buffers = [];
}

/** The answer that the page was given to a command of a view, unpacked now; null when there is none. */
function answerOf(id: string, command: string): Promise<unknown> | null {
  const text = document.getElementById(`nw-answer ${id} ${command}`)?.textContent;
  if (!text) return null;
  return (async () => JSON.parse(new TextDecoder().decode(await inflate(toBytes(text.trim())))))();
}

async function inflate(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as BlobPart]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const refuse = () => Promise.reject(new Error(NO_KERNEL));
const experimental = { invoke: refuse };
const host = { getModel: refuse, getWidget: refuse };
