"""Concept alignment: which word or phrase, read again and again, drives the neuron? (Na et al. 2019)

The candidates are the words, n-grams and pieces of words around the peaks of the sentences in which the neuron is highest.
Each is repeated to a text of a fixed number of tokens, and its degree of alignment is the neuron's mean over that text.
(Na et al., section 3.2, take morphemes, words and the phrases of a parse; pieces and n-grams need no parser.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from neurowidget.analysis.examples.evidence import Evidence, correlations
from neurowidget.analysis.examples.fixed_length import Frame
from neurowidget.analysis.examples.sources import evidence_of, needed_model
from neurowidget.analysis.examples.verdict import verdict
from neurowidget.models.batching import encode_one
from neurowidget.models.progress import StopFlag
from neurowidget.models.words import word_spans
from neurowidget.neuron import Neuron
from neurowidget.results.explanations import Explanation, Statement

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

REACH = 8  # words on each side of a peak
Candidates = dict[str, tuple[str, int]]  # concept -> its kind, and in how many sentences it is


def concept_alignment(
    source: Any,
    neuron: Neuron | str,
    *,
    model: NeuronModel | None = None,
    sign: int = 1,
    sentences: int = 10,
    longest: int = 3,
    length: int = 16,
    top: int = 10,
    controls: int = 10,
    seed: int = 0,
    progress: bool = True,
    should_stop: StopFlag | None = None,
) -> Explanation:
    """The `top` words, n-grams (up to `longest` words) and pieces of words that drive the neuron when repeated.

    `source` is Activations, a store or Examples, and `model` the model that it is from. Candidates come from the
    `sentences` of the first half with the highest values (lowest for `sign` -1) and are repeated to `length` tokens; one
    that has a better one inside it is left out. Held out: the correlation, over the sentences of the other half, of the
    highest value in the sentence with the highest alignment of a candidate that occurs in it (0 where none does). Raises
    ValueError without the model and for a neuron of a decoder, Cancelled when `should_stop()` says True between forwards.
    """
    model = needed_model(model, source, "concept_alignment")
    if sign not in (1, -1) or min(sentences, longest, length) < 1:
        raise ValueError(
            f"sign={sign}, sentences={sentences}, longest={longest}, length={length}: expected 1 or -1, and 1 or more"
        )
    parts = evidence_of(source, neuron, controls, seed)
    frame = Frame(model, parts[0].neurons[0])
    columns = [(part, column) for part in parts for column in range(len(part.neurons))]
    neurons = [part.neurons[column] for part, column in columns]
    candidates = [_candidates(model, part, column, sign, sentences, longest) for part, column in columns]
    known = {concept: row for row, concept in enumerate(dict.fromkeys(name for found in candidates for name in found))}
    rows = [_repeated(frame, concept, length) for concept in known]
    with tqdm(total=len(rows), desc="concept_alignment", unit=" texts", disable=not progress) as bar:
        means = frame.values(rows, neurons, should_stop, bar.update).mean(axis=1)

    scores, statements = [], []
    for number, (part, column) in enumerate(columns):
        mean, spread = part.moments_of(column)
        aligned = {name: sign * (means[known[name], number] - mean) / spread for name in candidates[number]}
        listed = _listed(aligned, candidates[number], top)
        scores.append(_held_out(part, column, sign, aligned, candidates[number]))
        if number == 0:
            statements = [
                Statement(
                    name, float(sign * aligned[name]), sign, candidates[0][name][1],
                    {"kind": candidates[0][name][0], "activation": float(means[known[name], 0])},
                )
                for name in listed
            ]  # fmt: skip
    return verdict(
        source, parts[0], "concept_alignment", statements, np.array(scores), neurons,
        statement_score="mean activation on the repeated concept, in standard deviations of the corpus",
        score_name="correlation over held-out sentences of the highest activation with the best candidate in the sentence",
        seed=seed, sign=sign, sentences=sentences, longest=longest, length=length, top=top,
    )  # fmt: skip


def _candidates(model: NeuronModel, part: Evidence, column: int, sign: int, sentences: int, longest: int) -> Candidates:
    """Words, n-grams and pieces of words around the peaks of one neuron in the sentences where it is highest."""
    found: dict[str, tuple[str, set[str]]] = {}
    for row in part.peaks(column, sign)[:sentences].tolist():
        text = part.texts[part.sentence[row]]
        spans = word_spans(text)
        at = next((i for i, (_, end) in enumerate(spans) if end > part.start[row]), len(spans) - 1)
        near = range(max(0, at - REACH), min(len(spans), at + REACH + 1))
        for first in near:
            for last in range(first, min(first + longest, near.stop)):
                name = text[spans[first][0] : spans[last][1]]
                kind = "word" if first == last else "n-gram"
                found.setdefault(name, (kind, set()))[1].add(text)
        low, high = spans[near.start][0], spans[near.stop - 1][1]
        encoded = encode_one(model, text, 0, "text", any_length=True)
        for start, end in encoded.offsets or ():
            piece = text[start:end].strip()
            if low <= start < end <= high and len(piece) > 1:
                found.setdefault(piece, ("piece", set()))[1].add(text)
    return {name: (kind, len(where)) for name, (kind, where) in found.items()}


def _repeated(frame: Frame, concept: str, length: int) -> list[int]:
    """The ids of the concept, repeated with spaces and cut to `length` tokens."""
    once = max(1, len(frame.content(concept)))
    ids = frame.content(" ".join([concept] * (-(-length // once) + 1)))[:length]
    return (ids * length)[:length]


def _listed(aligned: dict[str, float], candidates: Candidates, top: int) -> list[str]:
    """The best candidates, without those that hold a better one as words of theirs."""
    listed: list[str] = []
    for name in sorted(aligned, key=lambda name: (-aligned[name], -candidates[name][1], len(name), name)):
        if len(listed) == top or aligned[name] <= 0:
            break
        if not any(f" {better.casefold()} " in f" {_spaced(name)} " for better in map(_spaced, listed)):
            listed.append(name)
    return listed


def _spaced(text: str) -> str:
    """The words of a text in lower case with one space between them."""
    return " ".join(text[start:end] for start, end in word_spans(text)).casefold()


def _held_out(part: Evidence, column: int, sign: int, aligned: dict[str, float], candidates: Candidates) -> float:
    """The correlation over held-out sentences of the peak with the best candidate there."""
    rows = part.peaks(column, sign, held_out=True)
    texts = [f" {_spaced(part.texts[part.sentence[row]])} " for row in rows.tolist()]
    wanted = [
        (_spaced(name) if candidates[name][0] == "piece" else f" {_spaced(name)} ", score)
        for name, score in aligned.items()
        if score > 0
    ]
    predicted = np.array([[max((score for name, score in wanted if name in text), default=0.0)] for text in texts])
    return float(correlations(predicted, sign * part.values[rows][:, [column]])[0])
