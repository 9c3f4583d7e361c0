// One layer: tokens down, neurons across.
import type { NdArray } from "../lib/arrays";
import type { Scale } from "../lib/colour";
import { h } from "../lib/dom";
import { group, num } from "../lib/format";
import { GridImage, hatch } from "../lib/grid-image";
import { type Cell, cellBox, type Transform, visible } from "../lib/hit";
import { formatNeuron, parseNeuron } from "../lib/neuron";
import { byStrength } from "../lib/order";
import type { MatrixInfo, Sort, TokensState } from "../lib/snapshot";
import { type SurfaceOptions, surface } from "../lib/surface";
import type { Theme } from "../lib/theme";
import type { Frame } from "../lib/zoom";
import { ring } from "./canvas-marks";
import { visibleWhitespace } from "./token-text";
import type { TooltipContent } from "./tooltip";

export interface LayerHeatmapProps {
  model: { layers: readonly number[]; site: string; stack: string | null; width: number };
  /** (layer, token, neuron), or (layer, neuron): then one row. */
  values: NdArray;
  /** Index of the first axis. */
  layer: number;
  tokens: TokensState | null;
  info: MatrixInfo;
  scale: Scale;
  sort: Sort;
  /** Rows (layer, neuron) to sort by. */
  keys?: Partial<Record<Sort, readonly Float32Array[]>>;
  token: number | null;
  selected: string | null;
  pinned?: readonly string[];
  hovered?: string | null;
  hoveredToken?: number | null;
  details?: (neuron: string) => readonly (readonly [string, string])[];
  theme: Theme;
  height?: number;
}
export interface LayerHeatmapEvents {
  onSelect?: (neuron: string | null, token: number | null, add: boolean) => void;
  onHover?: (neuron: string | null, token: number | null, value: number | null) => void;
}
export interface LayerHeatmap {
  update(props: LayerHeatmapProps): void;
  reveal(neuron: string): void;
  destroy(): void;
}

const HEIGHT = 480;
const ROW = 18;
const TOP = 20;

export function layerHeatmap(el: HTMLElement, on: LayerHeatmapEvents = {}): LayerHeatmap {
  const holder = h("div", { class: "nw-layer" });
  el.append(holder);
  let props: LayerHeatmapProps | null = null;
  let order: Int32Array | null = null;
  let place: Int32Array | null = null;
  let image: GridImage | null = null;
  let rows = 0;
  let cols = 0;
  let seen: unknown[] = [];

  const indexAt = (col: number) => (order ? order[col] : col);
  const colOf = (name: string | null | undefined): number => {
    const address = parseNeuron(name);
    if (!address || !props || address.layer !== props.model.layers[props.layer]) return -1;
    if (address.site !== props.model.site || address.stack !== props.model.stack || address.index >= cols)
      return -1;
    return place ? place[address.index] : address.index;
  };
  const nameAt = (col: number) => {
    const { layers, site, stack } = (props as LayerHeatmapProps).model;
    return formatNeuron({
      layer: layers[(props as LayerHeatmapProps).layer],
      index: indexAt(col),
      site,
      stack,
    });
  };
  const valueAt = (cell: Cell): number => {
    const { values, layer } = props as LayerHeatmapProps;
    const index = indexAt(cell.col);
    return values.shape.length === 3 ? values.at(layer, cell.row, index) : values.at(layer, index);
  };
  const tokenText = (row: number): string => {
    const { tokens } = props as LayerHeatmapProps;
    if (!tokens) return rows > 1 ? `${row}` : "";
    return (
      tokens.pieces[row] || (tokens.shares[row] && !tokens.special[row] ? "〃" : (tokens.raw[row] ?? ""))
    );
  };

  const prepare = () => {
    if (!props) return;
    const { values, layer, sort, keys } = props;
    const three = values.shape.length === 3;
    rows = three ? values.shape[1] : 1;
    cols = values.shape[values.shape.length - 1];
    const key = sort === "index" ? null : keys?.[sort]?.[layer];
    order = key ? byStrength(key) : null;
    image = null;
    place = order ? invert(order) : null;
    view.forget();
  };

  /** The values of a token in the order that they are drawn. */
  const rowAt = (r: number): Float32Array => {
    const { values, layer } = props as LayerHeatmapProps;
    const row = values.shape.length === 3 ? values.row(layer, r) : values.row(layer);
    if (!order) return row;
    const sorted = new Float32Array(cols);
    for (let c = 0; c < cols; c++) sorted[c] = row[order[c]];
    return sorted;
  };

  const frame = (width: number): Frame | null => {
    if (!props || !rows || !cols) return null;
    const most = props.height ?? HEIGHT;
    const left = rows > 1 || props.tokens ? Math.round(Math.min(112, width * 0.22)) : 8;
    const height = Math.min(most, TOP + Math.max(rows, 4) * ROW);
    return {
      rows,
      cols,
      width,
      height,
      left,
      top: TOP,
      kx: Math.min(24, (width - left - 6) / cols),
      ky: Math.min(ROW, (height - TOP) / rows),
      maxKx: 24,
      maxKy: ROW,
    };
  };

  const draw: SurfaceOptions["draw"] = (context, t, f, { over, cursor }) => {
    if (!props) return;
    const { theme, scale } = props;
    image ??= new GridImage({ rows, cols, row: rowAt }, scale);
    image.recolour(scale);
    const width = Math.min(f.width - f.left, f.cols * t.kx + t.x - f.left);
    const height = Math.min(f.height - f.top, f.rows * t.ky + t.y - f.top);
    const box = { x: f.left, y: f.top, width, height };
    image.draw(context, t, box, globalThis.devicePixelRatio || 1);
    if (image.hasNaN) {
      context.globalCompositeOperation = "destination-over";
      context.fillStyle = hatch(context, theme.muted);
      context.fillRect(box.x, box.y, box.width, box.height);
      context.globalCompositeOperation = "source-over";
    }
    context.strokeStyle = theme.line;
    context.lineWidth = 1;
    context.strokeRect(box.x - 0.5, box.y - 0.5, box.width + 1, box.height + 1);
    context.save();
    context.beginPath();
    context.rect(box.x, box.y - 6, box.width, box.height + 6);
    context.clip();
    for (const name of props.pinned ?? []) column(context, t, f, colOf(name), theme, 1);
    column(context, t, f, colOf(props.hovered), theme, 1);
    if (over) ring(context, cellBox(t, over), theme, 1);
    if (cursor) ring(context, cellBox(t, cursor), theme, 1, true);
    column(context, t, f, colOf(props.selected), theme, 2);
    context.restore();
    tokenLabels(context, t, f, over?.row ?? null);
    axis(context, t, f, theme, order !== null);
  };

  const tokenLabels = (context: CanvasRenderingContext2D, t: Transform, f: Frame, over: number | null) => {
    const { theme, tokens, token, hoveredToken } = props as LayerHeatmapProps;
    if (rows === 1 && !tokens) return;
    const [from, to] = visible(t.y, t.ky, f.top, f.height, rows);
    const step = Math.max(1, Math.ceil(13 / t.ky));
    const special = new Set([token, over ?? hoveredToken].filter((r): r is number => typeof r === "number"));
    const show = (row: number, strong: boolean) => {
      const y = t.y + (row + 0.5) * t.ky;
      if (y < f.top - 1 || y > f.height + 1) return;
      const text = shorten(context, printable(tokenText(row)), f.left - 14);
      if (strong) {
        context.fillStyle = theme.background;
        context.fillRect(0, y - 8, f.left - 2, 16);
        context.fillStyle = row === token ? theme.accent : theme.text;
        if (row === token)
          context.fillRect(f.left - 4, Math.max(f.top, y - Math.max(t.ky, 2) / 2), 3, Math.max(t.ky, 2));
      } else context.fillStyle = tokens?.special[row] ? theme.muted : theme.text;
      context.direction = RTL.test(text) ? "rtl" : "ltr";
      context.fillText(text, f.left - 8, y);
    };
    context.font = `12px ${theme.font}`;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (let row = Math.ceil(from / step) * step; row < to; row += step) {
      const near = [...special].some((s) => s !== row && Math.abs(s - row) * t.ky < 13);
      if (!special.has(row) && !near) show(row, false);
    }
    for (const row of special) show(row, true);
    context.direction = "ltr";
  };

  const describe = (cell: Cell): TooltipContent => {
    const p = props as LayerHeatmapProps;
    const value = valueAt(cell);
    const name = nameAt(cell.col);
    const beyond = p.scale.clipped(value) ? " (beyond the range)" : "";
    const text = tokenText(cell.row);
    return {
      title: name,
      rows: [
        [p.info.name, `${num(value)}${p.info.unit ? ` ${p.info.unit}` : ""}${beyond}`] as const,
        ...(text ? [["token", `${cell.row} ${printable(text)}`] as const] : []),
        ...(p.details?.(name) ?? []),
      ],
    };
  };
  const view = surface(holder, {
    label: "One layer: tokens down, neurons across. Arrow keys move, Enter selects, plus and minus zoom.",
    frame,
    draw,
    describe,
    valid: (cell) => cell,
    hover(cell) {
      on.onHover?.(cell && nameAt(cell.col), cell && (rows > 1 ? cell.row : null), cell && valueAt(cell));
    },
    choose(cell, add) {
      const name = nameAt(cell.col);
      const token = rows > 1 ? cell.row : null;
      const same = !add && name === props?.selected && token === props?.token;
      on.onSelect?.(same ? null : name, same ? null : token, add);
    },
    clear() {
      if (!props?.selected) return false;
      on.onSelect?.(null, null, false);
      return true;
    },
    start: () => ({ row: props?.token ?? 0, col: Math.max(0, colOf(props?.selected)) }),
    step(cell, key) {
      const step = STEPS[key];
      return step ? { row: within(cell.row + step[0], rows), col: within(cell.col + step[1], cols) } : null;
    },
  });

  return {
    update(next) {
      const before = props;
      props = next;
      const key = next.sort === "index" ? null : (next.keys?.[next.sort]?.[next.layer] ?? null);
      const now = [next.values, next.layer, key];
      const changed = now.some((part, i) => part !== seen[i]);
      seen = now;
      if (changed) prepare();
      if (changed || before?.height !== next.height || before?.tokens !== next.tokens) view.layout();
      view.paint();
    },
    reveal(neuron) {
      const col = colOf(neuron);
      if (col >= 0) view.reveal({ row: props?.token ?? 0, col });
    },
    destroy() {
      view.destroy();
      holder.remove();
    },
  };
}

/** Steps of the cursor: rows and columns; far steps are cut to the edge. */
const FAR = 1e9;
const STEPS: Record<string, [number, number] | undefined> = {
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  Home: [0, -FAR],
  End: [0, FAR],
  PageUp: [-10, 0],
  PageDown: [10, 0],
};
const within = (i: number, n: number) => Math.max(0, Math.min(n - 1, i));

function invert(order: Int32Array): Int32Array {
  const place = new Int32Array(order.length);
  for (let i = 0; i < order.length; i++) place[order[i]] = i;
  return place;
}

const RTL = /^[^\p{L}]*[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]/u;

/** One line of text for a canvas: what cannot be seen is drawn as a sign. */
function printable(text: string): string {
  const shown = text.trim() ? text.trim() : text;
  return visibleWhitespace(shown)
    .map((part) => (part.mark && (part.wide || !text.trim()) ? part.mark : part.text))
    .join("");
}

function shorten(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (context.measureText(text).width <= width) return text;
  const chars = Array.from(text).slice(0, 40);
  while (chars.length > 1 && context.measureText(`${chars.join("")}…`).width > width) chars.pop();
  return `${chars.join("")}…`;
}

/** A neuron over all tokens: a frame around its column, with a mark above when it is thin. */
function column(
  context: CanvasRenderingContext2D,
  t: Transform,
  f: Frame,
  col: number,
  theme: Theme,
  weight: number,
): void {
  if (col < 0) return;
  const x = t.x + col * t.kx;
  const colour = weight > 1 ? theme.accent : theme.text;
  const bottom = Math.min(f.height, t.y + f.rows * t.ky);
  if (t.kx >= 4) {
    ring(context, { x, y: t.y, width: t.kx, height: f.rows * t.ky }, theme, weight);
  } else {
    context.fillStyle = theme.panel;
    context.fillRect(x - 1.5, f.top, t.kx + 3, bottom - f.top);
    context.fillStyle = colour;
    context.fillRect(x - 0.5, f.top, Math.max(1, t.kx + 1), bottom - f.top);
  }
  const middle = x + t.kx / 2;
  context.fillStyle = colour;
  context.beginPath();
  context.moveTo(middle - 4, f.top - 6);
  context.lineTo(middle + 4, f.top - 6);
  context.lineTo(middle, f.top - 1);
  context.fill();
}

/** Neuron numbers, or ranks when sorted, at round steps. */
function axis(
  context: CanvasRenderingContext2D,
  t: Transform,
  f: Frame,
  theme: Theme,
  sorted: boolean,
): void {
  const [from, to] = visible(t.x, t.kx, f.left, f.width, f.cols);
  context.fillStyle = theme.muted;
  context.font = `11px ${theme.font}`;
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  const step = niceStep(64 / t.kx);
  for (let col = Math.ceil(from / step) * step; col < to; col += step) {
    const x = t.x + (col + 0.5) * t.kx;
    if (x < f.left || x > f.width - 4) continue;
    context.fillRect(x, f.top - 4, 1, 3);
    const text = sorted ? `#${group(col + 1)}` : group(col);
    context.fillText(text, Math.max(f.left + 8, Math.min(f.width - 16, x)), f.top - 7);
  }
}

/** 1, 2, 5, 10, 20, …: the smallest that is at least `least`. */
export function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  for (const factor of [1, 2, 5, 10]) if (factor * power >= least) return factor * power;
  return 10 * power;
}
