"""Texts that are given as ids of one length, with the special tokens of the model around them, and neurons on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurowidget.models import hooks
from neurowidget.models.batching import encode_one
from neurowidget.models.progress import StopFlag, check
from neurowidget.neuron import Neuron

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

CPU_TOKENS, GPU_TOKENS = 1024, 16_384  # of one forward


class Frame:
    """What the tokenizer puts before and after a text, and where the text lies between.

    In a causal language model without a start token the first token of a text is one on which attention rests, and its
    value says nothing about the text: it is not read.
    """

    def __init__(self, model: NeuronModel, neuron: Neuron) -> None:
        if neuron.stack == "decoder":
            raise ValueError(
                f"{neuron}: a decoder reads a target beside the text, so this method is for encoders alone"
            )
        model.locate(neuron.address)
        self.model = model
        row = encode_one(model, "a", 0, "text")
        places = [i for i, special in enumerate(row.special) if not special]
        self.before, self.after = row.ids[: places[0]], row.ids[places[-1] + 1 :]
        self.skipped = 1 if model.kind == "causal_lm" and not self.before else 0

    def content(self, text: str) -> list[int]:
        """The ids of a text without the special tokens around it."""
        row = encode_one(self.model, text, 0, "text", any_length=True)
        return [token for token, special in zip(row.ids, row.special, strict=True) if not special]

    def framed(self, ids: Sequence[int]) -> list[int]:
        """The ids of a text with the special tokens around it."""
        return [*self.before, *ids, *self.after]

    def values(
        self,
        rows: Sequence[Sequence[int]],
        neurons: Sequence[Neuron],
        should_stop: StopFlag | None = None,
        done: Callable[[int], object] | None = None,
    ) -> np.ndarray:
        """Neurons of one layer on texts of one length, float32 (text, token, neuron), special tokens left out.

        `done(n)` is told of every n finished texts, `should_stop` is asked before every forward.
        """
        length = len(rows[0])
        site, index = neurons[0].address, [neuron.index for neuron in neurons]
        tokens = CPU_TOKENS if self.model.device.type == "cpu" else GPU_TOKENS
        size = max(1, tokens // (length + len(self.before) + len(self.after)))
        found = []
        for start in range(0, len(rows), size):
            check(should_stop)
            batch = self.model.encode([self.framed(row) for row in rows[start : start + size]])
            value = hooks.record_values(self.model, batch, [site])[site]
            inside = value[:, len(self.before) + self.skipped : len(self.before) + length]
            found.append(inside[..., index].float().cpu().numpy())
            if done is not None:
                done(len(value))
        return np.concatenate(found)
