// Zooming and panning of a grid in a box: pure functions of a view, and their wiring to wheel, drag and keys.
import { listen } from "./dom";
import type { Transform } from "./hit";

/** What is drawn, and how large: sizes in CSS pixels, `left` and `top` kept free for labels. */
export interface Frame {
  rows: number;
  cols: number;
  width: number;
  height: number;
  left: number;
  top: number;
  /** The size of a cell at zoom 1. */
  kx: number;
  ky: number;
  /** Cells grow to at most this size. */
  maxKx: number;
  maxKy: number;
}

/** zoom 1 shows cells at their first size; scrollX and scrollY are how many pixels have left at the start. */
export interface View {
  zoom: number;
  scrollX: number;
  scrollY: number;
}

export const START: View = { zoom: 1, scrollX: 0, scrollY: 0 };

export function cellSize(frame: Frame, zoom: number): { kx: number; ky: number } {
  return {
    kx: Math.min(frame.kx * zoom, Math.max(frame.kx, frame.maxKx)),
    ky: Math.min(frame.ky * zoom, Math.max(frame.ky, frame.maxKy)),
  };
}

export function contentSize(frame: Frame, zoom: number): { width: number; height: number } {
  const { kx, ky } = cellSize(frame, zoom);
  return { width: frame.cols * kx, height: frame.rows * ky };
}

/** The zooms that make sense: out until everything is seen, in until cells have their largest size. */
export function zoomRange(frame: Frame): [number, number] {
  const { width, height } = contentSize(frame, 1);
  const fit = Math.min((frame.width - frame.left) / width, (frame.height - frame.top) / height);
  const most = Math.max(frame.maxKx / frame.kx, frame.maxKy / frame.ky);
  return [Math.min(1, fit > 0 ? fit : 1), Math.max(1, most)];
}

export function clamp(view: View, frame: Frame): View {
  const [low, high] = zoomRange(frame);
  const zoom = Math.max(low, Math.min(high, view.zoom));
  const { width, height } = contentSize(frame, zoom);
  const maxX = Math.max(0, width - (frame.width - frame.left));
  const maxY = Math.max(0, height - (frame.height - frame.top));
  return {
    zoom,
    scrollX: Math.max(0, Math.min(maxX, view.scrollX)),
    scrollY: Math.max(0, Math.min(maxY, view.scrollY)),
  };
}

/** Zoom by a factor; the cell under (px, py) stays there. */
export function zoomAt(view: View, factor: number, px: number, py: number, frame: Frame): View {
  const [low, high] = zoomRange(frame);
  const zoom = Math.max(low, Math.min(high, view.zoom * factor));
  const before = cellSize(frame, view.zoom);
  const after = cellSize(frame, zoom);
  const x = Math.max(0, px - frame.left);
  const y = Math.max(0, py - frame.top);
  return clamp(
    {
      zoom,
      scrollX: ((view.scrollX + x) * after.kx) / before.kx - x,
      scrollY: ((view.scrollY + y) * after.ky) / before.ky - y,
    },
    frame,
  );
}

export function panBy(view: View, dx: number, dy: number, frame: Frame): View {
  return clamp({ ...view, scrollX: view.scrollX + dx, scrollY: view.scrollY + dy }, frame);
}

/** Scroll as little as shows the whole cell, with a margin of one cell where there is room. */
export function reveal(view: View, row: number, col: number, frame: Frame): View {
  const { kx, ky } = cellSize(frame, view.zoom);
  const along = (scroll: number, at: number, k: number, room: number) => {
    if (at - k < scroll) return at - k;
    return at + 2 * k > scroll + room ? at + 2 * k - room : scroll;
  };
  return clamp(
    {
      ...view,
      scrollX: along(view.scrollX, col * kx, kx, frame.width - frame.left),
      scrollY: along(view.scrollY, row * ky, ky, frame.height - frame.top),
    },
    frame,
  );
}

export function transform(view: View, frame: Frame): Transform {
  return { x: frame.left - view.scrollX, y: frame.top - view.scrollY, ...cellSize(frame, view.zoom) };
}

/** True when (dx, dy) would move something: only then a wheel event is ours and not the page's. */
export function canPan(view: View, dx: number, dy: number, frame: Frame): boolean {
  const to = panBy(view, dx, dy, frame);
  return Math.abs(to.scrollX - view.scrollX) + Math.abs(to.scrollY - view.scrollY) > 0.5;
}

export interface ZoomTarget {
  frame(): Frame | null;
  view(): View;
  set(view: View): void;
  /** What the keys zoom to: the cursor, else the middle. */
  centre(): [number, number];
  /** A press that did not become a drag. */
  click(px: number, py: number, event: PointerEvent): void;
}

/**
 * The wheel zooms with Ctrl or Cmd (a pinch on a touchpad arrives as that); without, it pans what has the focus and
 * otherwise belongs to the page. Dragging pans. Plus, minus and 0 zoom. Returns how to let go.
 */
export function attachZoom(el: HTMLElement, target: ZoomTarget): () => void {
  let drag: { id: number; x: number; y: number; view: View; moved: boolean } | null = null;
  const local = (event: MouseEvent): [number, number] => {
    const box = el.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const wheel = (event: WheelEvent) => {
    const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
    const [view, frame] = [target.view(), target.frame()];
    if (!frame) return;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const factor = Math.exp(-Math.max(-120, Math.min(120, event.deltaY * unit)) / 240);
      target.set(zoomAt(view, factor, ...local(event), frame));
      return;
    }
    const root = el.getRootNode() as Document | ShadowRoot;
    if (root.activeElement !== el) return;
    const [dx, dy] = event.shiftKey ? [event.deltaY * unit, 0] : [event.deltaX * unit, event.deltaY * unit];
    if (!canPan(view, dx, dy, frame)) return;
    event.preventDefault();
    target.set(panBy(view, dx, dy, frame));
  };
  const pointerdown = (event: PointerEvent) => {
    if (event.button !== 0) return;
    const [x, y] = local(event);
    drag = { id: event.pointerId, x, y, view: target.view(), moved: false };
  };
  const pointermove = (event: PointerEvent) => {
    if (drag?.id !== event.pointerId) return;
    const [x, y] = local(event);
    if (!drag.moved) {
      if (Math.hypot(x - drag.x, y - drag.y) < 4) return;
      drag.moved = true;
      el.setPointerCapture(event.pointerId);
    }
    const frame = target.frame();
    if (frame) target.set(panBy(drag.view, drag.x - x, drag.y - y, frame));
  };
  const pointerup = (event: PointerEvent) => {
    if (drag?.id !== event.pointerId) return;
    const { moved } = drag;
    drag = null;
    if (!moved && event.type === "pointerup") target.click(...local(event), event);
  };
  const keydown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const frame = target.frame();
    if (!frame) return;
    if (event.key === "+" || event.key === "=") {
      target.set(zoomAt(target.view(), 1.5, ...target.centre(), frame));
    } else if (event.key === "-") target.set(zoomAt(target.view(), 1 / 1.5, ...target.centre(), frame));
    else if (event.key === "0") target.set(clamp(START, frame));
    else return;
    event.preventDefault();
  };
  const handlers = { wheel, pointerdown, pointermove, pointerup, pointercancel: pointerup, keydown };
  return listen(el, handlers, { passive: false });
}
