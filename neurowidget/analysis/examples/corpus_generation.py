"""Corpus generation: which text drives the neuron furthest, written by the model's own gradient?

Poerner, Roth and Schütze (2018) relax the choice of words by a Gumbel softmax; here tokens are exchanged one by one
where the gradient promises most (see `token_search`), so that every text on the way is made of real tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neurowidget.analysis.examples.evidence import Evidence
from neurowidget.analysis.examples.sources import evidence_of, needed_model
from neurowidget.analysis.examples.token_search import TokenSearch, window_around
from neurowidget.analysis.examples.verdict import verdict
from neurowidget.models.decoding import decode
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.explanations import Explanation, Statement

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

_SEARCH = 2  # random stream of the seed


def corpus_generation(
    source: Any,
    neuron: Neuron | str,
    *,
    model: NeuronModel | None = None,
    sign: int = 1,
    length: int = 8,
    restarts: int = 4,
    steps: int = 20,
    candidates: int = 64,
    random_texts: int = 256,
    from_corpus: bool = True,
    controls: int = 3,
    seed: int = 0,
    should_stop: StopFlag | None = None,
) -> Explanation:
    """Texts of `length` tokens that drive the neuron up (down for `sign` -1), beside what the corpus and chance reach.

    `source` is Activations, a store or Examples, and `model` the model that it is from. The search starts `restarts`
    times from the best of `random_texts` random texts and, with `from_corpus`, once from the tokens around the highest
    value in the first half of the sentences. The first statement is the text found; those of sign 0 are for comparison:
    the best example of the corpus, and the best random text. Held out: by how many standard deviations the text goes
    beyond the highest value in the other half. Each random neuron (`controls`) costs a search of its own. Raises ValueError
    without a model and for a neuron of a decoder, Cancelled when `should_stop()` says True between two forwards.
    """
    model = needed_model(model, "corpus_generation")
    if sign not in (1, -1) or min(length, restarts, steps, candidates) < 1 or random_texts < restarts:
        raise ValueError(
            f"sign={sign}, length={length}, restarts={restarts}, steps={steps}, candidates={candidates},"
            f" random_texts={random_texts}: expected 1 or -1, 1 or more, and at least as many random texts as restarts"
        )
    parts = evidence_of(source, neuron, controls, seed)
    columns = [(part, column) for part in parts for column in range(len(part.neurons))]
    neurons = [part.neurons[column] for part, column in columns]
    statements: list[Statement] = []
    scores = []
    for number, (part, column) in enumerate(columns):
        search = TokenSearch(model, neurons[number], sign, length, should_stop)
        rng = np.random.default_rng([seed, _SEARCH, neurons[number].index])
        rows, values, starts, chance = _found(
            search, part, column, restarts, steps, candidates, random_texts, from_corpus, rng
        )
        mean, spread = part.moments_of(column)
        held = part.peaks(column, sign, held_out=True)[:1]
        best = float(values.max()) if len(values) else float("nan")
        beyond = best - sign * float(part.values[held[0], column]) if len(held) else float("nan")
        scores.append(beyond / spread)
        if number == 0:
            statements = _statements(search, part, rows, values, starts, chance, (mean, spread))
    return verdict(
        source, parts[0], "corpus_generation", statements, np.array(scores), neurons,
        statement_score="highest activation in the text",
        score_name="standard deviations beyond the highest held-out activation",
        score_range=(float("-inf"), float("inf")),
        warnings=[] if any(s.details["kind"] == "generated" for s in statements) else
        [f"No text of {length} tokens was found whose tokens are these again."],
        seed=seed, sign=sign, length=length, restarts=restarts, steps=steps, candidates=candidates,
        random_texts=random_texts, from_corpus=from_corpus,
    )  # fmt: skip


def _found(
    search: TokenSearch, part: Evidence, column: int, restarts: int, steps: int, candidates: int, random_texts: int,
    from_corpus: bool, rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, list[str], tuple[np.ndarray, float]]:  # fmt: skip
    """The last sequences of the search, their values and where each began; and the best random sequence with its value."""
    drawn = search.random(random_texts, rng)
    values = search.values(drawn)
    order = np.argsort(-values, kind="stable")[:restarts]
    rows, starts = drawn[order], ["random"] * len(order)
    chance = (rows[0], float(values[order[0]])) if len(order) else (np.zeros(0, np.int64), float("nan"))
    peak = part.peaks(column, search.sign)[:1]
    if from_corpus and len(peak):
        text = part.texts[part.sentence[peak[0]]]
        window = window_around(search.model, text, int(part.start[peak[0]]), search.length)
        row = np.array([window], dtype=np.int64)
        if row.shape[1] == search.length and search.survives(row)[0]:
            rows, starts = np.concatenate([rows.reshape(-1, search.length), row]), [*starts, "corpus"]
    if not len(rows):
        return rows, np.zeros(0), starts, chance
    rows, found = search.climb(rows, steps, candidates, rng)
    return rows, found, starts, chance


def _statements(
    search: TokenSearch, part: Evidence, rows: np.ndarray, values: np.ndarray, starts: list[str],
    chance: tuple[np.ndarray, float], moments: tuple[float, float],
) -> list[Statement]:  # fmt: skip
    """The texts found, best first, and after them the best of the corpus and of random texts, with sign 0."""
    tokenizer, sign = search.model.tokenizer, search.sign

    def details(kind: str, value: float, **more: Any) -> dict[str, Any]:
        return {"kind": kind, "standard_deviations": (value - moments[0]) / moments[1], **more}

    found, seen = [], set()
    for i in np.argsort(-values, kind="stable").tolist():
        text, value = decode(tokenizer, rows[i].tolist()), float(sign * values[i])
        if text in seen:
            continue
        seen.add(text)
        at = search.peak(rows[i])
        more = {
            "start": starts[i],
            "at": at,
            "piece": decode(tokenizer, [int(rows[i][at])]),
            "ids": tuple(rows[i].tolist()),
        }
        found.append(Statement(text, value, sign, 0, details("generated", value, **more, texts_run=search.runs)))
    first, second = part.peaks(0, sign)[:1], part.peaks(0, sign, held_out=True)[:1]
    best = max([*first.tolist(), *second.tolist()], key=lambda row: sign * part.values[row, 0])
    value, text = float(part.values[best, 0]), part.texts[part.sentence[best]]
    piece = text[part.start[best] : part.end[best]]
    found.append(Statement(text, value, 0, 1, details("best example of the corpus", value, piece=piece)))
    if len(chance[0]):
        value = sign * chance[1]
        found.append(Statement(decode(tokenizer, chance[0].tolist()), value, 0, 0, details("random tokens", value)))
    return found
