// The model, what is explained, the text to run, and the two ways to take the result away.
import { h, replace, setText } from "../lib/dom";
import type { ModelInfo } from "../lib/snapshot";

export interface ExplorerHeaderProps {
  model: ModelInfo | null;
  target: string;
  text: string;
  live: boolean;
  running: boolean;
  code: string;
  prompts: readonly string[];
}

export interface ExplorerHeaderHandlers {
  onRun?(text: string): void;
  onTarget?(key: string): void;
  /** Hands over the page, or rejects with the reason. */
  onExport?(): Promise<{ html: string; name: string }>;
  /** The text box differs from the text that was run. */
  onDraft?(different: boolean): void;
  onError?(error: unknown): void;
}

const NO_KERNEL = "needs a kernel";

export function explorerHeader(el: HTMLElement, handlers: ExplorerHeaderHandlers = {}) {
  let props: ExplorerHeaderProps | null = null;
  let shown = "";

  const name = h("strong", { class: "nw-model-name" });
  const place = h("span", { class: "nw-muted" });
  const target = h("select", {
    "aria-label": "Target: what is explained",
    onchange: () => handlers.onTarget?.(target.value),
  });
  const copy = h("button", { type: "button", onclick: copyCode, "aria-expanded": "false" }, "Copy as Python");
  const save = h("button", { type: "button", onclick: exportPage }, "Export HTML");
  const code = h("textarea", {
    class: "nw-code",
    readonly: true,
    rows: 6,
    "aria-label": "Python that makes this state",
    spellcheck: "false",
  });
  const copied = h("span", { class: "nw-small", role: "status" });
  const panel = h(
    "div",
    { class: "nw-code-panel", hidden: true, onkeydown: closeOnEscape },
    h(
      "div",
      { class: "nw-row" },
      copied,
      h("button", { type: "button", onclick: closeCode, "aria-label": "Close" }, "×"),
    ),
    code,
  );
  const input = h("textarea", {
    class: "nw-ask-text",
    rows: 1,
    dir: "auto",
    spellcheck: "false",
    "aria-label": "Text for the model",
    placeholder: "Type a sentence, press Enter",
    onkeydown: runOnEnter,
    oninput: drafted,
  });
  const run = h("button", { type: "submit", class: "nw-run" }, "Run");
  const form = h("form", { class: "nw-ask", onsubmit: submit }, input, run);
  const prompts = h("div", { class: "nw-prompts" });
  const box = h(
    "header",
    { class: "nw-explorer-header" },
    h(
      "div",
      { class: "nw-row nw-title-row" },
      h("span", { class: "nw-title" }, name, place),
      h("label", { class: "nw-target" }, h("span", { class: "nw-muted" }, "target "), target),
      h("span", { class: "nw-push" }, copy, save),
    ),
    panel,
    form,
    prompts,
  );
  el.append(box);

  function submit(event: Event) {
    event.preventDefault();
    const text = input.value;
    if (props?.live && text.trim()) handlers.onRun?.(text);
  }
  function runOnEnter(event: KeyboardEvent) {
    // While an input method composes (Japanese, Chinese), Enter takes the word and must not run.
    if (event.key !== "Enter" || event.isComposing || (event.shiftKey && !event.ctrlKey && !event.metaKey))
      return;
    event.preventDefault();
    form.requestSubmit();
  }
  function drafted() {
    grow();
    handlers.onDraft?.(input.value !== (props?.text ?? ""));
  }
  function grow() {
    input.style.height = "auto";
    if (input.scrollHeight) input.style.height = `${Math.min(76, input.scrollHeight + 2)}px`;
  }

  async function copyCode() {
    if (!panel.hidden) return closeCode();
    code.value = props?.code ?? "";
    panel.hidden = false;
    copy.setAttribute("aria-expanded", "true");
    try {
      await navigator.clipboard.writeText(code.value);
      setText(copied, "Copied. Paste it into a cell:");
    } catch {
      // Colab and VS Code frames have no clipboard: the text is selected, and the person copies it.
      setText(copied, "Press Ctrl+C (⌘C) to copy:");
      code.focus();
      code.select();
    }
  }
  function closeCode() {
    panel.hidden = true;
    copy.setAttribute("aria-expanded", "false");
    copy.focus();
  }
  function closeOnEscape(event: KeyboardEvent) {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    closeCode();
  }

  async function exportPage() {
    if (!handlers.onExport) return;
    save.disabled = true;
    save.textContent = "Exporting…";
    try {
      const page = await handlers.onExport();
      const url = URL.createObjectURL(new Blob([page.html], { type: "text/html" }));
      const link = h("a", { href: url, download: page.name || "neurons.html", hidden: true });
      box.append(link);
      link.click();
      link.remove();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      handlers.onError?.(error);
    } finally {
      save.textContent = "Export HTML";
      save.disabled = !props?.live;
    }
  }

  return {
    update(next: ExplorerHeaderProps) {
      const first = props === null;
      const { model, live } = next;
      // What is being typed stays, unless the text that it started from was replaced from Python.
      if (first || next.text !== props?.text) {
        if (first || input.value === shown || next.text !== shown) input.value = next.text;
        shown = next.text;
      }
      props = next;
      setText(name, model?.name ?? "No model");
      setText(
        place,
        model
          ? `${model.stack ? `${model.stack} ` : ""}${model.site}, ${model.num_layers} layers × ${model.width}`
          : "",
      );
      const keys = (model?.targets ?? []).map(({ key, label }) => `${key}\n${label}`).join("\n\n");
      if (target.dataset.keys !== keys) {
        target.dataset.keys = keys;
        replace(
          target,
          ...(model?.targets ?? []).map(({ key, label }) => h("option", { value: key }, label)),
        );
      }
      target.value = next.target;
      target.disabled = !live;
      target.title = live ? "The number that effects and attributions explain" : NO_KERNEL;
      input.readOnly = !live;
      input.title = live ? "" : "This page has no kernel: open it from a notebook to run another text";
      run.disabled = !live || next.running;
      run.title = live ? "" : NO_KERNEL;
      run.setAttribute("aria-label", live ? "Run" : `Run (${NO_KERNEL})`);
      save.disabled = !live;
      save.title = live ? "One file that opens without a kernel or network" : NO_KERNEL;
      copy.disabled = !next.code;
      if (!panel.hidden) code.value = next.code;
      prompts.hidden = !next.prompts.length;
      const offered = `${live}${next.prompts.join("\n")}`;
      if (prompts.dataset.offered === offered) return grow();
      prompts.dataset.offered = offered;
      replace(
        prompts,
        next.prompts.length > 0 && h("span", { class: "nw-muted" }, "Try "),
        ...next.prompts.map((prompt) =>
          h(
            "button",
            { type: "button", class: "nw-prompt", dir: "auto", disabled: !live, onclick: () => use(prompt) },
            prompt,
          ),
        ),
      );
      grow();
    },
    focusInput: () => input.focus(),
    destroy() {
      box.remove();
    },
  };

  function use(prompt: string) {
    input.value = prompt;
    grow();
    handlers.onRun?.(prompt);
  }
}
