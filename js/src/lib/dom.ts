// Elements from data: text is always text, styles are set one by one (a strict CSP forbids style attributes).

type Child = Node | string | number | null | undefined | false;
type Props = Record<string, unknown> & {
  class?: string;
  style?: Record<string, string>;
  dataset?: Record<string, string>;
};

/** h("button", {class: "nw-x", onclick: f, "aria-label": "…"}, "text") */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props?: Props | null,
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  props?: Props | null,
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function fill<E extends HTMLElement | SVGElement>(
  el: E,
  props: Props | null | undefined,
  children: Child[],
): E {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") el.setAttribute("class", String(value));
    else if (name === "style") {
      for (const [k, v] of Object.entries(value as Record<string, string>)) el.style.setProperty(k, v);
    } else if (name === "dataset") Object.assign(el.dataset, value);
    else if (name.startsWith("on") && typeof value === "function") {
      el.addEventListener(name.slice(2), value as EventListener);
    } else el.setAttribute(name, value === true ? "" : String(value));
  }
  append(el, children);
  return el;
}

function append(el: Element, children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    el.append(child instanceof Node ? child : String(child));
  }
}

/** Put `children` in place of what is there. */
export function replace(el: Element, ...children: Child[]): void {
  el.replaceChildren();
  append(el, children);
}

/** Set text only when it differs, so that screen readers and layout are left alone. */
export function setText(el: Element, text: string): void {
  if (el.textContent !== text) el.textContent = text;
}

type Handlers = { [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void };

/** Add listeners; the answer takes all of them away again. */
export function listen(
  el: EventTarget,
  handlers: Handlers,
  options: AddEventListenerOptions = {},
): () => void {
  const ends = new AbortController();
  for (const [name, fn] of Object.entries(handlers)) {
    el.addEventListener(name, fn as EventListener, { ...options, signal: ends.signal });
  }
  return () => ends.abort();
}

export interface Roving {
  /** Call after the items changed. */
  refresh(): void;
  focus(index: number, scroll?: boolean): void;
  readonly index: number;
  dispose(): void;
}

/**
 * One tab stop for a group: the arrows, Home and End move between its items (left and right swap in
 * right-to-left text). `onMove` hears of every move by key, with the event.
 */
export function roving(
  container: HTMLElement,
  selector: string,
  onMove?: (item: HTMLElement, index: number, event: KeyboardEvent) => void,
): Roving {
  let index = 0;
  const items = () => Array.from(container.querySelectorAll<HTMLElement>(selector));
  const refresh = () => {
    const all = items();
    index = Math.max(0, Math.min(index, all.length - 1));
    all.forEach((item, i) => {
      const value = i === index ? 0 : -1;
      if (item.tabIndex !== value || !item.hasAttribute("tabindex")) item.tabIndex = value;
    });
  };
  const focus = (to: number, scroll = true) => {
    const all = items();
    if (!all[to]) return;
    if (all[index] && index !== to) all[index].tabIndex = -1;
    index = to;
    all[to].tabIndex = 0;
    all[to].focus({ preventScroll: !scroll });
  };
  const keydown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const all = items();
    const at = all.findIndex((item) => item === event.target || item.contains(event.target as Node));
    if (at < 0) return;
    const rtl = getComputedStyle(all[at]).direction === "rtl";
    const steps: Record<string, number> = {
      ArrowLeft: rtl ? 1 : -1,
      ArrowRight: rtl ? -1 : 1,
      ArrowUp: -1,
      ArrowDown: 1,
      Home: -all.length,
      End: all.length,
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const to = Math.max(0, Math.min(all.length - 1, at + step));
    focus(to);
    onMove?.(all[to], to, event);
  };
  const focusin = (event: FocusEvent) => {
    const all = items();
    const at = all.indexOf(event.target as HTMLElement);
    if (at < 0 || at === index) return;
    if (all[index]) all[index].tabIndex = -1;
    all[at].tabIndex = 0;
    index = at;
  };
  const dispose = listen(container, { keydown, focusin });
  refresh();
  return {
    refresh,
    focus,
    get index() {
      return index;
    },
    dispose,
  };
}
