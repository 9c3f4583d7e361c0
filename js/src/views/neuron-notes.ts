// A person's note and tags on a neuron: read anywhere, written where a kernel keeps them.
import { h, replace, setText } from "../lib/dom";
import type { Note } from "../lib/payload";

export interface NeuronNotesProps {
  neuron: string;
  note: Note | null;
  live: boolean;
  /** The file that keeps the notes; empty: they are gone with the notebook. */
  file: string;
}

export interface NeuronNotesHandlers {
  /** Keep a note; rejects with why it could not be kept. */
  onNote(neuron: string, note: Note): Promise<unknown>;
}

const LONGEST = 4000;

export function tagsOf(text: string): string[] {
  const tags = text.split(",").map((tag) => tag.trim());
  return [...new Set(tags.filter(Boolean))];
}

export function neuronNotes(el: HTMLElement, handlers: NeuronNotesHandlers) {
  let props: NeuronNotesProps = { neuron: "", note: null, live: false, file: "" };
  let dirty = false;
  const read = h("p", { class: "nw-note-text", dir: "auto" });
  const chips = h("span", { class: "nw-chips", role: "list", "aria-label": "Tags" });
  const text = h("textarea", {
    class: "nw-note-input",
    rows: 2,
    maxlength: LONGEST,
    dir: "auto",
    placeholder: "What do you think it stands for?",
    "aria-label": "Note",
  });
  const tags = h("input", {
    type: "text",
    class: "nw-note-tags",
    dir: "auto",
    placeholder: "tags, separated by commas",
    "aria-label": "Tags, separated by commas",
  });
  const save = h("button", { type: "button", disabled: true, onclick: () => void keep() }, "Save");
  const said = h("span", { class: "nw-small nw-muted", role: "status" });
  const form = h("div", { class: "nw-note-form" }, text, h("div", { class: "nw-row" }, tags, save, said));
  const box = h("div", { class: "nw-note" }, read, chips, form);
  el.append(box);

  const changed = () => {
    dirty = true;
    save.disabled = false;
    setText(said, "");
  };
  const fill = () => {
    dirty = false;
    save.disabled = true;
    text.value = props.note?.text ?? "";
    tags.value = (props.note?.tags ?? []).join(", ");
  };
  const keep = async () => {
    if (!dirty) return;
    const { neuron } = props;
    dirty = false;
    save.disabled = true;
    setText(said, "Saving…");
    try {
      await handlers.onNote(neuron, { text: text.value, tags: tagsOf(tags.value) });
      if (neuron === props.neuron) setText(said, "Saved.");
    } catch (error) {
      setText(said, `Not saved: ${error instanceof Error ? error.message : String(error)}`);
      if (neuron === props.neuron) {
        dirty = true;
        save.disabled = false;
      }
    }
  };
  form.addEventListener("input", changed);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && dirty) fill();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey || event.target === tags)) void keep();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  return {
    update(next: NeuronNotesProps) {
      // What was being written about the neuron before is kept, not lost.
      if (dirty && next.neuron !== props.neuron) void keep();
      const other = next.neuron !== props.neuron;
      props = next;
      const { note, live, file } = next;
      form.hidden = !live;
      read.hidden = chips.hidden = live;
      if (!live) {
        setText(read, note?.text ?? "");
        replace(
          chips,
          ...(note?.tags ?? []).map((tag) => h("bdi", { class: "nw-tag", role: "listitem" }, tag)),
        );
      } else if (!dirty) {
        fill();
        if (other)
          setText(said, file ? `kept in ${file}` : "kept in this view only: give notes='notes.json'");
      }
    },
    destroy() {
      if (dirty) void keep();
      box.remove();
    },
  };
}
