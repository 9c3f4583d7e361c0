// A part of a card with a fixed place: its picture, or the words for why there is none.
import { h, setText } from "../lib/dom";

export function section(title: string, formula = "") {
  const note = h("span", { class: "nw-section-note nw-small nw-muted" });
  const body = h("div", { class: "nw-section-body" });
  const missing = h("p", { class: "nw-missing", hidden: true });
  const el = h(
    "section",
    { class: "nw-section" },
    h(
      "h4",
      null,
      h("span", null, title, formula && h("span", { class: "nw-formula nw-small nw-muted" }, formula)),
      note,
    ),
    body,
    missing,
  );
  return {
    el,
    note,
    body,
    show(absent: string | null) {
      body.hidden = absent !== null;
      missing.hidden = absent === null;
      setText(missing, absent ?? "");
    },
  };
}
