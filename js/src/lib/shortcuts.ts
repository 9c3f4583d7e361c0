/**
 * Keep the notebook's own keys away from a view that has the focus: in JupyterLab's command mode an arrow leaves the
 * cell, "x" cuts it and "dd" deletes it. Its shortcuts skip a focused element with data-lm-suppress-shortcuts; with
 * Ctrl, Alt or ⌘ held they stay (save, find). The window hears of a key before the document, where JupyterLab listens.
 */
export function keepKeys(root: HTMLElement): () => void {
  const listen = (event: KeyboardEvent) => {
    const target = event.composedPath()[0];
    if (!(target instanceof Element) || !root.contains(target)) return;
    target.toggleAttribute("data-lm-suppress-shortcuts", !(event.ctrlKey || event.metaKey || event.altKey));
  };
  window.addEventListener("keydown", listen, true);
  return () => window.removeEventListener("keydown", listen, true);
}
