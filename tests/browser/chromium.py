"""A Chromium that can reach only this machine, and what it said on its console."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page, Playwright

LOCAL = ("http://127.0.0.1:", "http://localhost:", "ws://127.0.0.1:", "blob:", "data:", "file:", "about:")


@dataclass
class Watched:
    """A page, the requests that it was refused, and the errors that it logged."""

    page: Page
    refused: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@contextlib.contextmanager
def chromium(
    playwright: Playwright,
    launch: dict[str, Any],
    *,
    width: int = 1300,
    height: int = 900,
    dark: bool = False,
    offline: bool = False,
    **options: Any,
) -> Iterator[Watched]:
    """Open a page in a fresh profile; every request that does not stay on this machine is refused and counted.

    `playwright` and `launch` are the session fixtures `playwright` and `browser_type_launch_args`.
    """
    with tempfile.TemporaryDirectory(prefix="nw-chromium-") as profile:
        context = playwright.chromium.launch_persistent_context(
            profile,
            **launch,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            offline=offline,
            **options,
        )
        watched = Watched(context.pages[0])

        def route(request_route: Any) -> None:
            url = request_route.request.url
            watched.requested.append(url)
            if url.startswith(LOCAL):
                request_route.continue_()
            else:
                watched.refused.append(url)
                request_route.abort()

        context.route("**/*", route)
        watched.page.on("console", lambda m: watched.errors.append(m.text) if m.type == "error" else None)
        watched.page.on("pageerror", lambda error: watched.errors.append(str(error)))
        try:
            yield watched
        finally:
            context.close()
