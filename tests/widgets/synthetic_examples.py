"""Examples and explanations with integer values and a fixed provenance: the same on every processor, without torch."""

from __future__ import annotations

import numpy as np
from synthetic import provenance

from neurowidget.results.examples import Examples
from neurowidget.results.explanations import Explanation, Statement
from neurowidget.results.kept_texts import KeptTexts
from neurowidget.results.tokens import Tokens

SENTENCES = (
    "The film was not bad at all, really.",
    "She did not want him to leave before the rain.",
    "A warm and generous film about growing old.",
    "The jury said no evidence was found in the election.",
    "There is nothing wrong with the second half of it.",
    "He never spoke of the county again.",
)
HOSTILE = (
    "</script><script>alert(1)</script> is <img src=x onerror=alert(2)> text",
    "הסרט לא היה רע בכלל",
    "🙂 👩‍👩‍👧 你好 world \u2028 \u202eevil\u202c end",
)
GROUPS, SIZES = ("top", "q90", "q50", "bottom"), (5, 3, 3, 3)


def corpus_tokens(texts: tuple[str, ...] = SENTENCES) -> Tokens:
    """Each text as [CLS], its words with the space before them, and [SEP]."""
    pieces: list[str] = []
    rows: list[tuple[int, int, int, int, bool]] = []
    for number, text in enumerate(texts):
        rows.append((number, -1, 0, 0, True))
        pieces.append("[CLS]")
        at = 0
        for word, part in enumerate(text.split(" ")):
            piece = part if word == 0 else f" {part}"
            rows.append((number, word, at, at + len(piece), False))
            pieces.append(piece)
            at += len(piece)
        rows.append((number, -1, 0, 0, True))
        pieces.append("[SEP]")
    sentence, word, start, end, special = map(np.array, zip(*rows, strict=True))
    numbers = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    return Tokens(
        texts=texts,
        ids=np.array([numbers[piece] for piece in pieces]),
        pieces=tuple(pieces),
        raw=tuple(piece.replace(" ", "Ġ") for piece in pieces),
        special=special,
        shares=np.zeros(len(pieces), bool),
        word=word,
        start=start,
        end=end,
        sentence_index=sentence,
    )


def examples(
    layers: int = 2, width: int = 3, texts: tuple[str, ...] = SENTENCES, context: int = 4, effects: bool = False
) -> Examples:
    """Neurons whose values are whole numbers from -8 to 8 over `texts`; special tokens do not count."""
    tokens = corpus_tokens(texts)
    ordinary = np.flatnonzero(~tokens.special)
    neuron = np.arange(layers * width)
    values = ((neuron[:, None] * 7 + np.arange(len(tokens)) * 5 + (np.arange(len(tokens)) ** 2) % 11) % 17 - 8).astype(
        np.float32
    )
    first = np.array([np.flatnonzero(tokens.sentence_index == i)[0] for i in range(len(texts))])
    last = np.array([np.flatnonzero(tokens.sentence_index == i)[-1] for i in range(len(texts))])
    order = ordinary[np.argsort(-values[:, ordinary], axis=1, kind="stable")]
    count = len(ordinary)
    places = [*range(5), *(count // 10 + i for i in range(3)), *(count // 2 + i for i in range(3))]
    row = order[:, [*places, *(count - 1 - i for i in range(3))]]
    sentence = tokens.sentence_index[row]
    around = row[:, :, None] + np.arange(-context, context + 1)
    inside = (around >= first[sentence][:, :, None]) & (around <= last[sentence][:, :, None])
    near = np.where(inside, np.clip(around, 0, len(tokens) - 1), 0)
    contexts = np.where(inside, values[neuron[:, None, None], near], np.nan)
    counted = values[:, ordinary]
    edges = np.tile(np.arange(-8, 9, 2, dtype=np.float32), (len(neuron), 1))
    counts = np.stack([np.histogram(line, bins=edges[0])[0] for line in counted])
    return Examples(
        provenance=provenance("top_examples"),
        layers=tuple(range(layers)),
        site="mlp",
        corpus="synthetic sentences",
        text_count=len(texts),
        token_count=count,
        excluded={"special": int(tokens.special.sum())},
        groups=GROUPS,
        sizes=SIZES,
        neuron_layer=neuron // width,
        neuron_index=neuron % width,
        text=sentence,
        token=row - first[sentence],
        value=np.take_along_axis(values, row, axis=1),
        contexts=contexts,
        edges=edges,
        counts=counts,
        mean=counted.mean(axis=1, dtype=float).round(4),
        variance=counted.var(axis=1, dtype=float).round(4),
        minimum=counted.min(axis=1),
        maximum=counted.max(axis=1),
        positive=(counted > 0).mean(axis=1),
        kept=KeptTexts.of(tokens, np.arange(len(texts))),
        target="log-odds of POS" if effects else None,
        effects=np.take_along_axis(values, row, axis=1) / 4 if effects else None,
        correlation=np.full(len(neuron), 0.5) if effects else None,
    )


def explanations(neuron: str = "L1.mlp[2]") -> tuple[Explanation, ...]:
    """A good one, and one that random neurons do as well."""
    words = tuple(Statement(text=w, score=float(8 - i), sign=1 if i < 3 else -1, count=9 - i) for i, w in enumerate(
        ("not", "never", "no", "warm", "<script>alert(1)</script>")
    ))  # fmt: skip
    controls = tuple(f"L1.mlp[{i}]" for i in (7, 8, 9, 10))
    good = Explanation(
        provenance=provenance("top_words"),
        neuron=neuron,
        method="top_words",
        statements=words,
        statement_score="mean of the standardised value",
        held_out_score=0.625,
        score_name="held-out correlation",
        score_range=(-1.0, 1.0),
        control_scores=np.array([0.0, 0.125, -0.125, 0.25]),
        control_neurons=controls,
    )
    poor = Explanation(
        provenance=provenance("compositional"),
        neuron=neuron,
        method="compositional",
        statements=(Statement(text="(NOT upos=NOUN) AND caps", score=0.125),),
        statement_score="IoU",
        held_out_score=0.0625,
        score_name="held-out IoU",
        score_range=(0.0, 1.0),
        control_scores=np.array([0.0625, 0.125, 0.0, 0.125]),
        control_neurons=controls,
        warnings=("The mask has 3 tokens on the held-out half.",),
    )
    return good, poor
