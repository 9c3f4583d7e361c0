"""What every view shares: its built JavaScript, export, freezing, the fallback output and errors that are seen."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets as t

from neurowidget.export import freeze, html
from neurowidget.export.snapshot import Snapshot, snapshot
from neurowidget.export.static_files import notebook_module, static_text

log = logging.getLogger("neurowidget")

Handler = Callable[[Mapping[str, Any]], Any]


class View(anywidget.AnyWidget):
    """Base of all neurowidget views; `stem` names the JS file, the Python module and the fixture."""

    stem: ClassVar[str] = ""
    height: ClassVar[int] = 320

    _kind = t.Unicode().tag(sync=True)
    _live = t.Bool(default_value=True).tag(sync=True)
    _notes = t.List(t.Unicode()).tag(sync=True)
    _status = t.Dict().tag(sync=True)
    last_error = t.Unicode(None, allow_none=True).tag(sync=True)
    """The last error of a callback or a job, as the view shows it; None when the last one went well."""

    def __init__(self, **state: Any) -> None:
        unknown = sorted(set(state) - set(self.trait_names()))
        if unknown:
            raise TypeError(f"{type(self).__name__} has no {', '.join(unknown)}")
        # One lock orders what a worker publishes and what the browser sets: ipywidgets holds notifications per widget.
        self._publishing = threading.RLock()
        self._handlers: dict[str, Handler] = {"ping": lambda _: None}
        # anywidget makes traits of these two attributes; read when a view is made, so that importing reads no file.
        self._esm, self._css = notebook_module(self.stem), static_text("neurowidget.css")
        super().__init__(**{"_kind": self.stem, "_status": status("ready"), **state})
        self.on_msg(self._on_message)

    def to_html(self, path: str | Path, *, title: str | None = None, precision: str = "uint8") -> Path:
        """Write one offline HTML file of this view and return its path.

        `precision` is how float arrays are kept: "uint8" (about 1.4 bytes a value), "float16" or "float32".
        """
        target = Path(path)
        target.write_text(self.html_page(title=title, precision=precision), encoding="utf-8")
        return target

    def html_page(self, *, title: str | None = None, precision: str = "uint8") -> str:
        """The page that `to_html` writes, as a string."""
        return html.page([self.snapshot(precision)], title=title or f"neurowidget: {self.stem.replace('-', ' ')}")

    def snapshot(self, precision: str = "uint8") -> Snapshot:
        """The state of this view without a kernel: what pages embed."""
        return snapshot(self, precision)

    def freeze(self, height: int | None = None) -> Any:
        """This view as an ordinary HTML output, which a reopened or untrusted notebook still shows."""
        from IPython.display import HTML

        # IPython warns that an iframe has a class of its own; a srcdoc cannot be given to it.
        output = HTML("")
        output.data = freeze.frame(self.html_page(), height or self.height)
        return output

    def fallback_html(self) -> str:
        """The static table that stands beside the live view."""
        return freeze.fallback(self.get_state())

    def _ipython_display_(self) -> None:
        from IPython.display import display

        bundle = self._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        display(data, metadata=metadata, raw=True)
        self._fallback_output = display(self._fallback_bundle(), raw=True, display_id=True)

    def _fallback_bundle(self) -> dict[str, str]:
        return {"text/html": self.fallback_html(), "text/plain": ""}

    def _refresh_fallback(self) -> None:
        output = getattr(self, "_fallback_output", None)
        if output is not None:
            output.update(self._fallback_bundle(), raw=True)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/plain"] = repr(self)
        return bundle

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.stem})"

    @contextlib.contextmanager
    def publishing(self) -> Iterator[None]:
        """Set several traits as one message, from any thread."""
        with self._publishing, self.hold_sync():
            yield

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        with self._publishing, self.showing_errors():
            super().set_state(sync_data)

    @contextlib.contextmanager
    def showing_errors(self) -> Iterator[None]:
        """An exception inside becomes `last_error`, an error state on screen and a log entry: never nothing."""
        try:
            yield
        except Exception as error:
            self.show_error(error)

    def show_error(self, error: BaseException) -> None:
        """Put an exception on screen and into `last_error`."""
        message = f"{type(error).__name__}: {error}"
        log.error("%s: %s", type(self).__name__, message, exc_info=error)
        with self.publishing():
            self.last_error = message
            self._status = status("error", error=message)

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        if not isinstance(content, dict) or not isinstance(content.get("id"), str) or len(content["id"]) > 100:
            log.warning("a message without an id was ignored")
            return
        reply: dict[str, Any] = {"id": content["id"]}
        handler = self._handlers.get(str(content.get("kind")))
        try:
            if handler is None:
                raise ValueError(f"unknown command {content.get('kind')!r}; known: {', '.join(sorted(self._handlers))}")
            result = handler(content)
            if isinstance(result, Future):
                result.add_done_callback(lambda future: self.send(reply | _answer(future)))
                return
            self.send(reply | {"ok": True, "result": result})
        except Exception as error:
            self.show_error(error)
            self.send(reply | _failure(error))


def _answer(future: Future[Any]) -> dict[str, Any]:
    if future.cancelled():
        return _failure(RuntimeError("cancelled"))
    error = future.exception()
    return {"ok": True, "result": future.result()} if error is None else _failure(error)


def _failure(error: BaseException) -> dict[str, Any]:
    return {"ok": False, "error": {"type": type(error).__name__, "message": str(error)}}


def status(state: str, what: str = "", done: int = 0, total: int = 0, error: str = "") -> dict[str, Any]:
    """The `_status` of a view: empty, running, ready, stale or error."""
    return {"state": state, "what": what, "done": done, "total": total, "error": error}
