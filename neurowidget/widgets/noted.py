"""Notes and tags on neurons, shown and edited in a view."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import traitlets as t

from neurowidget.results.notes import Note, Notes, checked_note, checked_notes
from neurowidget.widgets.base import View

NotesLike = Notes | str | Path | None


class NotedView(View):
    """A view with notes on neurons: `notes` is a trait, and a JSON file where one was given."""

    notes = t.Dict().tag(sync=True)
    """Notes by neuron: `{"L5.mlp[131]": {"text": "...", "tags": ["..."]}}`; set it to write all of them."""
    _notes_file = t.Unicode().tag(sync=True)

    _store: Notes | None = None

    def keep_notes(self, notes: NotesLike) -> None:
        """Take the notes of a file (a path or Notes) and write every change to it; None keeps them in this view only."""
        if notes is None:
            return
        store = notes if isinstance(notes, Notes) else Notes(notes)
        self._store = None  # what the file has needs no writing
        self.notes = store.read()
        self._store, self._notes_file = store, store.path.name

    @t.validate("notes")
    def _notes_are_sound(self, proposal: t.Bunch) -> dict[str, Note]:
        try:
            found = checked_notes(proposal["value"])
        except (ValueError, TypeError) as error:
            raise t.TraitError(str(error)) from error
        return found if self._store is None else self._store.replace(found)

    def _note_command(self, message: Mapping[str, Any]) -> dict[str, Note]:
        """Write the note of one neuron; answers with that note as it was kept."""
        note = checked_note({"text": message.get("text", ""), "tags": message.get("tags", [])})
        name = str(message.get("neuron"))
        if self._store is not None:
            written, store = self._store.set(name, note["text"], note["tags"]), self._store
            try:
                self._store = None  # it is written already
                self.notes = written
            finally:
                self._store = store
        else:
            rest = {neuron: kept for neuron, kept in self.notes.items() if neuron != name}
            self.notes = rest | ({name: note} if note["text"] or note["tags"] else {})
        return {name: note}
