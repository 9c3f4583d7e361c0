// The tokens, what colours them, and the key to that colour.
import { h, replace, setText } from "../lib/dom";
import { num } from "../lib/format";
import type { MatrixInfo, Status, TokensState } from "../lib/snapshot";
import { legend } from "./legend";
import { type StripScores, tokenStrip } from "./token-strip";

export interface TokenPanelProps {
  tokens: TokensState | null;
  status: Status;
  /** What the colours can show, and what they show: keys with their words. */
  modes: readonly (readonly [key: string, words: string])[];
  mode: string;
  scores: StripScores | null;
  info: MatrixInfo;
  underline: StripScores | null;
  selected: number | null;
  hovered: number | null;
  colourSpecial: boolean;
  details: (token: number) => readonly (readonly [string, string])[];
}

export interface TokenPanelEvents {
  onToken?(token: number | null): void;
  onHover?(token: number | null): void;
  onMode?(mode: string): void;
}

export function tokenPanel(el: HTMLElement, on: TokenPanelEvents = {}) {
  const mode = h("select", {
    "aria-label": "What colours the tokens",
    onchange: () => on.onMode?.(mode.value),
  });
  const only = h("span");
  const label = h("label", { class: "nw-small nw-muted" }, "colour: ", mode, only);
  const foot = h("div", { class: "nw-token-key" });
  const line = h("div", { class: "nw-token-line nw-small nw-muted" });
  const holder = h("div", { class: "nw-token-holder" });
  const box = h(
    "section",
    { class: "nw-token-panel", "aria-label": "Tokens" },
    holder,
    h("div", { class: "nw-token-foot" }, h("div", { class: "nw-token-by" }, label), foot, line),
  );
  el.append(box);
  const strip = tokenStrip(holder, {
    onSelect: (tokens) => on.onToken?.(tokens[0] ?? null),
    onHover: (token) => on.onHover?.(token),
  });
  const key = legend(foot);
  return {
    update(p: TokenPanelProps) {
      const wanted = p.modes.flat().join("\n");
      if (mode.dataset.modes !== wanted) {
        mode.dataset.modes = wanted;
        replace(mode, ...p.modes.map(([value, words]) => h("option", { value }, words)));
      }
      mode.value = p.mode;
      mode.hidden = p.modes.length < 2;
      setText(only, p.modes.length === 1 ? p.modes[0][1] : "");
      label.hidden = !p.modes.length;
      strip.update({
        status: p.status,
        tokens: p.tokens,
        scores: p.scores,
        underline: p.underline,
        selected: p.selected === null ? [] : [p.selected],
        colourSpecial: p.colourSpecial,
        details: p.details,
      });
      key.update({
        scale: p.scores?.scale ?? null,
        info: p.info,
        range: "text",
        ranges: [],
      });
      setText(
        line,
        p.underline
          ? `underline: ${p.underline.name}, up to ${num(p.underline.scale.max)}, dashed below 0`
          : "",
      );
      key.mark(p.hovered === null ? null : (p.scores?.values[p.hovered] ?? null));
      box.toggleAttribute("data-empty", !p.tokens);
    },
    destroy() {
      strip.destroy();
      key.destroy();
      box.remove();
    },
  };
}
