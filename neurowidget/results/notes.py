"""Notes and tags on neurons, kept in one JSON file beside a store or a notebook."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neurowidget.neuron import Neuron

FORMAT, VERSION = "neurowidget notes", 1
MAX_BYTES = 8_000_000
MAX_NOTES = 20_000
MAX_TEXT = 4_000
MAX_TAGS = 20
MAX_TAG = 60

Note = dict[str, Any]  # {"text": str, "tags": [str]}


class NotesFileError(ValueError):
    """A file that holds no notes, or more than notes may hold."""


class Notes:
    """Notes on neurons in the JSON file `path`: read when asked for, written whole or not at all.

    Every change reads the file again first, so that two notebooks that share it lose nothing of each other unless they
    edit the same neuron. Raises NotesFileError when the file is there and is not one of notes.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        self.read()

    def __repr__(self) -> str:
        return f"Notes({str(self.path)!r}, {len(self.read())} neurons)"

    def read(self) -> dict[str, Note]:
        """All notes by neuron, as they are in the file; none where there is no file."""
        try:
            if self.path.stat().st_size > MAX_BYTES:
                raise NotesFileError(f"{self.path} has more than {MAX_BYTES:,} bytes, which notes never have")
            with self.path.open("rb") as stream:
                tree = json.loads(stream.read(MAX_BYTES).decode("utf-8"))
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError) as error:
            if isinstance(error, NotesFileError):
                raise
            raise NotesFileError(f"{self.path} is no file of notes: {type(error).__name__}: {error}") from None
        if not isinstance(tree, dict) or tree.get("format") != FORMAT or not isinstance(tree.get("notes"), dict):
            raise NotesFileError(f"{self.path} is no file of notes: expected an object with format {FORMAT!r}")
        if tree.get("version") != VERSION:
            raise NotesFileError(f"{self.path} has version {tree.get('version')!r} of the format, expected {VERSION}")
        try:
            return checked_notes(tree["notes"])
        except (ValueError, TypeError) as error:
            raise NotesFileError(f"{self.path} cannot be read as notes: {error}") from None

    def of(self, neuron: Neuron | str) -> Note:
        """The note of one neuron; an empty one where there is none."""
        return self.read().get(str(Neuron.parse(str(neuron))), {"text": "", "tags": []})

    def tagged(self, tag: str) -> list[str]:
        """The neurons that have a tag, in the order of the file."""
        return [neuron for neuron, note in self.read().items() if tag in note["tags"]]

    def set(self, neuron: Neuron | str, text: str = "", tags: Iterable[str] = ()) -> dict[str, Note]:
        """Write the note of one neuron (an empty one takes it away) and return all notes.

        Raises ValueError for more than a note may hold: 4,000 characters, 20 tags of 60 characters.
        """
        name, note = str(Neuron.parse(str(neuron))), checked_note({"text": text, "tags": list(tags)})
        with self._lock:
            notes = self.read()
            notes.pop(name, None)
            if note["text"] or note["tags"]:
                notes[name] = note
            return self.replace(notes)

    def replace(self, notes: Mapping[str, Any]) -> dict[str, Note]:
        """Write these notes in place of all that were there, and return them as they were written."""
        found = checked_notes(notes)
        tree = {"format": FORMAT, "version": VERSION, "notes": found}
        content = json.dumps(tree, ensure_ascii=False, indent=1).encode("utf-8")
        if len(content) > MAX_BYTES:
            raise ValueError(f"these notes have {len(content):,} bytes, at most {MAX_BYTES:,} fit into one file")
        with self._lock:
            handle, temporary = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                if self.path.exists():
                    os.chmod(temporary, self.path.stat().st_mode & 0o777)
                os.replace(temporary, self.path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        return found


def checked_notes(notes: Any) -> dict[str, Note]:
    """Notes by the canonical name of their neuron; raises ValueError or TypeError, saying what is wrong with which."""
    if not isinstance(notes, Mapping):
        raise TypeError(f"notes are a mapping from neuron to note, got {type(notes).__name__}")
    if len(notes) > MAX_NOTES:
        raise ValueError(f"{len(notes):,} notes, at most {MAX_NOTES:,} fit into one file")
    found: dict[str, Note] = {}
    for name, note in notes.items():
        if not isinstance(name, str | Neuron) or len(str(name)) > 60:
            raise ValueError(f"notes belong to neurons such as 'L5.mlp[131]', got {str(name)[:60]!r}")
        try:
            found[str(Neuron.parse(str(name)))] = checked_note(note)
        except (ValueError, TypeError) as error:
            raise ValueError(f"the note of {str(name)[:60]!r}: {error}") from None
    return found


def checked_note(note: Any) -> Note:
    """One note as it is kept; raises ValueError or TypeError for anything that is none, or is too long."""
    if not isinstance(note, Mapping):
        raise TypeError(f"a note is {{'text': str, 'tags': [str]}}, got {type(note).__name__}")
    if unknown := sorted(str(key)[:40] for key in note if key not in ("text", "tags")):
        raise ValueError(f"a note has text and tags, not {', '.join(unknown[:5])}")
    text, tags = note.get("text", ""), note.get("tags", [])
    if not isinstance(text, str) or not isinstance(tags, list | tuple) or not all(isinstance(t, str) for t in tags):
        raise TypeError("a note has a text and a list of tags, all of them strings")
    if len(text) > MAX_TEXT:
        raise ValueError(f"its text has {len(text):,} characters, at most {MAX_TEXT:,} fit")
    kept = list(dict.fromkeys(tag for tag in (_sound(tag).strip() for tag in tags) if tag))
    if len(kept) > MAX_TAGS or max(map(len, kept), default=0) > MAX_TAG:
        raise ValueError(f"a note has at most {MAX_TAGS} tags of {MAX_TAG} characters")
    return {"text": _sound(text).strip(), "tags": kept}


def _sound(text: str) -> str:
    # Half a surrogate pair, which JSON can say, could not be written to a page.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
