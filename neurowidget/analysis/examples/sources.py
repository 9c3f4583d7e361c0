"""Evidence from what a caller has: Activations, a store on disk, or the Examples of many neurons."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from neurowidget.analysis.examples.evidence import Evidence
from neurowidget.extraction.store import ActivationStore
from neurowidget.neuron import Neuron, as_neuron
from neurowidget.results.activations import Activations
from neurowidget.results.base import Provenance
from neurowidget.results.examples import Examples
from neurowidget.results.tokens import Tokens

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

_SPLIT, _CONTROLS = 0, 1  # random streams of one seed
_FEW_TEXTS, _SINK = 10, 0.2


def evidence_of(source: Any, neuron: Neuron | str, controls: int, seed: int) -> list[Evidence]:
    """The neuron and `controls` random others in `source`: one Evidence for all where they share rows, else one each.

    `source` is an Activations or a store (the same rows for every neuron), or an Examples (contexts of each neuron's own).
    Raises TypeError for anything else, and ValueError with fewer than two sentences.
    """
    if not isinstance(controls, int) or controls < 0:
        raise ValueError(f"controls={controls!r}: expected the number of random neurons to compare with, 0 or more")
    neuron = as_neuron(neuron)
    if isinstance(source, Examples):
        return _own_contexts(source, neuron, controls, seed)
    if isinstance(source, Activations | ActivationStore):
        return [_shared_rows(source, neuron, controls, seed)]
    raise TypeError(
        f"expected Activations (nw.extract), a store (nw.open_store) or Examples (nw.top_examples), got"
        f" {type(source).__name__}"
    )


def needed_model(model: NeuronModel | None, source: Any, method: str) -> NeuronModel:
    """The model; raises ValueError when there is none, or when the source is from another one."""
    if model is None:
        raise ValueError(f"{method} runs the model on new texts: pass model=, the model that the source is from")
    given = getattr(source, "provenance", None)
    if isinstance(given, Provenance) and given.weights_hash not in ("", model.weights_hash):
        raise ValueError(
            f"the source is from {given.model} and model= is {model.name}, with other weights: pass the same one"
        )
    return model


def _shared_rows(source: Activations | ActivationStore, neuron: Neuron, controls: int, seed: int) -> Evidence:
    own = np.asarray(source.neuron(neuron), dtype=np.float32)
    tokens = tokens_of_source(source, neuron)
    kept = np.flatnonzero(~tokens.special & np.isfinite(own))
    chosen, columns = [neuron], [own[kept]]
    for other in random_neurons(neuron, width_of_source(source, neuron), controls, seed):
        column = np.asarray(source.neuron(other), dtype=np.float32)[kept]
        if np.isfinite(column).all():
            chosen.append(other)
            columns.append(column)
    evidence = of_rows(tuple(chosen), np.stack(columns, axis=1), tokens, kept, seed)
    first = np.diff(evidence.sentence, prepend=-1) != 0
    if not rests_on_first(evidence, first):
        return evidence
    left = of_rows(tuple(chosen), evidence.values[~first], tokens, kept[~first], seed)
    return replace(left, notes=(
        "The first tokens of the texts are left out: the neurons have all but the same values there, whatever the token is"
        " (attention rests on them).",
    ))  # fmt: skip


def rests_on_first(evidence: Evidence, first: np.ndarray) -> bool:
    """Whether the first tokens of texts are sinks: different tokens at which the neurons hardly differ.

    Their standard deviation there is less than a fifth of that elsewhere, in the median of the neurons (measured at the
    sinks of SmolLM2: 0 to 0.13; at the first tokens of layers without one, and of MiniLM, 0.2 and more).
    """
    words = {evidence.words[row] for row in np.flatnonzero(first).tolist()}
    if evidence.level == "word" or first.sum() < _FEW_TEXTS or 2 * len(words) < min(first.sum(), 100) or first.all():
        return False
    there, elsewhere = evidence.values[first].std(axis=0), evidence.values[~first].std(axis=0)
    known = elsewhere > 0
    return bool(known.any() and np.median(there[known] / elsewhere[known]) < _SINK)


def _own_contexts(source: Examples, neuron: Neuron, controls: int, seed: int) -> list[Evidence]:
    """The contexts of the neuron, and those of random neurons among the ones that have examples."""
    own = source.row(neuron)
    same = [row for row in np.flatnonzero(source.neuron_layer == neuron.layer).tolist() if row != own]
    drawn = np.random.default_rng([seed, _CONTROLS]).permutation(same)[:controls].astype(int).tolist()
    names = source.neurons
    return [_contexts(source, row, names[row], seed) for row in (own, *drawn)]


def _contexts(source: Examples, row: int, neuron: Neuron, seed: int) -> Evidence:
    texts: list[str] = []
    columns: list[tuple[np.ndarray, ...]] = []
    done = 0
    for text in np.unique(source.text[row][source.text[row] >= 0]).tolist():
        tokens = source.tokens_of(text)
        sink = source.kept.sink[source.kept.place(text)]
        values = np.full(
            len(tokens) + 2 * source.context, np.nan, dtype=np.float32
        )  # padded by the context on each side
        for slot in np.flatnonzero(source.text[row] == text).tolist():
            at = int(source.token[row, slot])
            window = source.contexts[row, slot].astype(np.float32)
            values[at : at + len(window)] = np.where(np.isnan(window), values[at : at + len(window)], window)
        for slot in np.flatnonzero(source.text[row] == text).tolist():
            values[source.token[row, slot] + source.context] = source.value[row, slot]
        values = values[source.context : source.context + len(tokens)]
        kept = np.flatnonzero(np.isfinite(values) & ~tokens.special & ~sink)
        number = np.full(len(kept), len(texts))
        columns.append((values[kept], number, tokens.start[kept], tokens.end[kept], tokens.word[kept], done + kept))
        texts.append(tokens.texts[0])
        done += len(tokens) + 1
    if not columns:
        raise ValueError(f"{neuron} has no examples: every slot is empty")
    values, sentence, start, end, word, rows = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    return Evidence(
        neurons=(neuron,), values=values[:, None], sentence=sentence, start=start, end=end, word=word, rows=rows,
        texts=tuple(texts), level="token", held_out=held_out_half(sentence, tuple(texts), seed),
        moments=(float(source.mean[row]), float(source.variance[row]) ** 0.5 or float("inf")),
    )  # fmt: skip


def shared(parts: list[Evidence], method: str) -> Evidence:
    """The one Evidence of a source with the same rows for every neuron; raises TypeError for contexts of each neuron's own."""
    if parts[0].moments is not None:
        raise TypeError(
            f"{method} needs every token of a corpus, not examples of it: give Activations (nw.extract) or a store"
        )
    return parts[0]


def of_rows(neurons: tuple[Neuron, ...], values: np.ndarray, tokens: Tokens, kept: np.ndarray, seed: int) -> Evidence:
    """Evidence from `values` (row, column) of the rows `kept` of `tokens`, its sentences split in halves by `seed`."""
    sentence = tokens.sentence_index[kept].astype(np.int64)
    return Evidence(
        neurons=neurons, values=values, sentence=sentence, held_out=held_out_half(sentence, tokens.texts, seed),
        start=tokens.start[kept].astype(np.int64), end=tokens.end[kept].astype(np.int64), word=tokens.word[kept],
        texts=tokens.texts, level=tokens.level, rows=kept,
    )  # fmt: skip


def held_out_half(sentence: np.ndarray, texts: tuple[str, ...], seed: int) -> np.ndarray:
    """True in half of the sentences, bool (row,); the same text is never on both sides."""
    present = np.unique(sentence)
    number: dict[str, int] = {}
    group_of = np.array([number.setdefault(texts[i], len(number)) for i in present], dtype=np.int64)
    if len(number) < 2:
        raise ValueError(
            f"an explanation is made on one half of the sentences and scored on the other, and there is only"
            f" {len(number)} different one here: give more texts (activations_from_array: sentence_index=)"
        )
    shuffled = np.random.default_rng([seed, _SPLIT]).permutation(len(number))
    held = np.zeros(len(number), dtype=bool)
    held[shuffled[: len(number) // 2]] = True
    return held[group_of[np.searchsorted(present, sentence)]]


def random_neurons(neuron: Neuron, width: int, count: int, seed: int) -> list[Neuron]:
    """`count` other neurons of the same layer and site (all of them where there are fewer), drawn by `seed`."""
    others = np.delete(np.arange(width), neuron.index)
    drawn = np.random.default_rng([seed, _CONTROLS]).permutation(others)[:count]
    return [replace(neuron, index=int(index)) for index in drawn]


def tokens_of_source(source: Activations | ActivationStore, neuron: Neuron) -> Tokens:
    """The tokens for which a neuron of a source has one value each."""
    if isinstance(source, Activations):
        return source.tokens_for(f"{neuron.stack}.{neuron.site}" if neuron.stack else neuron.site)
    return source.tokens_table(slice(None), "decoder" if neuron.stack == "decoder" else "")


def width_of_source(source: Activations | ActivationStore, neuron: Neuron) -> int:
    """How many neurons the source has at the site of a neuron that it has."""
    names = [f"{neuron.stack}.{neuron.site}"] if neuron.stack else [neuron.site, f"encoder.{neuron.site}"]
    name = next((name for name in [*names, neuron.site] if name in source.layers), names[0])
    return int(source[name].shape[2])
