// One line that always says what the explorer is doing, and what to do about it. Its place never changes.
import { h, replace } from "../lib/dom";
import { group } from "../lib/format";
import type { Status } from "../lib/snapshot";

export interface StatusBarProps {
  status: Status;
  live: boolean;
  /** A ping went unanswered: the kernel is running a cell. */
  busy: boolean;
  /** Why what is shown is not about the present settings, or "". */
  stale: string;
  /** What was computed and how long it took. */
  done: string;
  lastError: string | null;
}

export interface StatusBarHandlers {
  onCancel?(): void;
  onDismiss?(): void;
  onRerun?(): void;
}

export interface StatusLine {
  tone: "quiet" | "running" | "warning" | "error";
  text: string;
  action: "cancel" | "dismiss" | "rerun" | null;
  /** 0 to 1, or null when it cannot be known. */
  share: number | null;
}

/** What the line says: trouble first, then work, then doubt, then rest. */
export function statusLine({ status, live, busy, stale, done, lastError }: StatusBarProps): StatusLine {
  const quiet = (text: string): StatusLine => ({ tone: "quiet", text, action: null, share: null });
  if (status.state === "error" || lastError) {
    const what = status.error || lastError || "Something went wrong.";
    const advice = status.what || "Change the text or the settings and run again.";
    const stop = /[.!?]\s*$/.test(what) ? "" : ".";
    return { tone: "error", text: `${what}${stop} ${advice}`, action: "dismiss", share: null };
  }
  if (!live)
    return quiet(
      `Saved page: no kernel answers. What was computed before still opens with a click. ${done}`.trim(),
    );
  if (busy) {
    return {
      tone: "warning",
      text: "The kernel is busy with a cell; this runs when it is done.",
      action: status.state === "running" ? "cancel" : null,
      share: null,
    };
  }
  if (status.state === "running") {
    const total = status.total ?? 0;
    const count = total ? `: ${group(status.done ?? 0)} of ${group(total)}` : "…";
    return {
      tone: "running",
      text: `${status.what || "Running the model"}${count}`,
      action: "cancel",
      share: total ? Math.min(1, (status.done ?? 0) / total) : null,
    };
  }
  if (stale || status.state === "stale") {
    return { tone: "warning", text: stale || status.what || "Not up to date.", action: "rerun", share: null };
  }
  if (status.state === "empty") return quiet(status.what || "Type a text and press Run.");
  return quiet(done || "Ready.");
}

const ACTIONS = { cancel: "Cancel", dismiss: "Dismiss", rerun: "Run again" } as const;

export function statusBar(el: HTMLElement, handlers: StatusBarHandlers = {}) {
  const text = h("span", { class: "nw-status-text", role: "status" });
  const fill = h("span");
  const progress = h(
    "span",
    { class: "nw-status-progress", role: "progressbar", "aria-label": "progress", hidden: true },
    fill,
  );
  const act = () =>
    ({ cancel: handlers.onCancel, dismiss: handlers.onDismiss, rerun: handlers.onRerun })[
      button.dataset.action as keyof typeof ACTIONS
    ]?.();
  const button = h("button", { type: "button", onclick: act, hidden: true });
  const box = h("div", { class: "nw-status" }, text, progress, button);
  el.append(box);
  return {
    update(props: StatusBarProps) {
      const line = statusLine(props);
      box.dataset.tone = line.tone;
      if (text.textContent !== line.text) replace(text, line.text);
      text.title = line.text;
      text.setAttribute("role", line.tone === "error" ? "alert" : "status");
      progress.hidden = line.tone !== "running";
      progress.toggleAttribute("data-unknown", line.share === null);
      fill.style.width = `${100 * (line.share ?? 0)}%`;
      if (line.share === null) progress.removeAttribute("aria-valuenow");
      else progress.setAttribute("aria-valuenow", String(Math.round(100 * line.share)));
      button.hidden = !line.action;
      if (line.action) {
        button.dataset.action = line.action;
        button.textContent = ACTIONS[line.action];
      }
    },
    destroy() {
      box.remove();
    },
  };
}
