// Every committed fixture and many made-up states on one page, to be looked at.
//
// gallery.html?theme=dark&width=420&only=token-strip&case=long   all optional
import { StaticModel } from "../src/hosts/static-host";
import { type Case, cases } from "./cases";

// The built scripts put themselves in here, as on an exported page.
declare const NWViews: Record<string, { render(props: object): unknown } | undefined>;

const query = new URLSearchParams(location.search);
const theme = query.get("theme") ?? "light";
const width = Number(query.get("width") ?? 0);
const only = query.get("only");
const wanted = query.get("case");

const fixtures = JSON.parse(document.getElementById("fixtures")?.textContent ?? "{}");
const shown: Case[] = [
  ...Object.entries(fixtures).map(([name, fixture]) => ({ ...(fixture as Case), name: `fixture ${name}` })),
  ...cases(),
].filter((c) => NWViews[c.kind] && (!only || c.kind === only) && (!wanted || c.name.includes(wanted)));

document.documentElement.dataset.nwThemeForce = theme;
Object.assign(document.body.style, {
  margin: "0",
  padding: "8px",
  background: theme === "dark" ? "#111113" : "#ffffff",
  color: theme === "dark" ? "#ddd" : "#222",
  fontFamily: "system-ui, sans-serif",
});
const models: StaticModel[] = [];
for (const { kind, name, state } of shown) {
  const heading = document.createElement("h2");
  heading.textContent = `${kind}: ${name}`;
  Object.assign(heading.style, { font: "600 12px system-ui", opacity: "0.6", margin: "16px 0 4px" });
  const el = document.createElement("div");
  el.dataset.case = name;
  if (width) el.style.width = `${width}px`;
  document.body.append(heading, el);
  const model = new StaticModel(state as Record<string, unknown>);
  models.push(model);
  NWViews[kind]?.render({ model, el, signal: new AbortController().signal });
}
Object.assign(globalThis, { models });
document.documentElement.dataset.nwReady = "1";
