// The neurons that have a card, in order, and the search over what is known of all of them.
import { formatNeuron, parseNeuron } from "./neuron";
import type { Note } from "./payload";

export interface NeuronSource {
  name: string;
  hash: string;
  site: string;
  stack: string | null;
  layers: number[];
  width: number;
  count: number;
  corpus: string;
  tokens: number;
  excluded: Record<string, number>;
}

/** A column each, as the message `index` answers. */
export interface NeuronIndex {
  neurons: string[];
  /** The words of its strongest examples. */
  words: string[];
  maximum: (number | null)[];
  /** What its explanations say first. */
  about: string[];
}

export interface Match {
  neuron: string;
  words: string;
  about: string;
  maximum: number | null;
  tags: readonly string[];
}

/** Neurons by place: a list, or every neuron of all layers. */
export class NeuronOrder {
  #places: Map<string, number> | null = null;

  constructor(
    readonly list: readonly string[] | null,
    readonly source: NeuronSource | null,
  ) {}

  get count(): number {
    return this.list ? this.list.length : (this.source?.layers.length ?? 0) * (this.source?.width ?? 0);
  }

  at(place: number): string | null {
    if (this.list) return this.list[place] ?? null;
    const { source } = this;
    if (!source || place < 0 || place >= this.count) return null;
    const layer = source.layers[Math.floor(place / source.width)];
    return formatNeuron({ ...source, layer, index: place % source.width });
  }

  place(neuron: string | null): number {
    const address = parseNeuron(neuron);
    if (!address) return -1;
    if (this.list) {
      this.#places ??= new Map(this.list.map((name, i) => [name, i]));
      return this.#places.get(formatNeuron(address)) ?? -1;
    }
    const { source } = this;
    if (!source || address.site !== source.site || address.stack !== (source.stack ?? null)) return -1;
    const row = source.layers.indexOf(address.layer);
    return row < 0 || address.index >= source.width ? -1 : row * source.width + address.index;
  }
}

/**
 * The neurons that fit what was typed: an address or the beginning of one, else a word of the strongest examples, of
 * explanations, tags and notes. A whole word comes before a part of one, an earlier word before a later one.
 */
export function findNeurons(
  query: string,
  order: NeuronOrder,
  index: NeuronIndex | null,
  notes: Readonly<Record<string, Note>>,
  limit = 100,
): { matches: Match[]; total: number } {
  const wanted = query.trim().toLowerCase();
  const exact = order.place(query.trim());
  const rows = index ? index.neurons.length : order.count;
  const ranked: { row: number; rank: number }[] = [];
  for (let row = 0; row < rows; row++) {
    const neuron = index ? index.neurons[row] : order.at(row);
    if (neuron === null) continue;
    const rank = !wanted
      ? 0
      : exact >= 0
        ? order.place(neuron) === exact
          ? 0
          : -1
        : rankOf(wanted, neuron, row, index, notes);
    if (rank >= 0) ranked.push({ row, rank });
    if (!wanted && ranked.length > limit && !index) break;
  }
  ranked.sort((a, b) => a.rank - b.rank || a.row - b.row);
  const total = wanted || index ? ranked.length : order.count;
  const matches = ranked.slice(0, limit).map(({ row }) => {
    const neuron = index ? index.neurons[row] : (order.at(row) as string);
    return {
      neuron,
      words: index?.words[row] ?? "",
      about: index?.about[row] ?? "",
      maximum: index?.maximum[row] ?? null,
      tags: Object.hasOwn(notes, neuron) ? notes[neuron].tags : [],
    };
  });
  return { matches, total };
}

function rankOf(
  wanted: string,
  neuron: string,
  row: number,
  index: NeuronIndex | null,
  notes: Readonly<Record<string, Note>>,
): number {
  const name = neuron.toLowerCase();
  if (name.startsWith(wanted) && /^(encoder\.|decoder\.)?l\d/.test(wanted)) return 0;
  const note = Object.hasOwn(notes, neuron) ? notes[neuron] : null;
  if (note?.tags.some((tag) => tag.toLowerCase() === wanted)) return 1;
  const words = index?.words[row].toLowerCase() ?? "";
  const place = words.split(" ").indexOf(wanted);
  if (place >= 0) return 2 + place;
  const rest = `${index?.about[row] ?? ""} ${note?.text ?? ""} ${note?.tags.join(" ") ?? ""}`.toLowerCase();
  if (rest.includes(wanted)) return 10;
  return words.includes(wanted) ? 11 : -1;
}
