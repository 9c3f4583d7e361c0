// The five states of a view: empty, running, ready, stale, error. The box keeps its size in all of them.
import { h, replace } from "./dom";
import { group } from "./format";
import type { Status } from "./snapshot";

export interface StateBox {
  /** Draw in here. */
  readonly body: HTMLElement;
  update(status: Status | null | undefined, empty?: string): void;
  destroy(): void;
}

/** `onCancel` shows a Cancel button while something runs. */
export function stateBox(el: HTMLElement, onCancel?: () => void): StateBox {
  const body = h("div", { class: "nw-state-body" });
  const message = h("div", { class: "nw-state-message", role: "status", hidden: true });
  const box = h("div", { class: "nw-state" }, body, message);
  el.append(box);
  return {
    body,
    update(status, empty = "Nothing to show yet.") {
      const state = status?.state ?? "ready";
      message.dataset.state = state;
      message.hidden = state === "ready";
      body.toggleAttribute("data-off", state === "empty" || state === "error");
      body.toggleAttribute("data-dim", state === "running" || state === "stale");
      body.toggleAttribute("inert", state === "empty" || state === "error");
      box.setAttribute("aria-busy", String(state === "running"));
      if (state === "empty") replace(message, h("p", { class: "nw-muted" }, status?.what || empty));
      else if (state === "stale")
        replace(message, h("p", null, status?.what || "Not up to date: run it again."));
      else if (state === "error") {
        replace(
          message,
          h("p", null, status?.error || "Something went wrong."),
          h(
            "p",
            { class: "nw-muted nw-small" },
            status?.what || "The last text and settings are kept: change them and run again.",
          ),
        );
      } else if (state === "running") {
        const { done = 0, total = 0, what = "Working" } = status ?? {};
        const bar = h("div", null);
        bar.style.width = `${total ? Math.min(100, (100 * done) / total) : 0}%`;
        replace(
          message,
          h("p", null, total ? `${what}: ${group(done)} of ${group(total)}` : `${what}…`),
          total > 0 && h("div", { class: "nw-progress" }, bar),
          onCancel && h("button", { type: "button", onclick: onCancel }, "Cancel"),
        );
      } else replace(message);
    },
    destroy() {
      box.remove();
    },
  };
}
