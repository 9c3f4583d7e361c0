// A small card near the pointer or the focus; it never takes the pointer and never leaves the view.
import { h, replace } from "../lib/dom";

export interface TooltipContent {
  title: string;
  rows?: readonly (readonly [label: string, value: string])[];
  note?: string;
}
export interface Anchor {
  x: number;
  y: number;
  width: number;
  height: number;
}
export interface Tooltip {
  /** `anchor` in client coordinates, as getBoundingClientRect gives them. */
  show(content: TooltipContent, anchor: Anchor): void;
  hide(): void;
  destroy(): void;
}

export function tooltip(el: HTMLElement): Tooltip {
  // A popover is in the top layer: the notebook's output area cannot clip it.
  const popover = "popover" in HTMLElement.prototype;
  const card = h("div", { class: "nw-tooltip", "aria-hidden": "true", popover: popover ? "manual" : null });
  if (!popover) card.hidden = true;
  el.append(card);
  let open = false;
  return {
    show({ title, rows = [], note }, anchor) {
      replace(
        card,
        h("div", { class: "nw-tooltip-title", dir: "auto" }, title),
        rows.length > 0 &&
          h(
            "dl",
            null,
            ...rows.flatMap(([label, value]) => [h("dt", null, label), h("dd", { dir: "auto" }, value)]),
          ),
        note && h("div", { class: "nw-tooltip-note" }, note),
      );
      if (!open) {
        if (popover && card.isConnected) card.showPopover();
        else card.hidden = false;
        open = true;
      }
      const base = popover ? { left: 0, top: 0 } : el.getBoundingClientRect();
      const { width, height } = card.getBoundingClientRect();
      const view = {
        width: document.documentElement.clientWidth,
        height: document.documentElement.clientHeight,
      };
      const below = anchor.y + anchor.height + 8;
      const top = below + height > view.height && anchor.y - height - 8 >= 0 ? anchor.y - height - 8 : below;
      const left = Math.max(4, Math.min(view.width - width - 4, anchor.x + anchor.width / 2 - width / 2));
      card.style.left = `${left - base.left}px`;
      card.style.top = `${top - base.top}px`;
    },
    hide() {
      if (!open) return;
      open = false;
      if (popover && card.isConnected) card.hidePopover();
      else card.hidden = true;
    },
    destroy() {
      card.remove();
    },
  };
}
