"""A neuron that fires on a word only after another one is found as an n-gram, and as no word."""

from __future__ import annotations

import numpy as np
import pytest
from planted import planted, sentences

import neurowidget as nw
from neurowidget.analysis.examples.sources import held_out_half


def after(first: str, second: str, count: int = 300):
    """Neuron 0 is 4 on `second` where `first` stands before it."""
    given = sentences(count)
    rng = np.random.default_rng(3)
    for row in given[: count // 4]:
        at = int(rng.integers(0, 7))
        row[at : at + 2] = [first, second]
    words = [word for row in given for word in row]
    values = 0.05 * rng.standard_normal((len(words), 6))
    for i in range(1, len(words)):
        if i % 8 and words[i - 1 : i + 1] == [first, second]:
            values[i, 0] += 4
    return nw.activations_from_array(values, None, np.repeat(np.arange(count), 8), words, site="mlp")


def test_planted_bigram():
    acts = after("old", "house")
    found = nw.explain_neuron(acts, "L0.mlp[0]", "top_ngrams", longest=2)
    best = found.statements[0]
    assert (best.text, best.sign, best.details["length"]) == ("old house", 1, 2)
    assert found.held_out_score > 0.9 > found.control_95
    words = nw.explain_neuron(acts, "L0.mlp[0]", "top_words")
    assert words.statements[0].text == "house"
    assert words.held_out_score < found.held_out_score - 0.05


def test_counts_and_means_of_a_plain_loop():
    acts = after("old", "house", 60)
    found = nw.explain_neuron(acts, "L0.mlp[0]", "top_ngrams", longest=3, top=10_000, min_count=2, controls=2)
    index = acts.sentence_index.astype(int)
    held = held_out_half(index, acts.tokens.texts, 0)
    words, values = [piece.strip() for piece in acts.tokens.pieces], acts.neuron("L0.mlp[0]").astype(float)
    z = (values - values[~held].mean()) / values[~held].std()
    where: dict[tuple[str, ...], list[int]] = {}
    for i in np.flatnonzero(~held):
        for length in (1, 2, 3):
            if i - length + 1 >= 0 and index[i - length + 1] == index[i]:
                where.setdefault(tuple(words[i - length + 1 : i + 1]), []).append(int(i))
    expected = {
        " ".join(gram): (len(rows), z[rows].mean())
        for gram, rows in where.items()
        if len(rows) >= 2 and (len(gram) == 1 or where[gram[1:]] != rows)
    }
    assert {s.text: (s.count, s.score) for s in found.statements} == {
        text: (count, pytest.approx(mean, abs=1e-5)) for text, (count, mean) in expected.items()
    }
    predicted = []
    for i in np.flatnonzero(held):
        grams = [tuple(words[i - n + 1 : i + 1]) for n in (3, 2, 1) if i - n + 1 >= 0 and index[i - n + 1] == index[i]]
        known = [z[where[gram]].mean() for gram in grams if len(where.get(gram, ())) >= 2]
        predicted.append(known[0] if known else 0.0)
    assert found.held_out_score == pytest.approx(np.corrcoef(predicted, z[held])[0, 1], abs=1e-5)


def test_wrong_length():
    with pytest.raises(ValueError, match="longest=0"):
        nw.explain_neuron(planted({}), "L0.mlp[0]", "top_ngrams", longest=0)
