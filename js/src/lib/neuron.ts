// Names of neurons, as neurowidget/neuron.py writes them, and what people type to find one.

export interface NeuronAddress {
  layer: number;
  index: number;
  site: string;
  stack: string | null;
}

const NEURON = /^(?:(encoder|decoder)\.)?L(\d{1,6})\.([a-z_]+)\[(\d{1,9})\]$/;

export function parseNeuron(text: string | null | undefined): NeuronAddress | null {
  const m = NEURON.exec((text ?? "").trim());
  return m ? { stack: m[1] ?? null, layer: Number(m[2]), site: m[3], index: Number(m[4]) } : null;
}

export function formatNeuron(n: {
  layer: number;
  index: number;
  site?: string;
  stack?: string | null;
}): string {
  return `${n.stack ? `${n.stack}.` : ""}L${n.layer}.${n.site ?? "mlp"}[${n.index}]`;
}

/** What the model on screen has: the search says what is outside it. */
export interface SearchContext {
  site: string;
  stack?: string | null;
  layers: readonly number[];
  width: number;
  pieces?: readonly string[];
}

export type Found =
  | { kind: "neuron"; neuron: string; layer: number; index: number }
  | { kind: "layer"; layer: number }
  | { kind: "token"; token: number; matches: number[] }
  | { kind: "nothing"; why: string };

/** Read "L5.mlp[131]", "L5[131]", "5 131", "5.131", "L5", "layer 5", or the text of a token. */
export function search(text: string, context: SearchContext): Found {
  const query = text.trim();
  if (!query) return { kind: "nothing", why: "" };
  const full =
    /^(?:(encoder|decoder)\.)?L?\s*(\d{1,6})\s*(?:\.\s*([a-z_]+))?\s*(?:\[\s*(\d{1,9})\s*\]|[\s.,:/]+(\d{1,9}))$/i.exec(
      query,
    );
  if (full) {
    const [, stack, layer, site, inBrackets, bare] = full;
    const index = Number(inBrackets ?? bare);
    if (stack && (context.stack ?? "") !== stack.toLowerCase()) {
      return { kind: "nothing", why: `this view shows ${context.stack ?? "a model without stacks"}` };
    }
    if (site && site !== context.site) return { kind: "nothing", why: `this view shows ${context.site}` };
    if (!context.layers.includes(Number(layer))) return { kind: "nothing", why: layerRange(context) };
    if (index >= context.width) {
      return { kind: "nothing", why: `${context.site} has the neurons 0 to ${context.width - 1}` };
    }
    const address = { layer: Number(layer), index, site: context.site, stack: context.stack ?? null };
    return { kind: "neuron", neuron: formatNeuron(address), layer: address.layer, index };
  }
  const token = findToken(query, context.pieces ?? []);
  const layer =
    /^(?:L|layer\s*)(\d{1,6})(?:\.[a-z_]*)?$/i.exec(query) ?? (token ? null : /^(\d{1,6})$/.exec(query));
  if (layer) {
    const at = Number(layer[1]);
    if (context.layers.includes(at)) return { kind: "layer", layer: at };
    return token ?? { kind: "nothing", why: layerRange(context) };
  }
  return token ?? { kind: "nothing", why: "no such layer, neuron or token: try L5, L5.mlp[131] or a word" };
}

function findToken(query: string, pieces: readonly string[]): Found | null {
  const low = query.toLowerCase();
  const trimmed = pieces.map((piece) => piece.trim().toLowerCase());
  let matches = [...trimmed.keys()].filter((i) => trimmed[i] === low);
  if (!matches.length) matches = [...trimmed.keys()].filter((i) => trimmed[i].includes(low));
  return matches.length ? { kind: "token", token: matches[0], matches } : null;
}

function layerRange({ layers }: SearchContext): string {
  return layers.length
    ? `the layers are L${layers[0]} to L${layers[layers.length - 1]}`
    : "there are no layers";
}
