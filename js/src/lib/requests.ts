// Commands to Python: {id, kind, ...} out, {id, ok, result | error} back.
import type { AnyModel } from "@anywidget/types";
import { toBytes } from "./arrays";

/** What Python (or a page without a kernel) answered instead of a result. */
export class RequestError extends Error {
  constructor(
    readonly type: string,
    message: string,
  ) {
    super(message);
    this.name = "RequestError";
  }
}

interface Reply {
  id?: string;
  ok?: boolean;
  result?: unknown;
  error?: { type?: string; message?: string };
}
interface Open {
  resolve(answer: { result: unknown; buffers: DataView[] }): void;
  reject(error: Error): void;
}
export interface RequestOptions {
  /** Hears true when a ping stays unanswered for `busyAfter` ms, and false when it is answered after all. */
  onBusy?: (busy: boolean) => void;
  busyAfter?: number;
}

export class Requests {
  #open = new Map<string, Open>();
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #pinging: Promise<boolean> | null = null;
  #busy = false;
  #closed = false;

  constructor(
    // biome-ignore lint/suspicious/noExplicitAny: a request never looks at the traits
    readonly model: AnyModel<any>,
    readonly options: RequestOptions = {},
  ) {
    model.on("msg:custom", this.#hear);
  }

  /** Ask Python; rejects with a RequestError when it answers with an error. */
  async send<R = unknown>(kind: string, payload: object = {}): Promise<R> {
    return (await this.exchange<R>(kind, payload)).result;
  }

  /** Like send, with the buffers of the answer. */
  exchange<R = unknown>(kind: string, payload: object = {}): Promise<{ result: R; buffers: DataView[] }> {
    if (this.#closed) return Promise.reject(new RequestError("Closed", "This view was closed."));
    const id = uuid();
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve: resolve as Open["resolve"], reject });
      try {
        this.model.send({ ...payload, id, kind });
      } catch (error) {
        this.#open.delete(id);
        reject(error);
      }
    });
  }

  /** True when the kernel answers in time; false when it is busy (the answer still clears the busy state). */
  ping(): Promise<boolean> {
    this.#pinging ??= new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        this.#setBusy(true);
        resolve(false);
      }, this.options.busyAfter ?? 800);
      this.#timers.add(timer);
      const done = () => {
        clearTimeout(timer);
        this.#timers.delete(timer);
        this.#pinging = null;
        if (!this.#closed) this.#setBusy(false);
        resolve(!this.#closed);
      };
      this.send("ping").then(done, done);
    });
    return this.#pinging;
  }

  dispose(): void {
    this.#closed = true;
    this.model.off("msg:custom", this.#hear);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    for (const request of this.#open.values()) {
      request.reject(new RequestError("Closed", "This view was closed."));
    }
    this.#open.clear();
  }

  #setBusy(busy: boolean): void {
    if (busy === this.#busy) return;
    this.#busy = busy;
    this.options.onBusy?.(busy);
  }

  #hear = (message: Reply, buffers: (ArrayBuffer | ArrayBufferView)[] = []): void => {
    const request = message?.id ? this.#open.get(message.id) : undefined;
    if (!request || !message.id) return;
    this.#open.delete(message.id);
    if (message.ok) {
      // Colab hands over Uint8Array where Jupyter hands over DataView.
      const views = (buffers ?? [])
        .map(toBytes)
        .map((b) => new DataView(b.buffer, b.byteOffset, b.byteLength));
      request.resolve({ result: message.result, buffers: views });
    } else {
      const { type = "Error", message: text = "Python answered without a reason." } = message.error ?? {};
      request.reject(new RequestError(type, text));
    }
  };
}

// crypto.randomUUID is missing on plain http, where many Jupyter servers live.
function uuid(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 15) | 64;
  b[8] = (b[8] & 63) | 128;
  const hex = Array.from(b, (x) => x.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
