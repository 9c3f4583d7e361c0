// What every widget does the same way: a themed root, a binding, requests, errors on screen, a clean end.
import type { AnyModel, RenderProps } from "@anywidget/types";
import { type Binding, bind } from "./bindings";
import { h } from "./dom";
import { Requests } from "./requests";
import { keepKeys } from "./shortcuts";
import { type ThemeWatch, watchTheme } from "./theme";

export interface Context<T extends object> {
  /** The element to draw in (class nw). */
  root: HTMLElement;
  model: AnyModel<T>;
  binding: Binding<T>;
  requests: Requests;
  theme: ThemeWatch;
  /** Show an error in this view. */
  fail(error: unknown): void;
  /** Run `fn` when the view goes away. */
  onDispose(fn: () => void): void;
}

/** Make an anywidget whose view is drawn by `draw`. */
export function defineWidget<T extends object>(
  kind: string,
  draw: (context: Context<T>) => void,
  onBusy?: (context: Context<T>, busy: boolean) => void,
) {
  return {
    render({ model, el, signal }: Pick<RenderProps<T>, "model" | "el"> & { signal?: AbortSignal }) {
      const root = h("div", { class: `nw nw-${kind}` });
      el.append(root);
      const ends: (() => void)[] = [];
      const theme = watchTheme(root);
      ends.push(keepKeys(root));
      const fail = (error: unknown) => showError(root, error);
      const binding = bind<T>(model, fail, () => clearError(root));
      const requests = new Requests(model, { onBusy: (busy) => onBusy?.(context, busy) });
      const context: Context<T> = {
        root,
        model,
        binding,
        requests,
        theme,
        fail,
        onDispose: (fn) => ends.push(fn),
      };
      let open = true;
      const dispose = () => {
        if (!open) return;
        open = false;
        for (const end of ends.reverse()) end();
        requests.dispose();
        binding.dispose();
        theme.dispose();
        root.remove();
      };
      signal?.addEventListener("abort", dispose, { once: true });
      try {
        draw(context);
      } catch (error) {
        fail(error);
      }
      return dispose;
    },
  };
}

function clearError(root: HTMLElement): void {
  root.querySelector(":scope > .nw-fatal")?.remove();
}

/** An error inside the view it belongs to, with what to do. */
export function showError(root: HTMLElement, error: unknown): void {
  console.error(error);
  const text = error instanceof Error ? error.message : String(error);
  clearError(root);
  root.prepend(
    h(
      "div",
      { class: "nw-fatal", role: "alert" },
      `This view could not be drawn: ${text}\nRun the cell again; if it stays, please report it with this message.`,
    ),
  );
}
