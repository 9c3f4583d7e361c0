// The whole model: a band of cells per layer, one cell per neuron.
import type { NdArray } from "../lib/arrays";
import { type Bands, bands, cellOf, type Place, placeOf, type Step, stepFrom } from "../lib/bands";
import type { Scale } from "../lib/colour";
import { h } from "../lib/dom";
import { field } from "../lib/field";
import { num } from "../lib/format";
import { GridImage, hatch } from "../lib/grid-image";
import { type Cell, cellBox, type Transform } from "../lib/hit";
import { formatNeuron, parseNeuron } from "../lib/neuron";
import { byStrength } from "../lib/order";
import { type Grid, poolRuns } from "../lib/pool";
import type { MatrixInfo, Sort } from "../lib/snapshot";
import { type SurfaceOptions, surface } from "../lib/surface";
import type { Theme } from "../lib/theme";
import type { Frame } from "../lib/zoom";
import { ring } from "./canvas-marks";
import type { TooltipContent } from "./tooltip";

export interface NeuronMapProps {
  /** The layers of the first axis, by number; their site and stack, for names. */
  model: { layers: readonly number[]; site: string; stack: string | null; width: number };
  /** (layer, token, neuron) or (layer, neuron); null draws the preview. */
  values: NdArray | null;
  /** (layer, pooled columns). */
  preview?: NdArray | null;
  info: MatrixInfo;
  scale: Scale;
  token: number | null;
  sort: Sort;
  /** Rows (layer, neuron) to sort by. */
  keys?: Partial<Record<Sort, readonly Float32Array[]>>;
  selected: string | null;
  pinned?: readonly string[];
  /** A neuron that another panel hovers. */
  hovered?: string | null;
  /** More lines for the tooltip. */
  details?: (neuron: string) => readonly (readonly [string, string])[];
  theme: Theme;
  height?: number;
}
export interface NeuronMapEvents {
  onSelect?: (neuron: string | null, add: boolean) => void;
  onHover?: (neuron: string | null, value: number | null) => void;
}
export interface NeuronMap {
  update(props: NeuronMapProps): void;
  /** Bring a neuron into view and put the cursor on it. */
  reveal(neuron: string): void;
  /** Neurons in each cell: more than 1 when pooled. */
  readonly pooled: number;
  destroy(): void;
}

export const MOST_CELLS = 50_000;
const GUTTER = 44;
const HEIGHT = 480;

/** What is drawn for one layer row: a value per cell, and which neurons it stands for. */
interface Band {
  values: Float32Array;
  /** Neuron at each place, strongest first; null: in order of the index. */
  order: Int32Array | null;
}

export function neuronMap(el: HTMLElement, on: NeuronMapEvents = {}): NeuronMap {
  const holder = h("div", { class: "nw-map" });
  el.append(holder);
  let props: NeuronMapProps | null = null;
  let rows: readonly Float32Array[] = [];
  let content: Band[] = [];
  let by = 1;
  let layout: Bands | null = null;
  let image: GridImage | null = null;
  let hasNaN = false;
  let seen: unknown[] = [];

  const placeAt = (cell: Cell): Place => placeOf(layout as Bands, cell) as Place;
  const valueAt = (place: Place) => content[place.layer].values[place.at];
  /** The neuron that a cell stands for: the strongest of its run. */
  const indexOf = ({ layer, at }: Place): number => {
    const { order } = content[layer];
    const run = Array.from({ length: by }, (_, i) => at * by + i).filter((i) => i < rows[layer].length);
    return run
      .map((i) => (order ? order[i] : i))
      .reduce((best, i) => (Math.abs(rows[layer][i]) > Math.abs(rows[layer][best]) ? i : best));
  };
  const nameOf = (place: Place): string => {
    const { layers, site, stack } = (props as NeuronMapProps).model;
    return formatNeuron({ layer: layers[place.layer], index: indexOf(place), site, stack });
  };
  const placeOfName = (name: string | null | undefined): Place | null => {
    const address = parseNeuron(name);
    if (!address || !props || !layout) return null;
    const { layers, site, stack, width } = props.model;
    const layer = layers.indexOf(address.layer);
    if (layer < 0 || address.site !== site || address.stack !== stack || address.index >= width) return null;
    const order = content[layer]?.order;
    return { layer, at: Math.floor((order ? order.indexOf(address.index) : address.index) / by) };
  };

  const prepare = (p: NeuronMapProps) => {
    const source = p.values ?? p.preview ?? null;
    rows = source ? field(source, p.values ? p.token : null) : [];
    const width = rows[0]?.length ?? 0;
    by = Math.ceil(p.values ? (rows.length * width) / MOST_CELLS : p.model.width / width) || 1;
    const key = !p.values || p.sort === "index" ? null : (p.keys?.[p.sort] ?? null);
    content = rows.map((row, layer) => {
      const order = key?.[layer] ? byStrength(key[layer]) : null;
      const ordered = order ? Float32Array.from(order, (index) => row[index]) : row;
      return { values: p.values ? poolRuns(ordered, by) : ordered, order };
    });
    hasNaN = content.some((band) => band.values.some(Number.isNaN));
    image = null;
    view.forget();
  };

  const frame = (width: number): Frame | null => {
    if (!content.length || !props) return null;
    const height = props.height ?? HEIGHT;
    layout = bands(content.length, content[0].values.length, width - GUTTER - 8, height);
    image = null;
    return {
      rows: layout.rows,
      cols: layout.cols,
      width,
      height: Math.min(height, layout.rows * layout.cell) + 8,
      left: GUTTER,
      top: 4,
      kx: layout.cell,
      ky: layout.cell,
      maxKx: 40,
      maxKy: 40,
    };
  };

  /** All bands as one grid; what lies between them is not a number, and so not drawn. */
  const gridOf = (b: Bands): Grid => {
    const cells = new Float32Array(b.rows * b.cols).fill(Number.NaN);
    content.forEach((band, layer) => {
      cells.set(band.values, cellOf(b, { layer, at: 0 }).row * b.cols);
    });
    return { rows: b.rows, cols: b.cols, row: (r) => cells.subarray(r * b.cols, (r + 1) * b.cols) };
  };

  const draw: SurfaceOptions["draw"] = (context, t, f, { over, cursor }) => {
    if (!props || !layout) return;
    const b = layout;
    const { theme, scale, model } = props;
    image ??= new GridImage(gridOf(b), scale);
    image.recolour(scale);
    const box = { x: f.left, y: 0, width: f.width - f.left, height: f.height };
    context.save();
    context.beginPath();
    context.rect(box.x, box.y, box.width, box.height);
    context.clip();
    context.fillStyle = hasNaN ? hatch(context, theme.muted) : theme.panel;
    context.strokeStyle = theme.line;
    context.lineWidth = 1;
    for (let layer = 0; layer < b.layers; layer++) {
      outline(context, b, t, layer);
      context.fill();
    }
    image.draw(context, t, box, globalThis.devicePixelRatio || 1);
    if (t.kx >= 6) lattice(context, b, t);
    for (let layer = 0; layer < b.layers; layer++) {
      outline(context, b, t, layer);
      context.stroke();
    }
    const mark = (place: Place | null, weight: number) => {
      if (place) ring(context, cellBox(t, cellOf(b, place)), theme, weight);
    };
    for (const name of props.pinned ?? []) mark(placeOfName(name), 1.5);
    mark(placeOfName(props.hovered), 1);
    if (over) ring(context, cellBox(t, over), theme, 1);
    if (cursor) ring(context, cellBox(t, cursor), theme, 1, true);
    mark(placeOfName(props.selected), 2.5);
    context.restore();
    labels(context, b, t, f, theme, model);
  };

  const describe = (cell: Cell): TooltipContent => {
    const p = props as NeuronMapProps;
    const place = placeAt(cell);
    const value = valueAt(place);
    const over = p.token === null && p.values?.shape.length === 3 ? ", strongest over the tokens" : "";
    const text = `${num(value)}${p.info.unit ? ` ${p.info.unit}` : ""}${p.scale.clipped(value) ? " (beyond the range)" : ""}`;
    const line = [p.info.name + over, text] as const;
    if (!p.values) {
      const to = Math.min(p.model.width, (place.at + 1) * by) - 1;
      const which = by > 1 ? `${place.at * by} to ${to}` : `${place.at}`;
      return {
        title: `L${p.model.layers[place.layer]}.${p.model.site}[${which}]`,
        rows: [line],
        note: "A saved picture: run the cell again for the details.",
      };
    }
    const name = nameOf(place);
    return {
      title: name,
      rows: [line, ...(p.details?.(name) ?? [])],
      note: by > 1 ? `the strongest of ${by} neurons in this cell` : undefined,
    };
  };

  const view = surface(holder, {
    label: "Whole model: one cell per neuron. Arrow keys move, Enter selects, plus and minus zoom.",
    frame,
    draw,
    describe,
    valid: (cell) => (layout && placeOf(layout, cell) ? cell : null),
    hover(cell) {
      const place = cell && placeAt(cell);
      on.onHover?.(place && props?.values ? nameOf(place) : null, place && valueAt(place));
    },
    choose(cell, add) {
      if (!props?.values) return;
      const name = nameOf(placeAt(cell));
      on.onSelect?.(!add && name === props.selected ? null : name, add);
    },
    clear() {
      if (!props?.selected) return false;
      on.onSelect?.(null, false);
      return true;
    },
    start: () =>
      cellOf(layout as Bands, placeOfName(props?.selected) ?? { layer: content.length - 1, at: 0 }),
    step(cell, key) {
      const step = STEPS[key];
      return step ? cellOf(layout as Bands, stepFrom(layout as Bands, placeAt(cell), step)) : null;
    },
  });

  return {
    update(next) {
      const before = props;
      props = next;
      const now = [
        next.values,
        next.preview,
        next.token,
        next.sort,
        next.keys?.[next.sort],
        next.model.width,
      ];
      const changed = now.some((part, i) => part !== seen[i]);
      seen = now;
      if (changed) prepare(next);
      if (changed || before?.height !== next.height) view.layout();
      view.paint();
    },
    reveal(neuron) {
      const place = placeOfName(neuron);
      if (place && layout) view.reveal(cellOf(layout, place));
    },
    get pooled() {
      return by;
    },
    destroy() {
      view.destroy();
      holder.remove();
    },
  };
}

const STEPS: Record<string, Step | undefined> = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
  Home: "home",
  End: "end",
  PageUp: "layerUp",
  PageDown: "layerDown",
};

/** Thin lines between cells that are large enough to need them. */
function lattice(context: CanvasRenderingContext2D, b: Bands, t: Transform): void {
  context.save();
  context.fillStyle = "rgb(128 128 136)";
  context.globalAlpha = Math.min(0.25, (t.kx - 5) / 20);
  for (let layer = 0; layer < b.layers; layer++) {
    const { y } = cellBox(t, cellOf(b, { layer, at: 0 }));
    context.save();
    outline(context, b, t, layer);
    context.clip();
    for (let col = 1; col < b.cols; col++) {
      context.fillRect(Math.round(t.x + col * t.kx) - 0.5, y, 1, b.bandRows * t.ky);
    }
    for (let row = 1; row < b.bandRows; row++) {
      context.fillRect(t.x, Math.round(y + row * t.ky) - 0.5, b.cols * t.kx, 1);
    }
    context.restore();
  }
  context.restore();
}

/** The path around a band: cells that are 0 have the colour of the panel. */
function outline(context: CanvasRenderingContext2D, b: Bands, t: Transform, layer: number): void {
  const { y } = cellBox(t, cellOf(b, { layer, at: 0 }));
  const full = Math.floor(b.count / b.cols);
  const rest = b.count - full * b.cols;
  const left = t.x - 0.5;
  const right = t.x + (full ? b.cols : rest) * t.kx + 0.5;
  const stump = t.x + (rest || b.cols) * t.kx + 0.5;
  context.beginPath();
  context.moveTo(left, y - 0.5);
  context.lineTo(right, y - 0.5);
  context.lineTo(right, y + Math.max(full, 1) * t.ky + 0.5);
  context.lineTo(stump, y + Math.max(full, 1) * t.ky + 0.5);
  context.lineTo(stump, y + b.bandRows * t.ky + 0.5);
  context.lineTo(left, y + b.bandRows * t.ky + 0.5);
  context.closePath();
}

function labels(
  context: CanvasRenderingContext2D,
  b: Bands,
  t: Transform,
  f: Frame,
  theme: Theme,
  model: NeuronMapProps["model"],
): void {
  context.fillStyle = theme.muted;
  context.font = `12px ${theme.font}`;
  context.textAlign = "right";
  context.textBaseline = "middle";
  const height = b.bandRows * t.ky;
  let last = Number.POSITIVE_INFINITY;
  for (let layer = 0; layer < b.layers; layer++) {
    const { y } = cellBox(t, cellOf(b, { layer, at: 0 }));
    // A label stays in view while any of its band is.
    const middle = Math.max(
      Math.min(Math.max(y + height / 2, 8), y + height - 6),
      y + Math.min(6, height / 2),
    );
    if (middle < -8 || middle > f.height + 8 || last - middle < 12) continue;
    last = middle;
    context.fillText(`${model.stack ? model.stack[0] : ""}L${model.layers[layer]}`, f.left - 8, middle);
  }
}
