"""Writes a store in forked children that are killed at random moments, until it is complete; prints what happened as JSON.

    python store_killing.py FOLDER SEED KILLS

Run by test_store_killed.py in a process of its own, which loads the model once and forks it for every attempt. Half of
the children are killed by the clock, half at a random call of a Python function, wherever that is.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import families
import torch

from neurowidget.extraction.activations import extract
from neurowidget.extraction.corpus import Corpus

WORDS = ["the", "plot", "was", "not", "good", "warm", "funny", "film", "and", "wonderfully", "played", "by", "all"]


def corpus() -> Corpus:
    generator = random.Random(7)
    texts = [" ".join(generator.choices(WORDS, k=generator.randint(1, 14))) for _ in range(60)]
    labels = [[word[0] for word in text.split()] for text in texts]
    return Corpus.from_words([text.split() for text in texts], {"first": labels}, name="words")


def write(folder: Path) -> None:
    extract(
        families.model("bert"),
        corpus(),
        ["mlp", "residual"],
        store=folder,
        dtype="float16",
        part_tokens=40,
        progress=False,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def finished(folder: Path) -> dict[str, tuple[int, int]]:
    """Time and inode of each file of the finished parts."""
    parts = list((folder / "parts").glob("[0-9]*")) if folder.exists() else []
    stats = {str(path): path.stat() for part in parts for path in part.rglob("*") if path.is_file()}
    return {name: (stat.st_mtime_ns, stat.st_ino) for name, stat in stats.items()}


def counting(stop_at: int | None) -> Callable[..., None]:
    """A profile function that kills this process at its call number `stop_at`; the count is in `.calls`."""
    state = {"calls": 0}

    def profile(frame: Any, event: str, argument: Any) -> None:
        state["calls"] += 1
        if state["calls"] == stop_at:
            os.kill(os.getpid(), signal.SIGKILL)

    profile.state = state  # type: ignore[attr-defined]
    return profile


def forked(folder: Path, stop_at: int | None, after: float | None) -> bool:
    """One attempt in a child; True when it was killed."""
    child = os.fork()
    if child == 0:
        try:
            if stop_at is not None:
                profile = counting(stop_at)
                threading.setprofile(profile)
                sys.setprofile(profile)
            write(folder)
            os._exit(0)
        except BaseException as error:
            print(f"child: {error!r}", file=sys.stderr)
            os._exit(1)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("a child failed")
    return os.WIFSIGNALED(status)


def main(folder: Path, seed: int, kills: int) -> None:
    torch.set_num_threads(1)
    generator = random.Random(seed)
    profile = counting(None)
    start = time.perf_counter()
    sys.setprofile(profile)
    write(folder / "undisturbed")
    sys.setprofile(None)
    seconds, calls = time.perf_counter() - start, profile.state["calls"]  # type: ignore[attr-defined]
    expected = contents(folder / "undisturbed")

    found: dict[str, Any] = {"killed": 0, "inside": 0, "stores": 0, "rewritten": [], "parts": 0}
    store = folder / "killed"
    before: dict[str, tuple[int, int]] = {}
    while found["killed"] < kills or store.exists():
        by_clock = bool(generator.getrandbits(1))
        fraction = 1.0 if found["killed"] >= kills else generator.random() * 0.4
        after = fraction * seconds if by_clock and fraction < 1 else None
        stop_at = int(fraction * calls) if not by_clock and fraction < 1 else None
        killed = forked(store, stop_at, after)
        now = finished(store)
        found["rewritten"] += [name for name, stat in before.items() if now.get(name) != stat]
        before = now
        found["killed"] += killed
        found["inside"] += killed and any((store / "parts").glob(".[0-9]*"))
        if not killed:
            found["stores"] += 1
            found["equal"] = found.get("equal", True) and contents(store) == expected
            found["parts"] = len(list((store / "parts").glob("[0-9]*")))
            shutil.rmtree(store)
            before = {}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
