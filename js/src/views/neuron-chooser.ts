// Which neuron: its address typed, a word that it fires on, or the one before and after.
import { h, listen, replace, setText } from "../lib/dom";
import { count, group, num } from "../lib/format";
import type { Match } from "../lib/neuron-index";
import { markedText } from "./token-text";

export interface NeuronChooserProps {
  neuron: string | null;
  /** Its place among them all, from 0; -1: none is chosen. */
  place: number;
  total: number;
  /** An address to type, as an example. */
  example: string;
  /** The list stands open, as where nothing is chosen yet. */
  open: boolean;
  find: (query: string) => { matches: Match[]; total: number };
  /** The model that they are of. */
  about: string;
  /** The words of the neurons are still being fetched. */
  loading: boolean;
}

export interface NeuronChooserHandlers {
  onNeuron(neuron: string): void;
  onStep(by: number): void;
  /** The list is looked at: what it needs can be fetched; an update follows. */
  onOpen(): void;
}

let numbers = 0;

export function neuronChooser(el: HTMLElement, on: NeuronChooserHandlers) {
  const id = `nw-matches-${++numbers}`;
  let props: NeuronChooserProps | null = null;
  let matches: Match[] = [];
  let active = -1;
  let asked = false;
  const back = h(
    "button",
    {
      type: "button",
      title: "Previous neuron",
      "aria-label": "Previous neuron",
      onclick: () => on.onStep(-1),
    },
    "‹",
  );
  const next = h(
    "button",
    { type: "button", title: "Next neuron", "aria-label": "Next neuron", onclick: () => on.onStep(1) },
    "›",
  );
  const input = h("input", {
    type: "search",
    class: "nw-chooser-input",
    role: "combobox",
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": "Neuron, or a word that it fires on",
    "aria-controls": id,
    "aria-autocomplete": "list",
  });
  const place = h("span", { class: "nw-small nw-muted" });
  const list = h("div", { class: "nw-matches", role: "listbox", id, "aria-label": "Neurons" });
  const said = h("div", { class: "nw-small nw-muted nw-matches-said", role: "status" });
  const panel = h("div", { class: "nw-matches-panel", hidden: true }, said, list);
  const about = h("span", { class: "nw-push nw-small nw-muted" });
  const box = h(
    "div",
    { class: "nw-chooser" },
    h("div", { class: "nw-row" }, back, input, next, place, about),
    panel,
  );
  el.append(box);

  const shown = () => asked || (props?.open ?? false);
  const draw = () => {
    panel.hidden = !shown();
    panel.toggleAttribute("data-over", asked && !props?.open);
    input.setAttribute("aria-expanded", String(!panel.hidden));
    if (panel.hidden || !props) return;
    const query = input.value === props.neuron ? "" : input.value;
    const found = props.find(query);
    matches = found.matches;
    active = Math.max(asked && query ? 0 : -1, Math.min(active, matches.length - 1));
    setText(said, words(query, found.total, matches.length, props.loading));
    replace(list, ...matches.map((match, i) => row(match, `${id}-${i}`, match.neuron === props?.neuron)));
    mark();
  };
  const mark = () => {
    [...list.children].forEach((one, i) => {
      one.toggleAttribute("data-active", i === active);
    });
    const chosen = list.children[active];
    if (chosen) {
      input.setAttribute("aria-activedescendant", chosen.id);
      chosen.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };
  const open = () => {
    const first = !asked;
    asked = true;
    if (first) on.onOpen();
    else draw();
  };
  const close = () => {
    asked = false;
    active = -1;
    draw();
  };
  const choose = (match: Match | undefined) => {
    if (!match) return;
    input.value = match.neuron;
    close();
    on.onNeuron(match.neuron);
  };
  const deafen = [
    listen(input, {
      focus: () => input.select(),
      click: open,
      input() {
        active = input.value ? 0 : -1;
        open();
      },
      keydown(event) {
        if (event.key === "ArrowDown" || event.key === "ArrowUp") {
          if (!shown()) open();
          active = Math.max(0, Math.min(matches.length - 1, active + (event.key === "ArrowDown" ? 1 : -1)));
          mark();
        } else if (event.key === "Enter") {
          if (!shown() && input.value !== props?.neuron) open();
          choose(matches[Math.max(0, active)]);
        } else if (event.key === "Escape" && (asked || input.value !== (props?.neuron ?? ""))) {
          input.value = props?.neuron ?? "";
          close();
        } else return;
        event.preventDefault();
        event.stopPropagation();
      },
    }),
    listen(list, {
      // The field keeps the focus, so that the list does not close under the click.
      pointerdown: (event) => event.preventDefault(),
      click(event) {
        const at = event.target instanceof Element ? event.target.closest(".nw-match") : null;
        choose(matches[[...list.children].indexOf(at as Element)]);
      },
    }),
    listen(box, {
      focusout(event) {
        if (!asked || box.contains(event.relatedTarget as Node | null)) return;
        input.value = props?.neuron ?? "";
        close();
      },
    }),
  ];

  return {
    update(now: NeuronChooserProps) {
      const changed = now.neuron !== props?.neuron;
      props = now;
      if (changed && !asked) input.value = now.neuron ?? "";
      input.placeholder = `${now.example}, L2, a word`;
      back.disabled = now.place <= 0 && now.total > 0 && now.place !== -1;
      next.disabled = now.place >= now.total - 1;
      setText(
        place,
        now.place >= 0 ? `${group(now.place + 1)} of ${group(now.total)}` : count(now.total, "neuron"),
      );
      setText(about, now.about);
      for (const part of [back, input, next, place]) part.hidden = now.total < 2;
      draw();
    },
    destroy() {
      for (const end of deafen) end();
      box.remove();
    },
  };
}

function words(query: string, total: number, shown: number, loading: boolean): string {
  if (loading) return "Reading the words of all neurons…";
  if (!total) return `No neuron fits “${query.trim()}”: try L5.mlp[131], L5 or a word of its examples.`;
  const many = shown < total ? `, the first ${shown} here` : "";
  return query.trim()
    ? `${count(total, "neuron")} for “${query.trim()}”${many}`
    : `${count(total, "neuron")}${many}`;
}

function row(match: Match, id: string, selected: boolean): HTMLElement {
  return h(
    "div",
    { class: "nw-match", role: "option", id, "aria-selected": String(selected) },
    h("span", { class: "nw-match-name" }, match.neuron),
    h(
      "span",
      { class: "nw-match-words", dir: "auto" },
      ...match.tags.map((tag) => h("bdi", { class: "nw-tag" }, tag)),
      match.about && h("b", null, `${markedText(match.about)} `),
      markedText(match.words),
    ),
    h(
      "span",
      { class: "nw-small nw-muted", title: "its largest value" },
      match.maximum === null ? "" : num(match.maximum),
    ),
  );
}
