"""Where bundled models come from: installed weight packages, and a checked cache folder per converted model.

A converted model is built in a temporary folder beside its final place and renamed when it is complete, under
a lock that dies with its process: a reader never sees half a model, and of two processes only one converts.
A manifest with the sha256 of every file is checked at each load; a folder that fails is rebuilt.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

logger = logging.getLogger(__name__)
MANIFEST = "manifest.json"


class MissingWeightsError(ModuleNotFoundError):
    """A Python package that a bundled model is made from is not installed."""


def package_folder(module: str, name: str, install: str) -> Path:
    """Return the folder of an installed package without importing it.

    Raises MissingWeightsError with the exact command to run when it is not there.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingWeightsError(
            f"{name} needs the Python package {module!r}, which is not installed. Run: {install}", name=module
        )
    return Path(next(iter(spec.submodule_search_locations)))


def sha256_of(source: bytes | Path) -> str:
    """Return the sha256 of some bytes, or of a file, as hexadecimal digits."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with source.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def cache_root() -> Path:
    """Return the folder that holds converted models: $NEUROWIDGET_CACHE, or the platform's cache folder."""
    if chosen := os.environ.get("NEUROWIDGET_CACHE"):
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("neurowidget", appauthor=False)


def problem_with(folder: Path, source_sha256: str) -> str | None:
    """Return what is wrong with a cached folder in words, or None when every file has the recorded sha256."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["source_sha256"] != source_sha256:
            return "it was made from other weights"
        for name, recorded in manifest["files"].items():
            if sha256_of(folder / name) != recorded:
                return f"{name} has another sha256 than when it was written"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"it cannot be read ({error!r})"
    return None


def checked_folder(name: str, source_sha256: str, build: Callable[[Path], None], needed_bytes: int) -> Path:
    """Return the cached folder `name`, built by `build(empty_folder)` when it is absent or damaged.

    `needed_bytes` is the free space that building takes; too little is refused before the work begins.
    """
    folder = cache_root() / name
    if problem_with(folder, source_sha256) is None:
        return folder
    with _only_one(folder):
        problem = problem_with(folder, source_sha256)
        if problem is None:
            return folder
        if folder.exists():
            logger.warning("The cached model at %s is rebuilt: %s", folder, problem)
        _build(folder, source_sha256, build, needed_bytes)
    return folder


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold the lock of a cache folder, which the system releases when this process dies."""
    import filelock

    lock = filelock.FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            logger.warning("Waiting for another process that is preparing %s", folder)
            lock.acquire()
    except OSError as error:
        raise OSError(
            f"The cache folder {folder.parent} cannot be written ({error}); set the environment variable "
            "NEUROWIDGET_CACHE to a folder that can."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _build(folder: Path, source_sha256: str, build: Callable[[Path], None], needed_bytes: int) -> None:
    prefix = f".{folder.name}."
    for leftover in folder.parent.glob(f"{prefix}*"):  # of a killed process: the lock says that nobody else builds
        shutil.rmtree(leftover, ignore_errors=True)
    free = shutil.disk_usage(folder.parent).free
    if free < needed_bytes:
        raise OSError(
            f"{folder.parent} has {free / 1e6:.0f} MB free, {needed_bytes / 1e6:.0f} MB are needed; make "
            "room, or set the environment variable NEUROWIDGET_CACHE to a folder on another disk."
        )
    temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        made = temporary / "made"
        made.mkdir()
        build(made)
        files = {
            path.relative_to(made).as_posix(): sha256_of(path) for path in sorted(made.rglob("*")) if path.is_file()
        }
        manifest = {"source_sha256": source_sha256, "files": files}
        (made / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            os.replace(folder, temporary / "damaged")
        os.replace(made, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
