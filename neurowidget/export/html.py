"""One offline HTML file of views, headings and text: strict CSP, no request, works from file://."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from neurowidget.export.snapshot import Snapshot
from neurowidget.export.static_files import static_text


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading between views."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text between views; markup in it is shown, not run."""

    text: str


Part = Snapshot | Heading | Paragraph


def page(parts: Iterable[Part], title: str = "neurowidget") -> str:
    """The page as one string; raises TypeError for a part that is not a Snapshot, Heading or Paragraph."""
    body: list[str] = []
    states: dict[str, dict[str, Any]] = {}
    chunks: list[str] = []
    kinds: dict[str, None] = {}
    for number, part in enumerate(parts):
        if isinstance(part, Heading):
            level = min(max(part.level, 1), 6)
            body.append(f"<h{level}>{html.escape(part.text)}</h{level}>")
        elif isinstance(part, Paragraph):
            body.append(f"<p>{html.escape(part.text)}</p>")
        elif isinstance(part, Snapshot):
            key = f"view-{number}"
            kinds[part.kind] = None
            body.append(view_block(key, part.kind))
            states[key] = _embed(part, chunks)
        else:
            raise TypeError(f"a page is made of Snapshot, Heading and Paragraph, got {type(part).__name__}")
    opening, closing = frame(title, kinds)
    return "".join([opening, "\n".join(body), BETWEEN, state_block(states), "\n".join(chunks), closing])


BETWEEN = (
    "</main>\n<noscript><p>This page draws its views with JavaScript, which is switched off here.</p></noscript>\n"
)


def frame(title: str, kinds: Iterable[str]) -> tuple[str, str]:
    """What stands before the body of a page with views of these kinds, and after its data: policy, style and script."""
    script = _classic(_boot(kinds))
    style = static_text("neurowidget.css")
    policy = (
        f"default-src 'none'; script-src {_sha256(script)}; style-src {_sha256(style)}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    opening = "".join(
        [
            '<!doctype html>\n<html lang="en" class="nw-page"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(title)}</title><style>{style}</style></head><body>\n<main>",
        ]
    )
    return opening, f"<script>{script}</script></body></html>\n"


def view_block(key: str, kind: str) -> str:
    """The place of a view in the body; `key` is its name in the state."""
    return f'<div class="nw-page-view" data-nw-view="{key}" data-nw-kind="{html.escape(kind)}"></div>'


def state_block(states: Mapping[str, Any]) -> str:
    """The states of all views of a page: key -> {kind, state, buffers}."""
    return f'<script type="application/json" id="nw-state">{_json(states)}</script>\n'


def answer_block(key: str, command: str, answer: Any) -> str:
    """What a view without a kernel is answered to a command such as `card L5.mlp[131]`, packed until it is asked for."""
    packed = base64.b64encode(zlib.compress(_json(answer).encode("utf-8", "replace"), 6)).decode("ascii")
    name = html.escape(f"nw-answer {key} {command}", quote=True)
    return f'<script type="application/octet-stream" id="{name}">{packed}</script>\n'


def _embed(part: Snapshot, chunks: list[str]) -> dict[str, Any]:
    state, buffers = part.split()
    entries = []
    for path, raw in buffers:
        packed, encoding = zlib.compress(raw, 6), "deflate"
        if len(packed) > 0.97 * len(raw):
            packed, encoding = raw, "raw"
        name = f"nw-c{len(chunks)}"
        text = base64.b64encode(packed).decode("ascii")
        chunks.append(f'<script type="application/octet-stream" id="{name}">{text}</script>')
        entries.append({"path": path, "id": name, "encoding": encoding})
    return {"kind": part.kind, "state": state, "buffers": entries}


def _boot(kinds: Iterable[str]) -> str:
    views = "".join(f"{static_text(kind + '.js')}\nNWViews[{json.dumps(kind)}]=NW.default;\n" for kind in kinds)
    return f"(function(){{var NWViews={{}};\n{views}{static_text('static-host.js')}\nNWHost.boot(NWViews);}})();"


def _json(value: Any) -> str:
    """JSON that cannot end its script element nor open a comment in it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _classic(script: str) -> str:
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _sha256(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
