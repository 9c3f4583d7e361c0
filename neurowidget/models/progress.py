"""Stopping long work from outside."""

from __future__ import annotations

from collections.abc import Callable

StopFlag = Callable[[], bool]


class Cancelled(Exception):  # noqa: N818 - a request, not an error
    """Raised inside long work when its `should_stop()` said True; nothing was changed and no hook stays."""


def check(should_stop: StopFlag | None) -> None:
    """Raise Cancelled when the caller asked to stop; called between batches."""
    if should_stop is not None and should_stop():
        raise Cancelled("stopped on request")
