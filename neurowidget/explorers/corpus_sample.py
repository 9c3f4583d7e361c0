"""The activations of a site over a small sample of a corpus: where a neuron's value stands, and what it fires on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neurowidget.extraction.activations import extract
from neurowidget.models.loading import NeuronModel
from neurowidget.neuron import Neuron
from neurowidget.results import Tokens

MAX_BYTES = 256 * 2**20
MAX_TOKENS = 4_000
TEXTS_A_STEP = 16
BINS = 40


class CorpusSample:
    """Activations of all neurons of one site over the first texts that fit the budget (4,000 tokens, 256 MB, float16).

    Read it with `for done, total in sample.read(): ...`; special tokens are kept for the contexts, left out of the numbers.
    """

    def __init__(
        self,
        model: NeuronModel,
        texts: Sequence[str],
        site: str,
        layers: Sequence[int],
        name: str,
        without: str = "",
    ) -> None:
        self.model, self.site, self.layers, self.name = model, site, tuple(layers), name
        width = model.width(site)
        budget = min(MAX_TOKENS, MAX_BYTES // (2 * width * len(self.layers)))
        self.texts = tuple(_within(model, texts, budget, without))
        self.sentences: list[Tokens] = []
        self._blocks: list[np.ndarray] = []
        self._values = np.zeros((len(self.layers), 0, width), np.float16)
        self._rows = np.zeros((0, 2), np.int32)  # (sentence, token in it) of every ordinary token
        self.ready = False

    @property
    def token_count(self) -> int:
        """How many ordinary (not special) tokens have been read."""
        return len(self._rows)

    def read(self) -> Iterator[tuple[int, int]]:
        """Read the sample in steps; yields (texts read, texts in all)."""
        for start in range(0, len(self.texts), TEXTS_A_STEP):
            yield start, len(self.texts)
            part = list(self.texts[start : start + TEXTS_A_STEP])
            acts = extract(self.model, part, sites=[self.site], layers=self.layers, progress=False)
            values = acts[self.site]
            # A float16 that overflows would be an infinity in every statistic.
            self._blocks.append(values if np.abs(values).max(initial=0) > 60_000 else values.astype(np.float16))
            self.sentences += [acts.tokens.sentence(i) for i in range(len(part))]
        self._values = np.concatenate(self._blocks, axis=1) if self._blocks else self._values
        self._blocks = []
        special = np.concatenate([s.special for s in self.sentences]) if self.sentences else np.zeros(0, bool)
        rows = [(i, j) for i, s in enumerate(self.sentences) for j in range(len(s))]
        self._offsets = np.concatenate([[0], np.cumsum([len(s) for s in self.sentences])]).astype(int)
        self._ordinary = np.flatnonzero(~special)
        self._rows = np.asarray(rows, dtype=np.int32).reshape(-1, 2)[self._ordinary]
        self.ready = True

    def spread(self) -> np.ndarray:
        """Standard deviation of every neuron over the ordinary tokens, float32 (layer, neuron)."""
        return np.stack([layer[self._ordinary].astype(np.float32).std(axis=0) for layer in self._values])

    def mean(self) -> np.ndarray:
        """Mean of every neuron over the ordinary tokens, float32 (layer, neuron)."""
        return np.stack([layer[self._ordinary].astype(np.float32).mean(axis=0) for layer in self._values])

    def values(self, neuron: Neuron) -> np.ndarray:
        """One neuron over the ordinary tokens, float32 (token,)."""
        return self._values[self.layers.index(neuron.layer), self._ordinary, neuron.index].astype(np.float32)

    def density(self, neuron: Neuron, activation: np.ndarray) -> dict[str, Any]:
        """Histogram and range of a neuron, and the percentile at which each of the given activations stands."""
        values = np.sort(self.values(neuron))
        counts, edges = np.histogram(values, bins=BINS)
        below = np.searchsorted(values, activation, side="left")
        upto = np.searchsorted(values, activation, side="right")
        return {
            "name": self.name,
            "tokens": len(values),
            "edges": [float(e) for e in edges],
            "counts": counts.tolist(),
            "min": float(values[0]),
            "max": float(values[-1]),
            "mean": float(values.mean()),
            "percentile": (50 * (below + upto) / len(values)).round(2).tolist(),
        }

    def examples(self, neuron: Neuron, counts: Sequence[tuple[str, float, int]] | None = None) -> list[dict[str, Any]]:
        """Sentences where the neuron is highest, around its 90th and 50th percentile, and lowest; one token a sentence."""
        wanted = counts or (("top", 1.0, 5), ("q90", 0.9, 3), ("q50", 0.5, 2), ("bottom", 0.0, 3))
        values = self.values(neuron)
        order = np.argsort(-values, kind="stable")
        used: set[int] = set()
        found = []
        for label, quantile, count in wanted:
            ranked = order if quantile == 1 else order[::-1] if quantile == 0 else _around(order, 1 - quantile)
            taken = 0
            for row in ranked:
                sentence, token = self._rows[row]
                if int(sentence) in used:
                    continue
                used.add(int(sentence))
                found.append(self._example(neuron, label, int(sentence), int(token)))
                taken += 1
                if taken == count:
                    break
        return found

    def _example(self, neuron: Neuron, label: str, sentence: int, token: int) -> dict[str, Any]:
        tokens = self.sentences[sentence]
        start, end = self._offsets[sentence], self._offsets[sentence + 1]
        values = self._values[self.layers.index(neuron.layer), start:end, neuron.index].astype(float)
        return {
            "quantile": label,
            "pieces": list(tokens.pieces),
            "special": tokens.special.tolist(),
            "values": [round(v, 4) for v in values.tolist()],
            "focus": token,
        }


def _around(order: np.ndarray, place: float) -> np.ndarray:
    middle = int(place * (len(order) - 1))
    return order[np.argsort(np.abs(np.arange(len(order)) - middle), kind="stable")]


def _within(model: NeuronModel, texts: Sequence[str], budget: int, without: str) -> Iterator[str]:
    limit = model.max_length
    used = 0
    for text in texts:
        if not text.strip() or text == without:
            continue
        length = len(model.tokenizer(text)["input_ids"])
        if limit is not None and length > limit:
            continue
        used += length
        if used > budget:
            return
        yield text
