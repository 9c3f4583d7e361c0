// What is drawn over cells in every grid.
import type { Theme } from "../lib/theme";

/** An accent ring around a cell, with a halo so that it shows on every colour. */
export function ring(
  context: CanvasRenderingContext2D,
  box: { x: number; y: number; width: number; height: number },
  theme: Theme,
  weight: number,
  dashed = false,
): void {
  const pad = weight / 2;
  // A ring of a cell under a few pixels would be a dot: keep 7 px.
  const width = Math.max(7, box.width);
  const height = Math.max(7, box.height);
  const x = box.x - (width - box.width) / 2 - pad;
  const y = box.y - (height - box.height) / 2 - pad;
  context.lineWidth = weight + 2;
  context.strokeStyle = theme.panel;
  context.strokeRect(x, y, width + 2 * pad, height + 2 * pad);
  context.lineWidth = weight;
  context.strokeStyle = weight < 2 && !dashed ? theme.text : theme.accent;
  context.setLineDash(dashed ? [3, 2] : []);
  context.strokeRect(x, y, width + 2 * pad, height + 2 * pad);
  context.setLineDash([]);
}
