// Scores over the tokens of a text.
import { maxAbs, Scale } from "../lib/colour";
import { h, replace, setText } from "../lib/dom";
import { num } from "../lib/format";
import { given, type ScoresState, type TokenStripState, type TokensState } from "../lib/snapshot";
import { defineWidget } from "../lib/widget";
import { legend } from "../views/legend";
import { type StripScores, tokenStrip } from "../views/token-strip";

export default defineWidget<TokenStripState>("token-strip", ({ root, binding, theme, onDispose }) => {
  const detail = h("dl", { class: "nw-detail nw-small" });
  const warnings = h("div", { class: "nw-warnings nw-small" });
  const holder = h("div", null);
  const readout = h("div", { class: "nw-readout nw-small nw-muted", "aria-live": "polite" });
  const foot = h("div", null);
  const notes = h("ul", { class: "nw-notes" });
  root.append(detail, warnings, holder, readout, foot, notes);
  let range: number[] = [];
  const strip = tokenStrip(holder, {
    onSelect(tokens) {
      range = tokens;
      binding.set("selected_token", tokens[0] ?? null);
      draw();
    },
    onHover: (token) =>
      key.mark(token === null ? null : (given(binding.get("_scores"))?.values[token] ?? null)),
  });
  const key = legend(foot);

  const draw = () => {
    const tokens = given(binding.get("_tokens"));
    const scores = given(binding.get("_scores"));
    const token = binding.get("selected_token");
    if (token === null || !range.includes(token)) range = token === null ? [] : [token];
    const painted = scores && tokens && paintable(scores, tokens, theme.theme.dark);
    const under = given(binding.get("_underline"));
    const underline = under && tokens && paintable(under, tokens, theme.theme.dark);
    replace(
      detail,
      ...(binding.get("_detail") ?? []).map((d) =>
        h("div", null, h("dt", null, d.label), h("dd", null, d.value)),
      ),
    );
    replace(
      warnings,
      ...(binding.get("_warnings") ?? []).map((text) => h("div", { class: "nw-warning" }, text)),
    );
    strip.update({
      status: binding.get("_status"),
      tokens,
      scores: painted,
      underline,
      selected: range,
      colourSpecial: scores ? !scores.exclude_special : false,
    });
    setText(readout, said(range, tokens, painted));
    key.update({
      scale: painted?.scale ?? null,
      info: scores ?? { name: "", of: "", unit: "", signed: true },
      range: "text",
      hasNaN: painted ? painted.values.some(Number.isNaN) : false,
      notes: underline
        ? [`line below: ${underline.name} up to ${num(underline.scale.max)}, dashed is negative`]
        : [],
    });
    replace(notes, ...(binding.get("_notes") ?? []).map((text) => h("li", null, text)));
  };
  binding.on(
    ["_tokens", "_scores", "_underline", "_detail", "_warnings", "_status", "_notes", "selected_token"],
    draw,
  );
  onDispose(theme.onChange(draw));
  onDispose(() => {
    strip.destroy();
    key.destroy();
  });
  draw();
});

function paintable(
  scores: ScoresState,
  tokens: TokensState,
  dark: boolean,
): StripScores & { values: number[] } {
  const values = scores.values.map((value) => value ?? Number.NaN);
  const counted = values.filter((_, i) => !(scores.exclude_special && tokens.special[i]));
  return {
    values,
    scale: new Scale({ signed: scores.signed, max: maxAbs(counted), dark }),
    name: scores.of ? `${scores.name} of ${scores.of}` : scores.name,
    unit: scores.unit,
  };
}

function said(
  range: number[],
  tokens: TokensState | null,
  scores: { values: number[]; name: string } | null,
): string {
  if (!tokens || !range.length) return "Click a token to keep it; shift-click for a range.";
  const text = range
    .map((i) => tokens.pieces[i] || "")
    .join("")
    .trim();
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text || tokens.raw[range[0]];
  if (!scores) return `“${shown}”`;
  const sum = range.reduce((total, i) => total + scores.values[i], 0);
  return range.length > 1
    ? `“${shown}”: ${range.length} tokens, sum ${num(sum)}`
    : `“${shown}”: ${scores.name} ${num(sum)}`;
}
