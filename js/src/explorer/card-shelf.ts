// The cards of this text: those that came with the state, and those that were asked for.
import type { Card, ExplorerState } from "../lib/payload";

export class CardShelf {
  #cards: Record<string, Card> = {};
  #selected: Card | null = null;
  #seen = new Map<string, Card>();
  #asked = new Set<string>();
  /** What a neuron reached in the corpus and the sweep outlives the text: a slider keeps its ends. */
  #ranges = new Map<string, number[]>();
  #of: unknown = null;

  constructor(private readonly ask: (neuron: string) => Promise<Card>) {}

  take(
    get: <K extends "_card" | "_cards" | "_activations" | "_text_answered">(name: K) => ExplorerState[K],
  ): void {
    const of = get("_activations");
    if (of !== this.#of) {
      this.#seen.clear();
      this.#asked.clear();
      this.#of = of;
    }
    this.#cards = get("_cards") ?? {};
    this.#selected = get("_card")?.neuron ? get("_card") : null;
    if (this.#selected) this.#seen.set(this.#selected.neuron, this.#selected);
    for (const { neuron, corpus, dose } of [...Object.values(this.#cards), ...this.#seen.values()]) {
      const ends = [...(corpus ? [corpus.min, corpus.max] : []), ...(dose?.x ?? [])];
      if (ends.length) this.#ranges.set(neuron, [Math.min(...ends), Math.max(...ends)]);
    }
  }

  of(neuron: string): Card | null {
    if (Object.hasOwn(this.#cards, neuron)) return this.#cards[neuron];
    return this.#selected?.neuron === neuron ? this.#selected : (this.#seen.get(neuron) ?? null);
  }

  seenRange(neuron: string): readonly number[] {
    return this.#ranges.get(neuron) ?? [];
  }

  /** Ask for a card that is not here, once; `arrived` hears when it is. */
  want(neuron: string, arrived: () => void, failed: (error: unknown) => void): void {
    if (this.of(neuron) || this.#asked.has(neuron)) return;
    this.#asked.add(neuron);
    const of = this.#of;
    this.ask(neuron).then(
      (card) => {
        if (of === this.#of && card?.neuron) this.#seen.set(card.neuron, card);
        arrived();
      },
      (error) => failed(error),
    );
  }
}
