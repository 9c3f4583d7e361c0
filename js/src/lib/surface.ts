// A canvas that shows a grid through a zoomable window: sizes, device pixels, pointer, cursor and keys.
import { type Anchor, type TooltipContent, tooltip } from "../views/tooltip";
import { h, listen, setText } from "./dom";
import { type Cell, cellAt, cellBox, type Transform } from "./hit";
import {
  attachZoom,
  canPan,
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
  /** `over` is under the pointer, `cursor` is where the keyboard is (null without focus). */
  draw(
    context: CanvasRenderingContext2D,
    t: Transform,
    frame: Frame,
    marks: { over: Cell | null; cursor: Cell | null },
  ): void;
  /** The cell as it can be pointed at, or null where the grid is empty. */
  valid(cell: Cell): Cell | null;
  describe(cell: Cell): TooltipContent;
  hover(cell: Cell | null): void;
  choose(cell: Cell, add: boolean): void;
  /** Escape; false when there is nothing to give up. */
  clear(): boolean;
  /** Where the cursor is when it is first needed. */
  start(): Cell;
  /** Where a key moves the cursor; null when the key means nothing here. */
  step(cell: Cell, key: string): Cell | null;
}

export interface Surface {
  readonly canvas: HTMLCanvasElement;
  readonly transform: Transform | null;
  /** The grid changed: measure again; zoom and place are kept as far as they still make sense. */
  layout(): void;
  paint(): void;
  /** Forget the cursor and the hover: their cells mean something else now. */
  forget(): void;
  /** Bring a cell into view and put the cursor on it. */
  reveal(cell: Cell): void;
  destroy(): void;
}

export function surface(el: HTMLElement, options: SurfaceOptions): Surface {
  const canvas = h("canvas", {
    class: "nw-surface",
    tabindex: "0",
    role: "application",
    "aria-label": options.label,
  });
  const [out, into, whole] = [
    ["−", "Zoom out", () => zoomBy(1 / 1.6)] as const,
    ["+", "Zoom in", () => zoomBy(1.6)] as const,
    ["fit", "Fit: show the whole picture", () => set({ ...START, zoom: 0 })] as const,
  ].map(([text, title, onclick]) =>
    h("button", { type: "button", class: "nw-small", title, "aria-label": title, onclick }, text),
  );
  const hint = h("span", { class: "nw-small nw-muted" });
  const buttons = h("div", { class: "nw-zoom" }, hint, out, into, whole);
  const live = h("div", { class: "nw-hidden", "aria-live": "polite" });
  const box = h("div", { class: "nw-surface-box" }, canvas, buttons, live);
  el.append(box);
  const tip = tooltip(box);
  const context = canvas.getContext?.("2d") ?? null;
  let view: View = START;
  let frame: Frame | null = null;
  let pending = 0;
  let drawnWidth = -1;
  let over: Cell | null = null;
  let cursor: Cell | null = null;

  const focused = () => (canvas.getRootNode() as Document | ShadowRoot).activeElement === canvas;
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
    options.draw(context, transform(view, frame), frame, { over, cursor: focused() ? cursor : null });
    scrollMarks(context, transform(view, frame), frame, getComputedStyle(canvas).color);
  };
  const paint = () => {
    pending ||= requestAnimationFrame(draw);
  };
  const set = (next: View) => {
    if (!frame) return;
    view = clamp(next, frame);
    tip.hide();
    const [low, high] = zoomRange(frame);
    out.disabled = view.zoom <= low * 1.001;
    into.disabled = view.zoom >= high * 0.999;
    whole.disabled = out.disabled && view.scrollX + view.scrollY === 0;
    const more = canPan(clamp(START, frame), 1e6, 1e6, frame) || canPan(view, 1e6, 1e6, frame);
    buttons.toggleAttribute("data-more", more);
    setText(hint, more ? "drag to see more" : "");
    paint();
  };
  const layout = () => {
    drawnWidth = box.clientWidth;
    frame = options.frame(Math.max(80, drawnWidth || 640));
    canvas.style.height = frame ? `${frame.height}px` : "";
    if (!frame) return;
    const [low, high] = zoomRange(frame);
    buttons.hidden = high / low < 1.05;
    set(view);
  };
  const centre = (): [number, number] => {
    if (!frame) return [0, 0];
    if (!cursor) return [(frame.width + frame.left) / 2, (frame.height + frame.top) / 2];
    const b = cellBox(transform(view, frame), cursor);
    return [b.x + b.width / 2, b.y + b.height / 2];
  };
  const zoomBy = (factor: number) => {
    if (frame) set(zoomAt(view, factor, ...centre(), frame));
  };
  const at = (x: number, y: number): Cell | null => {
    if (!frame || x < frame.left || y < frame.top || x > frame.width || y > frame.height) return null;
    const cell = cellAt(transform(view, frame), x, y, frame.rows, frame.cols);
    return cell && options.valid(cell);
  };
  const hover = (cell: Cell | null, anchor?: Anchor) => {
    if (cell?.row !== over?.row || cell?.col !== over?.col) {
      over = cell;
      options.hover(cell);
      paint();
    }
    if (cell && anchor) tip.show(options.describe(cell), anchor);
    else tip.hide();
  };
  const moveTo = (cell: Cell) => {
    if (!frame) return;
    cursor = cell;
    set(reveal(view, cell.row, cell.col, frame));
    const { title, rows = [] } = options.describe(cell);
    setText(live, [title, ...rows.map(([label, value]) => `${label} ${value}`)].join(", "));
  };

  const pointermove = (event: PointerEvent) => {
    if (event.buttons) return;
    const bounds = canvas.getBoundingClientRect();
    const { clientX: x, clientY: y } = event;
    hover(at(x - bounds.left, y - bounds.top), { x: x - 6, y: y - 6, width: 12, height: 12 });
  };
  const keydown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !frame) return;
    const here = cursor ?? options.start();
    const to = options.step(here, event.key);
    if (to) {
      moveTo(cursor ? to : here);
      const bounds = canvas.getBoundingClientRect();
      const b = cellBox(transform(view, frame), cursor ?? here);
      tip.show(options.describe(cursor ?? here), { ...b, x: b.x + bounds.x, y: b.y + bounds.y });
    } else if (event.key === "Enter" || event.key === " ") {
      cursor = here;
      options.choose(here, event.shiftKey);
    } else if (event.key !== "Escape" || !options.clear()) return;
    event.preventDefault();
    event.stopPropagation();
  };
  const deafen = listen(canvas, {
    pointermove,
    pointerleave: () => hover(null),
    keydown,
    focus: paint,
    blur() {
      tip.hide();
      paint();
    },
  });
  const release = attachZoom(canvas, {
    frame: () => frame,
    view: () => view,
    set,
    centre,
    click(x, y, event) {
      const cell = at(x, y);
      if (!cell) return;
      cursor = cell;
      options.choose(cell, event.shiftKey);
    },
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
    layout,
    paint,
    forget() {
      over = cursor = null;
      tip.hide();
    },
    reveal: moveTo,
    destroy() {
      release();
      resize.disconnect();
      if (pending) cancelAnimationFrame(pending);
      deafen();
      tip.destroy();
      box.remove();
    },
  };
}

/** Thin bars at the edges that say which part of the grid is seen. */
function scrollMarks(context: CanvasRenderingContext2D, t: Transform, f: Frame, colour: string): void {
  const bar = (
    start: number,
    room: number,
    content: number,
    origin: number,
    rect: (at: number, size: number) => void,
  ) => {
    if (content <= room + 1) return;
    const size = Math.max(16, (room * room) / content);
    rect(start + ((start - origin) / (content - room)) * (room - size), size);
  };
  context.fillStyle = colour;
  context.globalAlpha = 0.45;
  bar(f.top, f.height - f.top, f.rows * t.ky, t.y, (at, size) => context.fillRect(f.width - 4, at, 3, size));
  bar(f.left, f.width - f.left, f.cols * t.kx, t.x, (at, size) =>
    context.fillRect(at, f.height - 4, size, 3),
  );
  context.globalAlpha = 1;
}
