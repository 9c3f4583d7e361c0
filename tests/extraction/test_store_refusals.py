"""A store is never mixed, damage is noticed and costs no finished part, hostile metadata is harmless."""

from __future__ import annotations

import builtins
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
from filelock import FileLock

from neurowidget.extraction.activations import extract
from neurowidget.extraction.corpus import Corpus
from neurowidget.extraction.plain_arrays import PlainArray, StoreError
from neurowidget.extraction.store import ActivationStore, open_store

TEXTS = [
    f"{text} {word}" for text in ("the plot was", "a warm film and", "one") for word in ("good", "funny", "two", "by")
]


def written(folder: Path, texts: Any = None, model: str = "bert", **options: Any) -> ActivationStore:
    options = {"part_tokens": 20, "dtype": "float16", "progress": False, "sites": ["mlp"]} | options
    return extract(families.model(model), Corpus(TEXTS) if texts is None else texts, store=folder, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "acts.zarr"
    written(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "acts.zarr"))


def mtimes(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (folder / "parts").rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model": "gpt2", "sites": ["mlp"]}, "weights_hash|tokenizer_hash"),
        ({"sites": ["mlp", "residual"]}, "layers"),
        ({"layers": [0]}, "layers"),
        ({"words": "first"}, "words"),
        ({"special_tokens": "drop"}, "special_tokens"),
        ({"dtype": "float32"}, "dtype"),
        ({"window": "overlap"}, "window"),
        ({"batch_tokens": 7}, "batch_tokens"),
        ({"part_tokens": 500}, "part_characters"),
        ({"texts": Corpus(TEXTS[:-1])}, "corpus_hash"),
        ({"texts": Corpus(TEXTS, {"n": list(range(len(TEXTS)))})}, "corpus_hash"),
    ],
)
def test_it_is_never_mixed(folder: Path, change: dict[str, Any], named: str) -> None:
    before = mtimes(folder)
    with pytest.raises(StoreError, match=f"never mixed: .*({named}).* there and .* here"):
        written(folder, **change)
    assert mtimes(folder) == before


def test_an_intervention_is_another_setting(folder: Path) -> None:
    from neurowidget.models.interventions import Set

    model = families.model("bert")
    with model.intervene(Set("L0.mlp[1]", 3.0)):
        with pytest.raises(StoreError, match="interventions"):
            written(folder)
        model.predict("one")


def test_the_same_call_again_computes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = mtimes(folder)
    monkeypatch.setattr("neurowidget.extraction.store_writing.StoreJob.__call__", None)
    assert written(folder, part_tokens=None).complete
    assert mtimes(folder) == before


def test_only_one_process_writes(folder: Path) -> None:
    with FileLock(folder / ".lock"), pytest.raises(StoreError, match="another process"):
        written(folder)


def test_other_folders_and_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"other things in it \(notes.txt\)"):
        written(tmp_path)
    with pytest.raises(StoreError, match="is a file"):
        written(tmp_path / "notes.txt")
    with pytest.raises(StoreError, match="is no store"):
        open_store(tmp_path)


@pytest.mark.parametrize("kind", ["flipped", "cut", "missing", "manifest"])
def test_damage_is_named_and_costs_one_part(folder: Path, made: Path, kind: str) -> None:
    part = folder / "parts" / "000001"
    file = part / "mlp" / "c" / "0" / "0" / "0"
    content = bytearray(file.read_bytes())
    content[100] ^= 255
    if kind == "manifest":
        (part / "zarr.json").write_text("{")
    elif kind == "missing":
        file.unlink()
    else:
        file.write_bytes(content if kind == "flipped" else content[: len(content) // 2])
    store = open_store(folder)  # the list of all manifests is whole
    with pytest.raises(StoreError, match="000001"):
        _ = store.verify() if kind != "manifest" else written(folder)
    if kind != "manifest":
        with pytest.raises(StoreError, match=r"damaged|missing|cut off"):
            store.neuron("L0.mlp[3]")
        np.testing.assert_array_equal(store.sentence(0)["mlp"], open_store(made).sentence(0)["mlp"])
    if kind in ("cut", "missing"):
        with pytest.raises(StoreError, match=r"Delete the folder .*000001"):
            written(folder)
    before = {name: time for name, time in mtimes(folder).items() if "000001" not in name}
    shutil.rmtree(part)
    again = written(folder)
    assert {name: time for name, time in mtimes(folder).items() if "000001" not in name} == before
    np.testing.assert_array_equal(again["mlp"][:], open_store(made)["mlp"][:])
    assert file.read_bytes() == (made / file.relative_to(folder)).read_bytes()


def test_a_full_disk_keeps_what_is_finished(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, original, calls = tmp_path / "acts.zarr", PlainArray.write, []

    def write(self: PlainArray, values: Any) -> None:
        calls.append(self)
        if len(calls) == 15:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(self, values)

    with monkeypatch.context() as patch:
        patch.setattr(PlainArray, "write", write)
        with pytest.raises(OSError, match=r"part 2 .*No space left.* finished parts are kept") as caught:
            written(folder)
    assert caught.value.errno == errno.ENOSPC
    assert sorted(item.name for item in (folder / "parts").iterdir()) == ["000000", "000001", "zarr.json"]
    before = mtimes(folder)
    np.testing.assert_array_equal(written(folder)["mlp"][:], open_store(made)["mlp"][:])
    assert {name: mtimes(folder)[name] for name in before} == before


def test_a_disk_that_fails_late_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync(handle: int) -> None:
        if "parts/.0" in os.readlink(f"/proc/self/fd/{handle}"):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(OSError, match=r"part 0 .*Input/output error"):
        written(tmp_path / "acts.zarr")


def test_unreadable_files_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, original = open_store(folder), Path.open

    def refuse(self: Path, *args: Any, **options: Any) -> Any:
        if "mlp" in str(self):
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return original(self, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError, match="parts/000000/mlp"):
        store.neuron("L0.mlp[3]")


HOSTILE = [
    ({"layers": {"../../etc": [0]}, "widths": {"../../etc": 4}}, "no site"),
    ({"widths": {"mlp": 10**12}}, "no site"),
    ({"widths": {"mlp": -1}}, "no site"),
    ({"widths": {"mlp": "48"}}, "widths"),
    ({"layers": {"mlp": [0, 0]}}, "different"),
    ({"layers": {"mlp": list(range(10**5))}}, "different"),
    ({"dtype": "object"}, "dtype"),
    ({"dtype": 3}, "dtype"),
    ({"version": 99}, "version 99"),
    ({"format": "other"}, "not part of a store"),
    ({"surprise": 1}, "surprise"),
]


@pytest.mark.parametrize(("change", "message"), HOSTILE)
def test_a_hostile_header_is_refused(folder: Path, change: dict[str, Any], message: str) -> None:
    file = folder / "zarr.json"
    content = json.loads(file.read_text())
    content["attributes"]["neurowidget"] |= change
    file.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=message):
        open_store(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"texts": 10**15}, "range"),
        ({"texts": 0}, "range"),
        ({"chunk_rows": 0}, "range"),
        ({"chunk_neurons": 10**9}, "range"),
        ({"number": 5}, "follow"),
        ({"first_text": 3}, "follow"),
        ({"tables": {}}, "stacks"),
        ({"tables": {"": {"rows": 10**15}}}, "needs"),
        ({"tables": 3}, "tables"),
    ],
)
def test_a_hostile_manifest_is_refused(folder: Path, change: dict[str, Any], message: str) -> None:
    file = folder / "complete.json"
    content = json.loads(file.read_text())
    content[0] |= change
    file.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=message):
        open_store(folder)


def test_sizes_that_the_files_do_not_bear_out_take_no_memory(folder: Path) -> None:
    file = folder / "complete.json"
    content = json.loads(file.read_text())
    content[-1]["tables"][""]["rows"] = 2**30
    content[-1]["tables"][""]["bytes"]["pieces"] = 2**30
    file.write_text(json.dumps(content))
    store = open_store(folder)
    with pytest.raises(StoreError, match="cut off or damaged"):
        store.sentence(store.num_texts - 1)
    with pytest.raises(StoreError, match="cut off or damaged"):
        store.tokens(slice(2**29, 2**29 + 5))


@pytest.mark.parametrize("content", ["", "[" * 10**5, "null", "[]", '{"attributes": 3}', "\x00\xff"])
def test_what_is_no_json_is_refused(folder: Path, content: str) -> None:
    (folder / "zarr.json").write_text(content)
    with pytest.raises(StoreError):
        open_store(folder)


def test_nothing_is_ever_unpickled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_pickle(name: str, *args: Any) -> Any:
        assert name not in ("pickle", "_pickle", "cloudpickle"), name
        return original(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_pickle)
    monkeypatch.setattr("pickle.loads", None)
    monkeypatch.setattr("pickle.load", None)
    store = open_store(folder)
    store.tokens(slice(None))
    store.verify()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "no texts"),
        (Corpus(["one", ""]), "text 1 is empty"),
        ([["one"]], "text"),
        (["one two " * 400, "one"], "more tokens than the"),
        (Corpus(["one"], [{"a": 1}]), "strings and numbers"),
    ],
)
def test_texts_are_checked_before_the_first_forward(tmp_path: Path, texts: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        written(tmp_path / "acts.zarr", texts)


def test_options_about_stores_need_a_store() -> None:
    with pytest.raises(ValueError, match=r"store='acts.zarr'"):
        extract(families.model("bert"), ["one"], part_tokens=5)  # type: ignore[call-overload]
