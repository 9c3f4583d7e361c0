// A text as its tokens: colour is one score, the line below a second one. Every token is text in the page.
import type { Scale } from "../lib/colour";
import { h, listen, replace, roving } from "../lib/dom";
import { num } from "../lib/format";
import type { Status, TokensState } from "../lib/snapshot";
import { stateBox } from "../lib/state-box";
import { type TokenCell, tokenCells, visibleWhitespace } from "./token-text";
import { tooltip } from "./tooltip";

export interface StripScores {
  values: ArrayLike<number | null>;
  scale: Scale;
  /** What the number is: "attribution of log-odds of POS". */
  name: string;
  unit?: string;
}
export interface TokenStripProps {
  status?: Status;
  empty?: string;
  tokens: TokensState | null;
  scores?: StripScores | null;
  underline?: StripScores | null;
  /** Tokens that are locked. */
  selected: readonly number[];
  /** Special tokens get no colour unless this is true. */
  colourSpecial?: boolean;
  /** More lines for the tooltip of a token. */
  details?: (token: number) => readonly (readonly [string, string])[];
}
export interface TokenStripEvents {
  /** The locked tokens after a click, Enter or Escape; with shift a range. Empty: nothing is locked. */
  onSelect?: (tokens: number[]) => void;
  onHover?: (token: number | null) => void;
}
export interface TokenStrip {
  update(props: TokenStripProps): void;
  destroy(): void;
}

export function tokenStrip(el: HTMLElement, on: TokenStripEvents = {}): TokenStrip {
  const box = stateBox(el);
  const list = h("div", {
    class: "nw-tokens",
    dir: "auto",
    role: "listbox",
    "aria-multiselectable": "true",
    "aria-label": "Tokens",
  });
  box.body.append(list);
  const tip = tooltip(el);
  let props: TokenStripProps = { tokens: null, selected: [] };
  let cells: TokenCell[] = [];
  let elements: HTMLElement[] = [];
  let drawn: TokensState | null = null;
  let anchor = 0;
  let hovered = -1;

  const rove = roving(list, ".nw-token", (_, index, event) => {
    if (event.shiftKey) lock(index, true);
    else anchor = index;
  });

  const lock = (index: number, range: boolean) => {
    const [from, to] = range ? [Math.min(anchor, index), Math.max(anchor, index)] : [index, index];
    if (!range) anchor = index;
    const tokens = cells.slice(from, to + 1).flatMap((cell) => cell.tokens);
    const same = !range && isLocked(index) && props.selected.length === tokens.length;
    on.onSelect?.(same ? [] : tokens);
  };
  const isLocked = (index: number) => cells[index].tokens.some((t) => props.selected.includes(t));
  const indexOf = (target: EventTarget | null) =>
    target instanceof Element ? elements.indexOf(target.closest(".nw-token") as HTMLElement) : -1;

  const hover = (index: number) => {
    if (index === hovered) return;
    hovered = index;
    on.onHover?.(index < 0 ? null : cells[index].tokens[0]);
    if (index < 0) tip.hide();
    else tip.show(describe(cells[index], props), elements[index].getBoundingClientRect());
  };
  const deafen = listen(list, {
    pointerover: (e) => hover(indexOf(e.target)),
    pointerleave: () => hover(-1),
    focusin: (e) => (e.target as Element).matches(":focus-visible") && hover(indexOf(e.target)),
    focusout: () => hover(-1),
    // A shift-click chooses a range of tokens, not of text.
    mousedown: (e) => e.shiftKey && indexOf(e.target) >= 0 && e.preventDefault(),
    click(e) {
      // Text that was dragged over is being copied, not chosen.
      if (getSelection()?.type === "Range" && !e.shiftKey) return;
      const index = indexOf(e.target);
      if (index < 0) return;
      rove.focus(index);
      lock(index, e.shiftKey);
    },
    keydown(e) {
      const index = indexOf(e.target);
      if (index < 0) return;
      if (e.key === "Enter" || e.key === " ") lock(index, e.shiftKey);
      else if (e.key === "Escape" && props.selected.length) on.onSelect?.([]);
      else return;
      e.preventDefault();
      e.stopPropagation();
    },
  });

  const build = (tokens: TokensState | null) => {
    drawn = tokens;
    hovered = -1;
    tip.hide();
    cells = tokens ? tokenCells(tokens) : [];
    elements = cells.map((cell) => drawToken(cell));
    replace(
      list,
      ...elements.flatMap((element, i) => (cells[i].breaks ? [element, h("br", null)] : [element])),
    );
    rove.refresh();
  };

  return {
    update(next) {
      props = next;
      if (next.tokens !== drawn) build(next.tokens);
      const status = next.status ?? (next.tokens?.pieces.length ? { state: "ready" } : { state: "empty" });
      box.update(status as Status, next.empty ?? "No text yet: give one to see its tokens.");
      cells.forEach((cell, i) => {
        paint(elements[i], cell, next, isLocked(i));
      });
      if (hovered >= 0) tip.show(describe(cells[hovered], props), elements[hovered].getBoundingClientRect());
    },
    destroy() {
      deafen();
      rove.dispose();
      tip.destroy();
      box.destroy();
    },
  };
}

function drawToken(cell: TokenCell): HTMLElement {
  const element = h("span", {
    class: cell.special ? "nw-token nw-token-special" : "nw-token",
    // An element with a direction of its own does not count for the direction of the whole.
    dir: cell.special ? "ltr" : null,
    role: "option",
    tabindex: "-1",
  });
  for (const part of visibleWhitespace(cell.text)) {
    element.append(
      part.mark
        ? h(
            "span",
            { class: part.wide ? "nw-space nw-space-wide" : "nw-space", dataset: { mark: part.mark } },
            part.text,
          )
        : part.text,
    );
  }
  if (cell.tokens.length > 1) {
    element.append(
      h("span", { class: "nw-parts", "aria-hidden": "true" }, ...cell.tokens.map(() => h("i", null))),
    );
  }
  return element;
}

const valueAt = (scores: StripScores, token: number): number => scores.values[token] ?? Number.NaN;

/** The score of a cell: of several tokens that share a character, the one with the largest size. */
function strongestOf(scores: StripScores, cell: TokenCell): number {
  let best = valueAt(scores, cell.tokens[0]);
  for (const token of cell.tokens) {
    const value = valueAt(scores, token);
    if (!(Math.abs(value) <= Math.abs(best)) && !Number.isNaN(value)) best = value;
  }
  return best;
}

function paint(element: HTMLElement, cell: TokenCell, props: TokenStripProps, locked: boolean): void {
  const { scores, underline } = props;
  const coloured = scores && (!cell.special || props.colourSpecial) ? scores : null;
  const value = coloured ? strongestOf(coloured, cell) : Number.NaN;
  const style = element.style;
  const plain = !coloured || Number.isNaN(value) || value === 0;
  style.backgroundColor = plain ? "" : (coloured as StripScores).scale.css(value);
  style.color = plain ? "" : (coloured as StripScores).scale.text(value);
  element.toggleAttribute("data-nan", !!coloured && Number.isNaN(value));
  element.toggleAttribute("data-clipped", !plain && (coloured as StripScores).scale.clipped(value) !== 0);
  const parts = element.querySelector(".nw-parts");
  if (parts) {
    cell.tokens.forEach((token, i) => {
      (parts as HTMLElement).hidden = !coloured;
      (parts.children[i] as HTMLElement).style.backgroundColor = coloured
        ? coloured.scale.css(valueAt(coloured, token))
        : "";
    });
  }
  const second = underline ? strongestOf(underline, cell) : 0;
  const share = underline?.scale.max ? Math.min(1, Math.abs(second) / underline.scale.max) : 0;
  const line = share > 0.02 ? `${Math.max(1, Math.round(share * 4))}px` : "";
  if (style.getPropertyValue("--nw-line-height") !== line) style.setProperty("--nw-line-height", line);
  element.toggleAttribute("data-negative", second < 0);
  element.setAttribute("aria-selected", String(locked));
  const label = [spoken(cell.text), ...(scores ? [num(strongestOf(scores, cell))] : [])].join(", ");
  if (element.getAttribute("aria-label") !== label) element.setAttribute("aria-label", label);
}

const spoken = (text: string) =>
  text.trim() ||
  (text.includes("\n") ? "line break" : text.includes("\t") ? "tab" : text ? "space" : "empty token");

function describe(cell: TokenCell, props: TokenStripProps) {
  const { tokens, scores, underline } = props;
  const rows: (readonly [string, string])[] = [];
  for (const token of cell.tokens) {
    const where = cell.tokens.length > 1 ? ` (${token})` : "";
    if (scores) rows.push([scores.name + where, number(scores, token)]);
    if (underline) rows.push([underline.name + where, number(underline, token)]);
    rows.push(...(props.details?.(token) ?? []));
  }
  if (tokens) {
    rows.push(["token", cell.tokens.map((t) => `${t}`).join(", ")]);
    rows.push(["written", cell.tokens.map((t) => tokens.raw[t] ?? "").join(" ")]);
    rows.push(["id", cell.tokens.map((t) => `${tokens.ids[t]}`).join(", ")]);
  }
  const several = cell.tokens.length > 1 ? `${cell.tokens.length} tokens make up this character` : undefined;
  return {
    title: cell.text.trim() ? cell.text : spoken(cell.text),
    rows,
    note: cell.special ? "special token" : several,
  };
}

function number(scores: StripScores, token: number): string {
  const value = valueAt(scores, token);
  const beyond = scores.scale.clipped(value) ? " (beyond the range)" : "";
  return `${num(value)}${scores.unit ? ` ${scores.unit}` : ""}${beyond}`;
}
