// What is locked, as chips that can be removed; with nothing locked, what to click first.
import { h } from "../lib/dom";
import { keyed } from "../lib/keyed";

export interface SelectionBarProps {
  token: { index: number; piece: string } | null;
  neuron: string | null;
  pinned: readonly string[];
  /** What to look at first, offered while nothing is locked. */
  start: { words: string; neuron: string; token: number | null; after: string } | null;
  answer: string;
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

export function selectionBar(el: HTMLElement, handlers: SelectionBarHandlers = {}) {
  const chips = h("span", { class: "nw-chips", role: "list", "aria-label": "Selection" });
  const words = h("span", { class: "nw-start" });
  const hint = h(
    "span",
    { class: "nw-hint nw-small nw-muted" },
    "hover looks · click locks · Shift-click pins · Esc lets go",
  );
  const box = h("div", { class: "nw-selection" }, words, chips, hint);
  el.append(box);
  const offered = h("button", { type: "button", class: "nw-offer" });
  let start: SelectionBarProps["start"] = null;
  offered.addEventListener("click", () => {
    if (!start) return;
    if (start.token !== null) handlers.onToken?.(start.token);
    handlers.onNeuron?.(start.neuron);
  });
  return {
    update(props: SelectionBarProps) {
      const { token, neuron, pinned } = props;
      start = props.start;
      const list: Chip[] = [];
      if (token) {
        list.push({
          key: "token",
          kind: "token",
          label: `“${token.piece.trim() || token.piece}”`,
          spoken: `Let go of the token ${token.piece.trim()}`,
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
      const idle = !list.length;
      words.hidden = !idle && !props.answer;
      words.replaceChildren(props.answer);
      if (idle && start) {
        offered.textContent = start.neuron;
        words.append(props.answer ? " " : "", start.words, offered, start.after);
      }
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
