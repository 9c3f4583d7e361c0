// Between pixels and cells: one transform, its inverse, and a cell's box.

/** A cell (row, col) is drawn at x + col * kx, y + row * ky, kx wide and ky high. */
export interface Transform {
  x: number;
  y: number;
  kx: number;
  ky: number;
}

export interface Cell {
  row: number;
  col: number;
}

/** The cell under a point, or null outside the grid. */
export function cellAt(t: Transform, px: number, py: number, rows: number, cols: number): Cell | null {
  const col = Math.floor((px - t.x) / t.kx);
  const row = Math.floor((py - t.y) / t.ky);
  return row >= 0 && row < rows && col >= 0 && col < cols ? { row, col } : null;
}

export function cellBox(t: Transform, cell: Cell): { x: number; y: number; width: number; height: number } {
  return { x: t.x + cell.col * t.kx, y: t.y + cell.row * t.ky, width: t.kx, height: t.ky };
}

/** The rows or columns [from, to) that a span of pixels touches. */
export function visible(origin: number, k: number, start: number, end: number, n: number): [number, number] {
  const from = Math.max(0, Math.min(n, Math.floor((start - origin) / k)));
  return [from, Math.max(from, Math.min(n, Math.ceil((end - origin) / k)))];
}
