// A canvas that shows a grid through a zoomable window: sizes, device pixels, pointer and keys; what is drawn is given.
import { h } from "./dom";
import { type Cell, cellAt, type Transform } from "./hit";
import {
  attachZoom,
  clamp,
  type Frame,
  reveal,
  START,
  transform,
  type View,
  zoomAt,
  zoomRange,
} from "./zoom";

export interface SurfaceOptions {
  label: string;
  /** The grid for this width; null while there is nothing to show. */
  frame(width: number): Frame | null;
  draw(context: CanvasRenderingContext2D, t: Transform, frame: Frame): void;
  hover(cell: Cell | null, box: { x: number; y: number; width: number; height: number } | null): void;
  click(cell: Cell | null, event: PointerEvent): void;
  /** Return true when the key was used. */
  key(event: KeyboardEvent): boolean;
  blur?(): void;
}

export interface Surface {
  readonly canvas: HTMLCanvasElement;
  readonly transform: Transform | null;
  readonly zoom: number;
  /** The grid changed: measure again; the zoom and place are kept as far as they still make sense. */
  layout(): void;
  paint(): void;
  reveal(row: number, col: number): void;
  zoomBy(factor: number): void;
  reset(): void;
  destroy(): void;
}

export function surface(el: HTMLElement, options: SurfaceOptions): Surface {
  const canvas = h("canvas", {
    class: "nw-surface",
    tabindex: "0",
    role: "application",
    "aria-label": options.label,
  });
  const buttons = h(
    "div",
    { class: "nw-zoom" },
    button("−", "Zoom out", () => zoomBy(1 / 1.6)),
    button("+", "Zoom in", () => zoomBy(1.6)),
    button("fit", "Show the whole picture", () => set({ ...START, zoom: 0 })),
  );
  const box = h("div", { class: "nw-surface-box" }, canvas, buttons);
  el.append(box);
  const context = canvas.getContext?.("2d") ?? null;
  let view: View = START;
  let frame: Frame | null = null;
  let pending = 0;
  let drawnWidth = -1;

  const draw = () => {
    pending = 0;
    if (!frame || !context) return;
    const ratio = globalThis.devicePixelRatio || 1;
    const [w, ht] = [Math.round(frame.width * ratio), Math.round(frame.height * ratio)];
    if (canvas.width !== w || canvas.height !== ht) {
      canvas.width = w;
      canvas.height = ht;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, frame.width, frame.height);
    options.draw(context, transform(view, frame), frame);
  };
  const paint = () => {
    pending ||= requestAnimationFrame(draw);
  };
  const set = (next: View) => {
    if (!frame) return;
    view = clamp(next, frame);
    const [low, high] = zoomRange(frame);
    const all = buttons.children as HTMLCollectionOf<HTMLButtonElement>;
    all[0].disabled = view.zoom <= low * 1.001;
    all[1].disabled = view.zoom >= high * 0.999;
    all[2].disabled = all[0].disabled && view.scrollX + view.scrollY === 0;
    paint();
  };
  const layout = () => {
    drawnWidth = box.clientWidth;
    frame = options.frame(Math.max(80, drawnWidth || 640));
    box.style.height = frame ? `${frame.height}px` : "";
    canvas.style.width = "100%";
    canvas.style.height = frame ? `${frame.height}px` : "";
    if (frame) {
      const [low, high] = zoomRange(frame);
      buttons.hidden = high / low < 1.05;
      set(view);
    } else paint();
  };
  const zoomBy = (factor: number) => {
    if (frame)
      set(zoomAt(view, factor, (frame.width + frame.left) / 2, (frame.height + frame.top) / 2, frame));
  };
  const at = (x: number, y: number): Cell | null => {
    if (!frame || x < frame.left || y < frame.top || x > frame.width || y > frame.height) return null;
    return cellAt(transform(view, frame), x, y, frame.rows, frame.cols);
  };

  const onMove = (event: PointerEvent) => {
    if (event.buttons) return;
    const bounds = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - bounds.left, event.clientY - bounds.top];
    const cell = at(x, y);
    options.hover(cell, cell && { x: event.clientX - 6, y: event.clientY - 6, width: 12, height: 12 });
  };
  const onLeave = () => options.hover(null, null);
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (options.key(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  };
  const onBlur = () => options.blur?.();
  canvas.addEventListener("pointermove", onMove);
  canvas.addEventListener("pointerleave", onLeave);
  canvas.addEventListener("keydown", onKey);
  canvas.addEventListener("blur", onBlur);
  const release = attachZoom(canvas, {
    frame: () => frame ?? EMPTY,
    view: () => view,
    set,
    click: (x, y, event) => options.click(at(x, y), event),
  });
  // A changed height is our own doing; only a new width needs a new layout.
  const resize = new ResizeObserver(() => {
    if (Math.abs(box.clientWidth - drawnWidth) >= 1) layout();
  });
  resize.observe(box);
  return {
    canvas,
    get transform() {
      return frame && transform(view, frame);
    },
    get zoom() {
      return view.zoom;
    },
    layout,
    paint,
    reveal(row, col) {
      if (frame) set(reveal(view, row, col, frame));
    },
    zoomBy,
    reset: () => set(START),
    destroy() {
      release();
      resize.disconnect();
      if (pending) cancelAnimationFrame(pending);
      canvas.removeEventListener("pointermove", onMove);
      canvas.removeEventListener("pointerleave", onLeave);
      canvas.removeEventListener("keydown", onKey);
      canvas.removeEventListener("blur", onBlur);
      box.remove();
    },
  };
}

const EMPTY: Frame = {
  rows: 0,
  cols: 0,
  width: 1,
  height: 1,
  left: 0,
  top: 0,
  kx: 1,
  ky: 1,
  maxKx: 1,
  maxKy: 1,
};

function button(text: string, title: string, onclick: () => void): HTMLButtonElement {
  return h("button", { type: "button", class: "nw-small", title, "aria-label": title, onclick }, text);
}
