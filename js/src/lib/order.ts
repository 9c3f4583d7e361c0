// Which neurons come first: strongest at the left, NaN last, ties by index so that the order is stable.

const orders = new WeakMap<ArrayLike<number>, Int32Array>();

/** Indices by falling |key|; sorted once for each array, which must not change afterwards. */
export function byStrength(keys: ArrayLike<number>): Int32Array {
  let order = orders.get(keys);
  if (!order) {
    order = sorted(keys);
    orders.set(keys, order);
  }
  return order;
}

function sorted(keys: ArrayLike<number>): Int32Array {
  const size = Float32Array.from(keys, (v) => (Number.isNaN(v) ? -1 : Math.abs(v)));
  return Int32Array.from({ length: size.length }, (_, i) => i).sort((a, b) => size[b] - size[a] || a - b);
}

export interface Ranked {
  layer: number;
  index: number;
  value: number;
}

/** The k strongest of (layer, neuron) values by |value|; `layers` holds one row per layer. */
export function strongest(layers: readonly ArrayLike<number>[], k: number): Ranked[] {
  const top: Ranked[] = [];
  let least = -1;
  for (let layer = 0; layer < layers.length; layer++) {
    const row = layers[layer];
    for (let index = 0; index < row.length; index++) {
      const size = Math.abs(row[index]);
      if (!(size > least) && (top.length >= k || Number.isNaN(size))) continue;
      let at = top.length;
      while (at > 0 && Math.abs(top[at - 1].value) < size) at--;
      top.splice(at, 0, { layer, index, value: row[index] });
      if (top.length > k) top.pop();
      if (top.length === k) least = Math.abs(top[k - 1].value);
    }
  }
  return top;
}
