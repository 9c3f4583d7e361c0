// Signed max-|v| pooling: a smaller picture in which a single strong cell stays visible.

/** Pool runs of `by` consecutive values; of each run the value with the largest size, NaN only when all are. */
export function poolRuns(values: Float32Array, by: number): Float32Array {
  if (by <= 1) return values;
  const out = new Float32Array(Math.ceil(values.length / by));
  for (let i = 0; i < out.length; i++) {
    let best = Number.NaN;
    const end = Math.min(values.length, (i + 1) * by);
    for (let j = i * by; j < end; j++)
      if (!(Math.abs(values[j]) <= Math.abs(best))) best = pick(best, values[j]);
    out[i] = best;
  }
  return out;
}

const pick = (old: number, value: number) => (Number.isNaN(value) ? old : value);

/** Rows of a grid, each made when it is asked for. */
export interface Grid {
  rows: number;
  cols: number;
  row(r: number): Float32Array;
}

/** The levels of one grid, each built when it is first asked for and kept. */
export class Levels {
  #levels = new Map<string, Grid>();

  constructor(readonly base: Grid) {
    this.#levels.set("0,0", base);
  }

  /** Level (lx, ly): 2 ** lx columns and 2 ** ly rows of the base in each cell. */
  get(lx: number, ly: number): Grid {
    const key = `${lx},${ly}`;
    let level = this.#levels.get(key);
    if (!level) {
      const finer = [
        [lx - 1, ly - 1],
        [lx - 1, ly],
        [lx, ly - 1],
      ].find(([x, y]) => this.#levels.has(`${x},${y}`)) ?? [0, 0];
      level = poolGrid(this.#levels.get(`${finer}`) as Grid, 2 ** (lx - finer[0]), 2 ** (ly - finer[1]));
      this.#levels.set(key, level);
    }
    return level;
  }
}

/** Pool blocks of fy x fx cells. */
function poolGrid(grid: Grid, fx: number, fy: number): Grid {
  const cols = Math.ceil(grid.cols / fx);
  const rows = Math.ceil(grid.rows / fy);
  const out = new Float32Array(rows * cols).fill(Number.NaN);
  const sizes = new Float32Array(cols);
  for (let row = 0; row < rows; row++) {
    const best = out.subarray(row * cols, (row + 1) * cols);
    sizes.fill(-1);
    for (let r = row * fy; r < Math.min(grid.rows, (row + 1) * fy); r++) {
      const values = grid.row(r);
      let i = 0;
      for (let col = 0; col < cols; col++) {
        let most = sizes[col];
        const end = Math.min(grid.cols, i + fx);
        for (; i < end; i++) {
          const size = Math.abs(values[i]);
          if (size > most) {
            most = size;
            best[col] = values[i];
          }
        }
        sizes[col] = most;
      }
    }
  }
  return { rows, cols, row: (r) => out.subarray(r * cols, (r + 1) * cols) };
}

/** The level in which no cell is thinner than a pixel: how often to halve for cells `k` pixels wide. */
export function halvings(k: number): number {
  return k >= 1 ? 0 : Math.min(24, Math.ceil(-Math.log2(k) - 1e-9));
}
