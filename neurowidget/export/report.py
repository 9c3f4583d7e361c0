"""Reports: the cards of thousands of neurons, or a list of views, as offline pages."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from neurowidget.export import html, neuron_cards
from neurowidget.export.html import Heading, Paragraph, Part
from neurowidget.export.snapshot import Snapshot
from neurowidget.neuron import Neuron
from neurowidget.results.base import Result
from neurowidget.results.examples import Examples
from neurowidget.results.explanations import Explanation
from neurowidget.results.notes import Notes

KEY = "report"
READY = {"state": "ready", "what": "", "done": 0, "total": 0, "error": ""}


def report(
    what: Any,
    path: str | Path,
    *,
    neurons: Sequence[Neuron | str] | None = None,
    explanations: Iterable[Explanation] = (),
    notes: Notes | str | Path | None = None,
    title: str | None = None,
    per_page: int = 200,
    progress: bool = True,
) -> Path:
    """Write what was found as offline pages and return the path: one file for a path that ends in .html, else a folder.

    `what` is an Examples: a searchable list of `neurons` (None: all) with the card of each, its `explanations` and its
    note. One card is in memory at a time; a folder has `per_page` cards a page and an `index.html`. Or `what` is a view,
    a result or a list of them, with Heading and Paragraph of `neurowidget.export.html` between: one page, each script once.
    Pages make no request, and notes cannot be edited there. Nothing is left behind when it fails or is interrupted.
    Raises IndexError for a neuron that has no examples, and FileExistsError for a folder with other files in it.
    """
    target = Path(path)
    single = target.suffix.lower() in (".html", ".htm")
    if not isinstance(what, Examples):
        if neurons is not None or not single:
            raise ValueError("a report of views is one page: give a path that ends in .html, and no neurons=")
        parts = what if isinstance(what, list | tuple) else [what]
        with _complete(target) as temporary:
            temporary.write_text(html.page(map(_part, parts), title=title or "neurowidget report"), encoding="utf-8")
        return target
    if per_page < 1:
        raise ValueError(f"per_page={per_page}: expected 1 or more cards a page")
    store = notes if notes is None or isinstance(notes, Notes) else Notes(notes)
    cards = _Cards(what, neurons, explanations, {} if store is None else store.read(), title, progress)
    if single:
        with _complete(target) as temporary:
            cards.write(temporary, range(len(cards.rows)), None)
    else:
        with _complete_folder(target) as folder:
            cards.write_folder(folder, per_page)
    return target


class _Cards:
    """The cards of some neurons, made one by one while a page is written."""

    def __init__(
        self,
        examples: Examples,
        neurons: Sequence[Neuron | str] | None,
        explanations: Iterable[Explanation],
        notes: Mapping[str, Any],
        title: str | None,
        progress: bool,
    ) -> None:
        self.examples, self.explanations = examples, neuron_cards.by_neuron(explanations)
        self.rows = list(dict.fromkeys(map(examples.row, neurons))) if neurons is not None else range(len(examples))
        self.index = neuron_cards.index_of(examples, self.rows, self.explanations)
        self.names: list[str] = self.index["neurons"]
        shown = set(self.names)
        self.notes = {neuron: note for neuron, note in notes.items() if neuron in shown}
        self.source = neuron_cards.source_of(examples, self.explanations) | {"count": len(self.names)}
        self.title = title or f"What {len(self.names):,} neurons of {self.source['name']} fire on"
        self.progress = progress

    def write(self, path: Path, places: range, pages: dict[str, Any] | None) -> None:
        """One page with the cards at `places` of the list; the list itself unless the page is one of several."""
        opening, closing = html.frame(self.title, ["neuron-card"])
        selected = self.names[places[0]] if places else None
        with path.open("w", encoding="utf-8") as stream:
            stream.write(opening + html.view_block(KEY, "neuron-card") + html.BETWEEN)
            state = self._state(selected, pages)
            stream.write(html.state_block({KEY: {"kind": "neuron-card", "state": state, "buffers": []}}))
            if pages is None or not places:
                stream.write(html.answer_block(KEY, "index", self.index))
            for place in tqdm(places, desc="cards", unit="card", disable=not self.progress or not places, leave=False):
                name = self.names[place]
                card = neuron_cards.card_of(self.examples, name, self.explanations.get(name, ()))
                stream.write(html.answer_block(KEY, f"card {name}", card))
            stream.write(closing)

    def write_folder(self, folder: Path, per_page: int) -> None:
        """Pages of cards, and the page that finds them."""
        starts = range(0, len(self.names), per_page)
        files = [f"cards-{number:04d}.html" for number in range(1, len(starts) + 1)]
        pages = {"size": per_page, "files": files, "index": "index.html"}
        for start, name in zip(starts, files, strict=True):
            self.write(folder / name, range(start, min(start + per_page, len(self.names))), pages)
        self.write(folder / "index.html", range(0), pages)

    def _state(self, selected: str | None, pages: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "_kind": "neuron-card",
            "_live": False,
            "_notes": [],
            "_status": READY if self.names else READY | {"state": "empty"},
            "last_error": None,
            "selected_neuron": selected,
            "view": {"group": "top", "context": 5},
            "notes": self.notes,
            "_notes_file": "",
            "_source": self.source,
            "_neurons": self.names,
            "_card": None,
            "_cards": {},
            "_pages": pages,
        }


def _part(part: Any) -> Part:
    if isinstance(part, Snapshot | Heading | Paragraph):
        return part
    if isinstance(part, Result) and Result.show_hook is not None:
        part = Result.show_hook(part)
    if not callable(getattr(part, "snapshot", None)):
        raise TypeError(f"a report is made of Examples, or of views and results, got {type(part).__name__}")
    made = part.snapshot()
    if not isinstance(made, Snapshot):
        raise TypeError(f"the snapshot of {type(part).__name__} is no Snapshot but {type(made).__name__}")
    return made


@contextlib.contextmanager
def _complete(target: Path) -> Iterator[Path]:
    """A path to write to that becomes `target` when all went well, and is gone when not."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".html", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _complete_folder(target: Path) -> Iterator[Path]:
    """The same for a folder of pages; an older report in its place is replaced."""
    if target.exists():
        other = [p.name for p in target.iterdir() if p.name != "index.html" and not p.match("cards-*.html")]
        if other:
            raise FileExistsError(
                f"{target} has other files ({', '.join(sorted(other)[:3])}): give a folder of its own"
            )
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
