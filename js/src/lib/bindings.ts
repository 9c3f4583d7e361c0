// One view's hold on a model: reads, writes and listens, and lets go of exactly what it took.
import type { AnyModel } from "@anywidget/types";

export interface Binding<T extends object = Record<string, unknown>> {
  get<K extends keyof T & string>(name: K): T[K];
  /** Set and save: Python and the other views hear of it. */
  set<K extends keyof T & string>(name: K, value: T[K]): void;
  /** Call `fn` once after any of the traits changed (changes of one message are one call). */
  on(names: (keyof T & string) | readonly (keyof T & string)[], fn: () => void): void;
  dispose(): void;
}

type Listener = [event: string, fn: () => void];

/** Bind a view to a model; what a listener throws goes to `onError`, a listener that ended well to `onDone`. */
export function bind<T extends object>(
  model: AnyModel<T>,
  onError: (error: unknown) => void = (error) => {
    throw error;
  },
  onDone: () => void = () => {},
): Binding<T> {
  const listeners: Listener[] = [];
  let open = true;
  return {
    get: (name) => model.get(name),
    set(name, value) {
      if (!open) return;
      model.set(name, value);
      model.save_changes();
    },
    on(names, fn) {
      if (!open) return;
      let waiting = false;
      const hear = () => {
        if (waiting) return;
        waiting = true;
        queueMicrotask(() => {
          waiting = false;
          if (!open) return;
          try {
            fn();
            onDone();
          } catch (error) {
            onError(error);
          }
        });
      };
      for (const name of typeof names === "string" ? [names] : names) {
        model.on(`change:${name}`, hear);
        listeners.push([`change:${name}`, hear]);
      }
    },
    dispose() {
      open = false;
      for (const [event, fn] of listeners.splice(0)) model.off(event, fn);
    },
  };
}
