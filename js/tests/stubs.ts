// What jsdom lacks and the views ask for. There is no canvas: drawing is tested in a real browser.
export const observed = new Set<Element>();

class FakeResizeObserver {
  #elements = new Set<Element>();
  observe(el: Element) {
    this.#elements.add(el);
    observed.add(el);
  }
  unobserve(el: Element) {
    this.#elements.delete(el);
    observed.delete(el);
  }
  disconnect() {
    for (const el of this.#elements) observed.delete(el);
    this.#elements.clear();
  }
}

Object.assign(globalThis, { ResizeObserver: FakeResizeObserver });
HTMLCanvasElement.prototype.getContext = () => null;
Element.prototype.scrollIntoView ??= () => {};

/** Listeners added and not removed on `targets`, counted from now on. */
export function countListeners(...targets: EventTarget[]): { open(): number; restore(): void } {
  const open = new Map<EventTarget, Set<string>>();
  const undo: (() => void)[] = [];
  let ids = 0;
  const idOf = new WeakMap<object, number>();
  const key = (name: string, fn: object) => {
    if (!idOf.has(fn)) idOf.set(fn, ++ids);
    return `${name} ${idOf.get(fn)}`;
  };
  for (const target of targets) {
    const { addEventListener, removeEventListener } = target;
    const set = new Set<string>();
    open.set(target, set);
    target.addEventListener = (name: string, fn: EventListener, options?: object) => {
      set.add(key(name, fn));
      addEventListener.call(target, name, fn, options);
    };
    target.removeEventListener = (name: string, fn: EventListener) => {
      set.delete(key(name, fn));
      removeEventListener.call(target, name, fn);
    };
    undo.push(() => Object.assign(target, { addEventListener, removeEventListener }));
  }
  return {
    open: () => [...open.values()].reduce((n, set) => n + set.size, 0),
    restore: () => {
      for (const fn of undo) fn();
    },
  };
}
