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
  readonly #strength: Uint8Array;

  constructor(
    readonly base: Level,
    signed: boolean,
  ) {
    this.#levels.set("0,0", base);
    // how far an entry is from zero; 0 is NaN and loses against everything
    this.#strength = Uint8Array.from({ length: 256 }, (_, q) =>
      q === 0 ? 0 : signed ? Math.abs(q - 128) + 1 : q,
    );
  }

  /** Level (lx, ly): 2 ** lx columns and 2 ** ly rows of the base in each cell. */
  get(lx: number, ly: number): Level {
    const key = `${lx},${ly}`;
    let level = this.#levels.get(key);
    if (!level) {
      const parent =
        this.#levels.get(`${lx - 1},${ly - 1}`) ??
        this.#levels.get(`${lx - 1},${ly}`) ??
        this.#levels.get(`${lx},${ly - 1}`);
      if (parent) {
        const fx = parent.cols > Math.ceil(this.base.cols / 2 ** lx) ? 2 : 1;
        const fy = parent.rows > Math.ceil(this.base.rows / 2 ** ly) ? 2 : 1;
        level = poolGrid(parent, fx, fy, this.#strength);
      } else level = poolGrid(this.base, 2 ** lx, 2 ** ly, this.#strength);
      this.#levels.set(key, level);
    }
    return level;
  }
}

/** Pool blocks of fy x fx cells by the entry with the largest strength. */
export function poolGrid(grid: Level, fx: number, fy: number, strength: Uint8Array): Level {
  const { cells, rows, cols } = grid;
  const outCols = Math.ceil(cols / fx);
  const outRows = Math.ceil(rows / fy);
  const out = new Uint8Array(outRows * outCols);
  for (let r = 0; r < rows; r++) {
    const target = Math.floor(r / fy) * outCols;
    let i = r * cols;
    for (let oc = 0; oc < outCols; oc++) {
      const end = Math.min((r + 1) * cols, i + fx);
      let best = out[target + oc];
      let most = strength[best];
      for (; i < end; i++) {
        const s = strength[cells[i]];
        if (s > most) {
          most = s;
          best = cells[i];
        }
      }
      out[target + oc] = best;
    }
  }
  return { cells: out, rows: outRows, cols: outCols };
}

/** The level in which no cell is thinner than a pixel: how often to halve for cells `k` pixels wide. */
export function halvings(k: number): number {
  return k >= 1 ? 0 : Math.min(24, Math.ceil(-Math.log2(k) - 1e-9));
}
