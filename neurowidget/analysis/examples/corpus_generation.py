"""Corpus generation: which text drives the neuron furthest, written by the model's own gradient?

Poerner, Roth and Schütze (2018) relax the choice of words by a Gumbel softmax; here tokens are exchanged one by one
where the gradient promises most (see `token_search`), so that every text on the way is made of real tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from neurowidget.analysis.examples.evidence import Evidence
from neurowidget.analysis.examples.sources import evidence_of, needed_model
from neurowidget.analysis.examples.token_search import TokenSearch, windows_around
from neurowidget.analysis.examples.verdict import verdict
from neurowidget.models.decoding import decode
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.explanations import Explanation, Statement

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

GENERATED = "generated"
_SEARCH = 2  # random stream of the seed


def corpus_generation(
    source: Any,
    neuron: Neuron | str,
    *,
    model: NeuronModel | None = None,
    sign: int = 1,
    length: int = 10,
    restarts: int = 4,
    steps: int = 30,
    candidates: int = 64,
    random_texts: int = 256,
    from_corpus: bool = True,
    controls: int = 3,
    seed: int = 0,
    progress: bool = True,
    should_stop: StopFlag | None = None,
) -> Explanation:
    """Texts of `length` tokens that drive the neuron up (down for `sign` -1), beside what the corpus and chance reach.

    `source` is Activations, a store or Examples, and `model` the model that it is from. The search starts `restarts`
    times from the best of `random_texts` random texts and, with `from_corpus`, once from the tokens around the highest
    value in the first half of the sentences. The first statement is the text found; those of sign 0 are for comparison:
    the best example of the corpus, and the best random text. Held out: by how many standard deviations the text goes
    beyond the highest value in the other half. Each random neuron (`controls`) costs a search of its own. Raises ValueError
    without the model and for a neuron of a decoder, Cancelled when `should_stop()` says True between two forwards.
    """
    model = needed_model(model, source, "corpus_generation")
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
    search = TokenSearch(model, neurons[0], sign, length, should_stop)
    budget = _Budget(restarts, steps, candidates, random_texts, from_corpus)
    bar = tqdm(columns, desc="corpus_generation", unit=" neurons", disable=not progress)
    for number, (part, column) in enumerate(bar):
        search = search.of(neurons[number])
        rng = np.random.default_rng([seed, _SEARCH, neurons[number].index])
        found = _searched(search, part, column, budget, rng, bar.refresh)
        held = part.peaks(column, sign, held_out=True)[:1]
        highest = sign * float(part.values[held[0], column]) if len(held) else float("nan")
        best = float(found.values.max()) if len(found.values) else float("nan")
        scores.append((best - highest) / part.moments_of(column)[1])
        if number == 0:
            statements = _statements(search, part, found)
    return verdict(
        source, parts[0], "corpus_generation", statements, np.array(scores), neurons,
        statement_score="highest activation in the text",
        score_name="standard deviations beyond the highest held-out activation",
        score_range=(float("-inf"), float("inf")),
        warnings=[] if any(s.details["kind"] == GENERATED for s in statements) else
        [f"No text of {length} tokens was found whose tokens are these again."],
        seed=seed, sign=sign, length=length, restarts=restarts, steps=steps, candidates=candidates,
        random_texts=random_texts, from_corpus=from_corpus,
    )  # fmt: skip


@dataclass(frozen=True)
class _Budget:
    restarts: int
    steps: int
    candidates: int
    random_texts: int
    from_corpus: bool


@dataclass(frozen=True)
class _Found:
    """Sequences (row, length), their values and where each began; of the random ones the best, its value, their number."""

    rows: np.ndarray
    values: np.ndarray
    starts: list[str]
    chance: np.ndarray
    chance_value: float
    drawn: int


def _searched(
    search: TokenSearch,
    part: Evidence,
    column: int,
    budget: _Budget,
    rng: np.random.Generator,
    done: Callable[[], object],
) -> _Found:
    """What the search ends with, from the best random sequences and, where asked for, from the best of the corpus."""
    drawn = search.random(budget.random_texts, rng)
    values = search.values(drawn)
    order = np.argsort(-values, kind="stable")[: budget.restarts]
    rows, starts = drawn[order], ["random"] * len(order)
    peak = part.peaks(column, search.sign)[:1]
    if budget.from_corpus and len(peak):
        text = part.texts[part.sentence[peak[0]]]
        windows = windows_around(search.model, text, int(part.start[peak[0]]), search.length)
        windows = windows[search.survives(windows)]
        if len(windows):
            best = search.values(windows).argmax()
            rows, starts = np.concatenate([rows, windows[[best]]]), [*starts, "corpus"]
    found = rows, np.zeros(0)
    if len(rows):
        found = search.climb(rows, budget.steps, budget.candidates, rng, done=done)
    chance = drawn[order[0]] if len(order) else np.zeros(0, np.int64)
    return _Found(*found, starts, chance, float(values.max(initial=-np.inf)), len(drawn))


def _statements(search: TokenSearch, part: Evidence, found: _Found) -> list[Statement]:
    """The texts found, best first, and after them the best of the corpus and of random texts, with sign 0."""
    tokenizer, sign = search.model.tokenizer, search.sign
    mean, spread = part.moments_of(0)

    def statement(kind: str, text: str, value: float, **more: Any) -> Statement:
        details = {"kind": kind, "standard_deviations": (value - mean) / spread, **more}
        return Statement(text, value, sign if kind == GENERATED else 0, 0, details)

    told: dict[str, Statement] = {}
    for i in np.argsort(-found.values, kind="stable").tolist():
        row = found.rows[i]
        text, at = decode(tokenizer, row.tolist()), search.peak(row)
        if text not in told:
            told[text] = statement(
                GENERATED, text, float(sign * found.values[i]), start=found.starts[i], at=at,
                piece=decode(tokenizer, [int(row[at])]), ids=tuple(row.tolist()), texts_run=search.runs,
            )  # fmt: skip
    first, second = part.peaks(0, sign)[:1], part.peaks(0, sign, held_out=True)[:1]
    best = max([*first.tolist(), *second.tolist()], key=lambda row: sign * part.values[row, 0])
    text = part.texts[part.sentence[best]]
    piece = text[part.start[best] : part.end[best]]
    beside = [statement("best example of the corpus", text, float(part.values[best, 0]), piece=piece)]
    if found.drawn:
        value = sign * found.chance_value
        beside.append(
            statement("random tokens", decode(tokenizer, found.chance.tolist()), value, texts_run=found.drawn)
        )
    return [*told.values(), *beside]
