// Tokens as cells to draw, and their whitespace made visible without changing the text.
import type { TokensState } from "../lib/snapshot";

export interface TokenCell {
  text: string;
  /** One token, or several that share this character (byte-level pieces). */
  tokens: number[];
  special: boolean;
  /** A new line follows. */
  breaks: boolean;
}

export function tokenCells(tokens: TokensState): TokenCell[] {
  const cells: TokenCell[] = [];
  tokens.pieces.forEach((piece, i) => {
    const last = cells.at(-1);
    if (last && tokens.shares[i] && piece === "" && !tokens.special[i]) {
      last.tokens.push(i);
      return;
    }
    const special = !!tokens.special[i];
    const text = piece || tokens.raw[i] || "";
    cells.push({ text, tokens: [i], special, breaks: !special && piece.includes("\n") });
  });
  return cells;
}

export interface TextPart {
  text: string;
  /** The sign to draw in place of what cannot be seen. */
  mark?: string;
  /** The sign is drawn instead of the character, not inside its space. */
  wide?: boolean;
}

// Joiners and variation selectors are part of emoji and scripts; other format characters are only ever noise.
const INVISIBLE = /[ \t\n\r\u00a0]|[\p{Cc}\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/u;

/** The text in parts; the parts joined are the text. */
export function visibleWhitespace(text: string): TextPart[] {
  const parts: TextPart[] = [];
  for (const char of text) {
    const last = parts.at(-1);
    if (!INVISIBLE.test(char)) {
      if (last && !last.mark) last.text += char;
      else parts.push({ text: char });
    } else if (char === " ") parts.push({ text: char, mark: "·" });
    else if (char === "\t") parts.push({ text: char, mark: "⇥", wide: true });
    else if (char === "\n" || char === "\r")
      parts.push({ text: char, mark: char === "\n" ? "↵" : "␍", wide: true });
    else if (char === "\u00a0") parts.push({ text: char, mark: "⍽", wide: true });
    else
      parts.push({
        text: char,
        mark: (char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0"),
        wide: true,
      });
  }
  return parts;
}

/** The text with signs for what cannot be seen: new lines and the like, and spaces where there is nothing else. */
export function markedText(text: string): string {
  const blank = !text.trim();
  return visibleWhitespace(text)
    .map((part) => (part.mark && (part.wide || blank) ? part.mark : part.text))
    .join("");
}
