// The colours around us: JupyterLab, VS Code, Colab or a plain page, light or dark, followed when they change.
import { luminance, parseColour } from "./colour";

export interface Theme {
  dark: boolean;
  /** CSS colours, ready for a canvas. */
  background: string;
  panel: string;
  text: string;
  muted: string;
  line: string;
  accent: string;
  font: string;
}

export interface ThemeWatch {
  readonly theme: Theme;
  /** Call `fn` after the theme changed; returns how to stop. */
  onChange(fn: (theme: Theme) => void): () => void;
  dispose(): void;
}

const HOST_BACKGROUNDS = [
  "--jp-layout-color1",
  "--vscode-notebook-editorBackground",
  "--vscode-editor-background",
  "--colab-primary-surface-color",
];

/** True when what lies behind `el` is dark. */
export function isDark(el: Element): boolean {
  const page = el.ownerDocument.documentElement;
  const forced = closest(el, "[data-nw-theme-force]")?.getAttribute("data-nw-theme-force");
  if (forced) return forced === "dark";
  const style = getComputedStyle(el);
  for (const name of HOST_BACKGROUNDS) {
    const found = resolve(el, style.getPropertyValue(name).trim());
    if (found !== null) return found;
  }
  for (let at: Element | null = parent(el); at; at = parent(at)) {
    const colour = parseColour(getComputedStyle(at).backgroundColor);
    if (colour && colour.alpha > 0.5) return luminance(colour.rgb) < 0.18;
  }
  if (page.getAttribute("theme") === "dark") return true;
  const scheme = getComputedStyle(page).colorScheme;
  if (scheme === "light" || scheme === "dark") return scheme === "dark";
  return globalThis.matchMedia?.("(prefers-color-scheme: dark)").matches ?? false;
}

/** Mark `root` (class nw) as light or dark and keep it so; canvases read the colours from here. */
export function watchTheme(root: HTMLElement): ThemeWatch {
  const listeners = new Set<(theme: Theme) => void>();
  let theme = read(root);
  let seen = JSON.stringify(theme);
  let frame = 0;
  const check = () => {
    frame = 0;
    theme = read(root);
    const now = JSON.stringify(theme);
    if (now === seen) return;
    seen = now;
    for (const fn of [...listeners]) fn(theme);
  };
  // A theme switch sets attributes first and swaps the stylesheet within the same frame or the next.
  const later = () => {
    frame ||= requestAnimationFrame(() => {
      frame = requestAnimationFrame(check);
    });
  };
  const observer = new MutationObserver(later);
  const { documentElement, body } = root.ownerDocument;
  for (const el of [documentElement, body]) if (el) observer.observe(el, { attributes: true });
  const media = globalThis.matchMedia?.("(prefers-color-scheme: dark)");
  media?.addEventListener?.("change", later);
  return {
    get theme() {
      return theme;
    },
    onChange(fn) {
      listeners.add(fn);
      return () => listeners.delete(fn);
    },
    dispose() {
      observer.disconnect();
      media?.removeEventListener?.("change", later);
      if (frame) cancelAnimationFrame(frame);
      listeners.clear();
    },
  };
}

function read(root: HTMLElement): Theme {
  const dark = isDark(root);
  root.dataset.nwTheme = dark ? "dark" : "light";
  const style = getComputedStyle(root);
  const get = (name: string, light: string, night: string) =>
    style.getPropertyValue(`--nw-${name}`).trim() || (dark ? night : light);
  return {
    dark,
    background: get("background", "#ffffff", "#1b1b1d"),
    panel: get("panel", "#ffffff", "#1e1e20"),
    text: get("text", "#1c1c1f", "#e4e4e7"),
    muted: get("muted", "#63636b", "#a1a1aa"),
    line: get("line", "#dcdce0", "#3a3a40"),
    accent: get("accent", "#c2006b", "#ff6bb3"),
    font: style.fontFamily || "system-ui, sans-serif",
  };
}

// A custom property keeps the words it was written in ("white", "hsl(…)"): an element turns them into numbers.
function resolve(el: Element, colour: string): boolean | null {
  if (!colour) return null;
  const direct = parseColour(colour);
  if (direct) return direct.alpha > 0.5 ? luminance(direct.rgb) < 0.18 : null;
  const probe = el.ownerDocument.createElement("span");
  probe.style.color = colour;
  probe.style.display = "none";
  el.append(probe);
  const parsed = probe.style.color ? parseColour(getComputedStyle(probe).color) : null;
  probe.remove();
  return parsed && parsed.alpha > 0.5 ? luminance(parsed.rgb) < 0.18 : null;
}

function parent(el: Element): Element | null {
  if (el.parentElement) return el.parentElement;
  const root = el.getRootNode();
  return root instanceof ShadowRoot ? root.host : null;
}

function closest(el: Element, selector: string): Element | null {
  for (let at: Element | null = el; at; at = parent(at)) if (at.matches(selector)) return at;
  return null;
}
