"""The built JavaScript and CSS that ship in the package."""

from __future__ import annotations

import base64
import zlib
from functools import cache
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "static"

# Every live view, and every view that a notebook saves, carries its module as text: packed, it is half the size. It is
# unpacked where it is first drawn, since a host gives a module only 2 s to be imported.
_UNPACK = """const packed = "%s";
let view;
const load = () => (view ??= (async () => {
  const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  const text = new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
  const module = new Blob([await text, "\\nexport default NW.default;"], { type: "text/javascript" });
  const url = URL.createObjectURL(module);
  try {
    return (await import(url)).default;
  } finally {
    URL.revokeObjectURL(url);
  }
})());
export default {
  render: async (context) => {
    const module = await load();
    return context.signal?.aborted ? undefined : module.render(context);
  },
};
"""


@cache
def static_text(name: str) -> str:
    """The text of one built file; raises FileNotFoundError that says how to build it."""
    path = STATIC / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the JavaScript was not built; run `npm ci && npm run build`")
    return path.read_text(encoding="utf-8")


@cache
def notebook_module(stem: str) -> str:
    """The ES module of a widget for notebooks: the iife `var NW = ...`, deflated, and what unpacks and draws it."""
    script = static_text(f"{stem}.js").encode()
    return _UNPACK % base64.b64encode(zlib.compress(script, 9)).decode("ascii")
