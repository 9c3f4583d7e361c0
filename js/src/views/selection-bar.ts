// What is locked, as chips that can be removed; with nothing locked, how to lock something.
import { h } from "../lib/dom";
import { keyed } from "../lib/keyed";

export interface SelectionBarProps {
  token: { index: number; piece: string } | null;
  neuron: string | null;
  pinned: readonly string[];
}

export interface SelectionBarHandlers {
  onToken?(token: number | null): void;
  onNeuron?(neuron: string | null): void;
  onUnpin?(neuron: string): void;
}

interface Chip {
  key: string;
  kind: "token" | "neuron" | "pinned";
  label: string;
  spoken: string;
  show?: () => void;
  remove: () => void;
}

const HINT = "Hover to look, click to lock, Shift-click to pin, Esc to let go.";

export function selectionBar(el: HTMLElement, handlers: SelectionBarHandlers = {}) {
  const chips = h("span", { class: "nw-chips", role: "list", "aria-label": "Selection" });
  const hint = h("span", { class: "nw-muted" }, HINT);
  const box = h("div", { class: "nw-selection" }, hint, chips);
  el.append(box);
  return {
    update(props: SelectionBarProps) {
      const { token, neuron, pinned } = props;
      const list: Chip[] = [];
      if (token) {
        list.push({
          key: "token",
          kind: "token",
          label: `token “${token.piece}”`,
          spoken: `Let go of the token ${token.piece}`,
          remove: () => handlers.onToken?.(null),
        });
      }
      if (neuron) {
        list.push({
          key: "neuron",
          kind: "neuron",
          label: neuron,
          spoken: `Let go of the neuron ${neuron}`,
          remove: () => handlers.onNeuron?.(null),
        });
      }
      for (const name of pinned) {
        list.push({
          key: `pin ${name}`,
          kind: "pinned",
          label: name,
          spoken: `Unpin ${name}`,
          show: () => handlers.onNeuron?.(name),
          remove: () => handlers.onUnpin?.(name),
        });
      }
      hint.hidden = list.length > 0;
      keyed(
        chips,
        list,
        (chip) => chip.key + (chip.kind === "pinned" ? "" : chip.label),
        (chip) =>
          h(
            "span",
            { class: "nw-chip", role: "listitem", dataset: { kind: chip.kind } },
            chip.show
              ? h(
                  "button",
                  { type: "button", class: "nw-chip-label", title: "Show this neuron", onclick: chip.show },
                  chip.label,
                )
              : h("bdi", { class: "nw-chip-label" }, chip.label),
            h(
              "button",
              { type: "button", class: "nw-remove", "aria-label": chip.spoken, onclick: chip.remove },
              "×",
            ),
          ),
        () => {},
      );
    },
    destroy() {
      box.remove();
    },
  };
}
