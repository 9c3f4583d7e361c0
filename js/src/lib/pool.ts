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

/** A grid of palette entries (rows x cols), smaller by powers of two on each axis. */
export interface Level {
  cells: Uint8Array;
  rows: number;
  cols: number;
}

/** The levels of one grid, each built when it is first asked for and kept. */
export class Levels {
  #levels = new Map<string, Level>();
  /** How far an entry is from zero, above the entry itself: the largest of these is the strongest cell. */
  readonly #keys: Uint16Array;

  constructor(
    readonly base: Level,
    signed: boolean,
  ) {
    this.#levels.set("0,0", base);
    // entry 0 is NaN and loses against everything
    this.#keys = Uint16Array.from({ length: 256 }, (_, q) => {
      return q === 0 ? 0 : ((signed ? Math.abs(q - 128) + 1 : q) << 8) | q;
    });
  }

  /** Level (lx, ly): 2 ** lx columns and 2 ** ly rows of the base in each cell. */
  get(lx: number, ly: number): Level {
    const key = `${lx},${ly}`;
    let level = this.#levels.get(key);
    if (!level) {
      const finer = [
        [lx - 1, ly - 1],
        [lx - 1, ly],
        [lx, ly - 1],
      ].find(([x, y]) => this.#levels.has(`${x},${y}`)) ?? [0, 0];
      const parent = this.#levels.get(`${finer}`) as Level;
      level = poolGrid(parent, 2 ** (lx - finer[0]), 2 ** (ly - finer[1]), this.#keys);
      this.#levels.set(key, level);
    }
    return level;
  }
}

/** Pool blocks of fy x fx cells by the largest key. */
function poolGrid({ cells, rows, cols }: Level, fx: number, fy: number, keys: Uint16Array): Level {
  const outCols = Math.ceil(cols / fx);
  const outRows = Math.ceil(rows / fy);
  const out = new Uint8Array(outRows * outCols);
  const best = new Uint16Array(outCols);
  const whole = Math.floor(cols / fx);
  for (let row = 0; row < outRows; row++) {
    best.fill(0);
    const end = Math.min(rows, (row + 1) * fy);
    for (let r = row * fy; r < end; r++) {
      let i = r * cols;
      for (let col = 0; col < whole; col++) {
        let most = best[col];
        for (let k = 0; k < fx; k++) most = Math.max(most, keys[cells[i++]]);
        best[col] = most;
      }
      for (; i < (r + 1) * cols; i++) best[whole] = Math.max(best[whole], keys[cells[i]]);
    }
    for (let col = 0; col < outCols; col++) out[row * outCols + col] = best[col] & 255;
  }
  return { cells: out, rows: outRows, cols: outCols };
}

/** The level in which no cell is thinner than a pixel: how often to halve for cells `k` pixels wide. */
export function halvings(k: number): number {
  return k >= 1 ? 0 : Math.min(24, Math.ceil(-Math.log2(k) - 1e-9));
}
