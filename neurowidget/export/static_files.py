"""The built JavaScript and CSS that ship in the package."""

from __future__ import annotations

from functools import cache
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "static"


@cache
def static_text(name: str) -> str:
    """The text of one built file; raises FileNotFoundError that says how to build it."""
    path = STATIC / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the JavaScript was not built; run `npm ci && npm run build`")
    return path.read_text(encoding="utf-8")


def notebook_module(stem: str) -> str:
    """The ES module of a widget for notebooks: the iife `var NW = ...` and its default export."""
    return f"{static_text(stem + '.js')}\nexport default NW.default;\n"
