"""Notes in a file: kept, shared, bounded, and read from files that mean harm."""

import json
import os

import pytest

from neurowidget.results import notes as module
from neurowidget.results.notes import FORMAT, Notes, NotesFileError, checked_note


@pytest.fixture
def path(tmp_path):
    return tmp_path / "notes.json"


def write(path, tree):
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path


def test_a_note_is_there_for_whoever_opens_the_file_again(path):
    notes = Notes(path)
    assert notes.read() == {}
    assert not path.exists()
    notes.set("L5.mlp[131]", "fires on “not” <script>", ["negation", " negation ", ""])
    notes.set("L0.mlp[2]", tags=["שלום 🙂"])
    again = Notes(path)
    assert again.of("L5.mlp[131]") == {"text": "fires on “not” <script>", "tags": ["negation"]}
    assert again.tagged("שלום 🙂") == ["L0.mlp[2]"]
    assert again.of("L1.mlp[0]") == {"text": "", "tags": []}


def test_an_empty_note_takes_it_away(path):
    notes = Notes(path)
    notes.set("L5.mlp[131]", "a")
    assert notes.set("L5.mlp[131]") == {}
    assert json.loads(path.read_text())["notes"] == {}


def test_two_that_share_a_file_keep_each_others_notes(path):
    one, two = Notes(path), Notes(path)
    one.set("L0.mlp[0]", "one")
    two.set("L0.mlp[1]", "two")
    one.set("L0.mlp[2]", "three")
    assert [note["text"] for note in two.read().values()] == ["one", "two", "three"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    notes = Notes(path)
    notes.set("L0.mlp[0]", "kept")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        notes.set("L0.mlp[0]", "lost")
    monkeypatch.undo()
    assert Notes(path).of("L0.mlp[0]")["text"] == "kept"
    assert os.listdir(path.parent) == ["notes.json"]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([], "expected an object"),
        ({"format": "other", "version": 1, "notes": {}}, "expected an object"),
        ({"format": FORMAT, "version": 2, "notes": {}}, "version 2"),
        ({"format": FORMAT, "version": 1, "notes": []}, "expected an object"),
        ({"format": FORMAT, "version": 1, "notes": {"__proto__": {"text": "", "tags": []}}}, "__proto__"),
        ({"format": FORMAT, "version": 1, "notes": {"L0.mlp[0]": "text"}}, "got str"),
        ({"format": FORMAT, "version": 1, "notes": {"L0.mlp[0]": {"text": 3}}}, "strings"),
        ({"format": FORMAT, "version": 1, "notes": {"L0.mlp[0]": {"tags": [[]]}}}, "strings"),
        ({"format": FORMAT, "version": 1, "notes": {"L0.mlp[0]": {"text": "", "onload": "x"}}}, "not onload"),
        ({"format": FORMAT, "version": 1, "notes": {"L0.mlp[0]": {"text": "a" * 4001}}}, "4,001"),
        ({"format": FORMAT, "version": 1, "notes": {"L0.mlp[0]": {"tags": [str(i) for i in range(21)]}}}, "20 tags"),
    ],
)
def test_a_file_that_is_none_of_notes_says_why(path, tree, message):
    with pytest.raises(NotesFileError, match=message):
        Notes(write(path, tree))


def test_files_that_are_deep_or_huge_or_no_text_are_refused(path, monkeypatch):
    path.write_bytes(b"[" * 200_000)
    with pytest.raises(NotesFileError):
        Notes(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NotesFileError, match="no file of notes"):
        Notes(path)
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    path.write_bytes(b" " * 101)
    with pytest.raises(NotesFileError, match="more than 100 bytes"):
        Notes(path)


def test_half_a_surrogate_pair_becomes_a_character_that_can_be_written():
    assert checked_note({"text": "a\ud800b"})["text"].encode("utf-8") == "a�b".encode()
