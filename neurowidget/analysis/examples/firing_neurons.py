"""Which neurons fire on this token or text: those that are furthest above their own distribution over a corpus.

A large activation says little by itself: some neurons are large everywhere. So the question is how unusual the value is
for this neuron, z = (a - mean) / sd or the percentile of a among the corpus's tokens, both from the statistics that
`top_examples` keeps of every neuron. One value of z does not mean the same for a neuron that fires rarely and for one
that is normal: the percentile stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from neurowidget.results import Activations, Tokens
from neurowidget.results.examples import Examples
from neurowidget.results.firing import FiringNeurons

ORDERS = ("z", "percentile")
CHUNK = 1024  # neurons at a time


def firing_neurons(
    examples: Examples,
    activations: Activations,
    token: int | str | Sequence[int] | None = None,
    *,
    by: str = "z",
    k: int | None = 100,
) -> FiringNeurons:
    """The k neurons (None: all) whose activation at a token is furthest above their own distribution in a corpus.

    `activations` are those of one text, over the tokens of `examples`' model. `token` is a position, several of them, a
    piece of text such as "not" (every token or word equal to it, upper and lower case alike), or None for all tokens that
    are not special; a neuron stands where it is most unusual. Neurons that never vary in the corpus, or are not in
    `activations`, are left out. Ties by layer and index. Raises ValueError for a token or a site that is not there.
    """
    if by not in ORDERS:
        raise ValueError(f"by={by!r}: expected one of {', '.join(ORDERS)}")
    tokens, values, layers = _of_site(examples, activations)
    places = _places(tokens, token)
    position = {layer: i for i, layer in enumerate(layers)}
    row_of_layer = np.array([position.get(int(layer), -1) for layer in examples.neuron_layer], dtype=np.int64)
    sd = np.sqrt(examples.variance)
    rows = np.flatnonzero((row_of_layer >= 0) & (examples.neuron_index < values.shape[2]) & (sd > 0))
    score, place = np.full(len(rows), -np.inf), np.zeros(len(rows), dtype=np.int64)
    best, percentile = np.zeros(len(rows)), np.zeros(len(rows))
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        chosen = rows[part]
        here = values[row_of_layer[chosen][:, None], places[None, :], examples.neuron_index[chosen][:, None]].astype(
            float
        )
        here = np.where(np.isfinite(here), here, -np.inf)
        # Both measures rise with the activation, so that the most unusual token is the one with the largest.
        place[part] = here.argmax(axis=1)
        best[part] = here.max(axis=1)
        percentile[part] = _percentiles(examples, chosen, best[part])
        score[part] = (best[part] - examples.mean[chosen]) / sd[chosen]
    ranks = (-score,) if by == "z" else (-score, -np.round(percentile, 6))
    order = np.lexsort(ranks)[: len(rows) if k is None else k]
    order = order[np.isfinite(score[order])]
    every, at = examples.neurons, places[place[order]]
    parameters = {"by": by, "token": None if token is None else str(token)}
    return FiringNeurons(
        provenance=replace(examples.provenance, method="firing_neurons", parameters=parameters),
        neurons=tuple(str(every[row]) for row in rows[order]),
        token=at,
        pieces=tuple(tokens.pieces[i] for i in at),
        activation=best[order],
        z=score[order],
        percentile=percentile[order],
        by=by,
        text="\n".join(tokens.texts),
        corpus=examples.corpus,
    )


def _of_site(examples: Examples, activations: Activations) -> tuple[Tokens, np.ndarray, tuple[int, ...]]:
    site = f"{examples.stack}.{examples.site}" if examples.stack else examples.site
    name = site if site in activations.values else examples.site
    if name not in activations.values:
        raise ValueError(f"the examples are about {site!r}, the activations about {', '.join(activations.values)}")
    if len(activations.tokens.texts) != 1:
        raise ValueError(f"expected the activations of one text, got {len(activations.tokens.texts)}")
    given = (examples.provenance.weights_hash, activations.provenance.weights_hash)
    if all(given) and given[0] != given[1]:
        raise ValueError("the examples and the activations are of different weights: their neurons are not the same")
    tokens = activations.decoder_tokens if examples.stack == "decoder" else activations.tokens
    assert tokens is not None
    return tokens, activations[name], tuple(activations.layers[name])


def _places(tokens: Tokens, token: int | str | Sequence[int] | None) -> np.ndarray:
    """The positions that are looked at, int (place,)."""
    if token is None:
        found = np.flatnonzero(~tokens.special)
    elif isinstance(token, str):
        wanted = token.strip().lower()
        words = {int(w): "" for w in tokens.word if w >= 0}
        for word, piece in zip(tokens.word.tolist(), tokens.pieces, strict=True):
            if word >= 0:
                words[word] += piece
        matching = {word for word, text in words.items() if text.strip().lower() == wanted}
        pieces = np.array([piece.strip().lower() == wanted for piece in tokens.pieces], dtype=bool)
        found = np.flatnonzero((pieces | np.isin(tokens.word, list(matching))) & ~tokens.special)
    else:
        found = np.atleast_1d(np.asarray(token, dtype=np.int64))
        if len(found) and not 0 <= found.min() <= found.max() < len(tokens):
            raise ValueError(f"token={token!r}: the text has tokens 0 to {len(tokens) - 1}")
    if not len(found):
        raise ValueError(f"token={token!r} is not in the text: {' '.join(tokens.pieces)[:200]!r}")
    return found


def _percentiles(examples: Examples, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What `NeuronExamples.percentile` says, for one value of each of many neurons."""
    edges, counts = examples.edges[rows].astype(float), examples.counts[rows]
    below = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(counts, axis=1)], axis=1)
    bins = np.clip((edges <= values[:, None]).sum(axis=1) - 1, 0, counts.shape[1] - 1)
    line = np.arange(len(rows))
    width = edges[line, bins + 1] - edges[line, bins]
    inside = np.clip((values - edges[line, bins]) / np.where(width > 0, width, 1), 0, 1)
    inside = np.where(width > 0, inside, values >= edges[line, bins])
    return np.asarray(100 * (below[line, bins] + inside * counts[line, bins]) / np.maximum(below[:, -1], 1))
