/**
 * Make the children of `parent` stand for `items` in order, keeping the element of a key that stays: a control that
 * is held (a slider, a focused button) is never rebuilt under the hand.
 */
export function keyed<T, E extends HTMLElement>(
  parent: HTMLElement,
  items: readonly T[],
  keyOf: (item: T, index: number) => string,
  create: (item: T) => E,
  update: (element: E, item: T, index: number) => void,
): void {
  const old = new Map<string, E>();
  for (const child of parent.children) old.set((child as E).dataset.key ?? "", child as E);
  items.forEach((item, i) => {
    const key = keyOf(item, i);
    let element = old.get(key);
    if (element) old.delete(key);
    else {
      element = create(item);
      element.dataset.key = key;
    }
    if (parent.children[i] !== element) parent.insertBefore(element, parent.children[i] ?? null);
    update(element, item, i);
  });
  for (const gone of old.values()) gone.remove();
  while (parent.children.length > items.length) parent.lastElementChild?.remove();
}
