"""The cache of converted models: complete or absent, checked at each use, safe with several processes."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from neurowidget.models.bundled_cache import MANIFEST, cache_root, checked_folder, problem_with

NAME = "tiny-1"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test alone."""
    monkeypatch.setenv("NEUROWIDGET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Builder:
    """Writes two small files and counts how often it was asked to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        (folder / "weights.bin").write_bytes(b"weights" * 100)
        (folder / "sub").mkdir()
        (folder / "sub" / "config.json").write_text("{}", encoding="utf-8")


def get(build: Callable[[Path], None], source: str = "aa", needed: int = 1) -> Path:
    return checked_folder(NAME, source, build, needed)


def test_builds_once_and_lists_every_file(root: Path) -> None:
    build = Builder()
    folder = get(build)
    assert folder == root / NAME
    assert get(build) == folder
    assert build.calls == 1
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    assert sorted(manifest["files"]) == ["sub/config.json", "weights.bin"]
    assert manifest["source_sha256"] == "aa"


def flip(folder: Path) -> None:
    blob = bytearray((folder / "weights.bin").read_bytes())
    blob[50] ^= 1
    (folder / "weights.bin").write_bytes(blob)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "weights.bin has another sha256": flip,
    "config.json is missing": lambda folder: (folder / "sub" / "config.json").unlink(),
    "manifest.json is missing": lambda folder: (folder / MANIFEST).unlink(),
    "cannot be read": lambda folder: (folder / MANIFEST).write_bytes(b"{"),
    "other weights": lambda folder: (folder / MANIFEST).write_text('{"source_sha256": "bb", "files": {}}'),
}


@pytest.mark.parametrize("problem", DAMAGES)
def test_damage_is_named_and_repaired(root: Path, problem: str, caplog: pytest.LogCaptureFixture) -> None:
    build = Builder()
    folder = get(build)
    DAMAGES[problem](folder)
    assert problem in (problem_with(folder, "aa") or "")
    with caplog.at_level(logging.WARNING):
        get(build)
    assert build.calls == 2
    assert "rebuilt" in caplog.text
    assert problem in caplog.text
    assert problem_with(folder, "aa") is None
    assert (folder / "weights.bin").read_bytes() == b"weights" * 100


def test_a_failed_or_interrupted_build_leaves_nothing(root: Path) -> None:
    def fails(error: BaseException) -> Callable[[Path], None]:
        def build(folder: Path) -> None:
            (folder / "weights.bin").write_bytes(b"half")
            raise error

        return build

    for error in (OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("no")):
        with pytest.raises(type(error)):
            get(fails(error))
        assert [path.name for path in root.iterdir() if path.suffix != ".lock"] == []
    assert get(Builder()).is_dir()


def test_a_failed_rebuild_keeps_no_half_model(root: Path) -> None:
    folder = get(Builder())
    flip(folder)

    def fails(_: Path) -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        get(fails)
    assert "weights.bin" in (problem_with(folder, "aa") or "")
    get(Builder())
    assert problem_with(folder, "aa") is None


def test_too_little_room_is_refused_before_the_work(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = Builder()
    with pytest.raises(OSError, match=r"NEUROWIDGET_CACHE") as caught:
        get(build, needed=1 << 60)
    assert "MB free" in str(caught.value)
    assert build.calls == 0


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NEUROWIDGET_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OSError, match="NEUROWIDGET_CACHE"):
        get(Builder())


def test_a_valid_cache_needs_no_writing(root: Path) -> None:
    folder = get(Builder())
    (root / f"{NAME}.lock").unlink()
    get(Builder())
    assert [path.name for path in root.iterdir()] == [folder.name]


def test_root_is_the_platforms_folder_unless_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROWIDGET_CACHE", "~/chosen")
    assert cache_root() == Path.home() / "chosen"
    monkeypatch.delenv("NEUROWIDGET_CACHE")
    assert "neurowidget" in cache_root().parts


SCRIPT = """
import os, sys, time
from pathlib import Path
from neurowidget.models import bundled_lm

def convert(folder: Path) -> None:
    with open(sys.argv[1], "a") as log:
        log.write(f"{os.getpid()}\\n")
    if "hang" in sys.argv:
        (folder / "model.safetensors").write_bytes(b"half")
        print("converting", flush=True)
        time.sleep(600)
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    sizes = dict(hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    LlamaForCausalLM(LlamaConfig(vocab_size=8, **sizes)).half().save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="a").save_pretrained(folder)
    time.sleep(1.0)

bundled_lm.convert = convert
model, tokenizer = bundled_lm.load_lm()
assert not model.training and model.dtype.itemsize == 4, model.dtype
print(model.model.embed_tokens.weight.sum().item(), tokenizer("a b").input_ids)
"""


def start(log: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(log), *options]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_of_two_processes_one_converts_and_both_load(root: Path, tmp_path: Path) -> None:
    processes = [start(tmp_path / "log") for _ in range(2)]
    answers = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    assert answers[0][0] == answers[1][0] != ""
    assert sorted(path.suffix for path in root.iterdir()) == ["", ".lock"]


@pytest.mark.slow
def test_a_killed_conversion_blocks_nobody(root: Path, tmp_path: Path) -> None:
    hanging = start(tmp_path / "log", "hang")
    assert hanging.stdout is not None
    assert hanging.stdout.readline() == "converting\n"
    hanging.kill()
    hanging.communicate(timeout=60)
    assert len(list(root.glob(".*"))) == 1
    after = start(tmp_path / "log")
    answer = after.communicate(timeout=240)
    assert after.returncode == 0, answer
    assert list(root.glob(".*")) == []
