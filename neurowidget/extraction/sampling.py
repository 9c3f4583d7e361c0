"""A sample of a corpus of any length in one pass."""

from __future__ import annotations

import random
from collections.abc import Iterable

from neurowidget.extraction.sentence import Sentence


def sampled(sentences: Iterable[Sentence], count: int, seed: int) -> list[Sentence]:
    """`count` sentences, each set of them as likely as any other, in the order of the corpus; memory for `count` sentences.

    Vitter's algorithm R (1985): sentence i takes the place of a kept one with probability count / (i + 1).
    Raises ValueError when there are fewer.
    """
    if count < 1:
        raise ValueError(f"a sample of {count}: expected 1 or more sentences")
    rng = random.Random(seed)
    kept: list[tuple[int, Sentence]] = []
    total = 0
    for total, sentence in enumerate(sentences, start=1):
        if total <= count:
            kept.append((total, sentence))
        elif (place := rng.randrange(total)) < count:
            kept[place] = (total, sentence)
    if total < count:
        raise ValueError(f"a sample of {count} sentences of a corpus that has {total}")
    return [sentence for _, sentence in sorted(kept, key=lambda pair: pair[0])]
