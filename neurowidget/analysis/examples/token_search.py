"""A search over token sequences of one length for one that drives a neuron, guided by the gradient at the embedding.

For a token at position t the gradient g of the neuron with respect to the word embedding there says what another token v
would do to first order, g . (e_v - e_now) (HotFlip; Ebrahimi et al. 2018). The most promising exchanges are run, and
the best of them is taken (as in GCG; Zou et al. 2023). A sequence counts only if its text has exactly these tokens.
"""

from __future__ import annotations

import copy
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from neurowidget.analysis.examples.fixed_length import Frame
from neurowidget.models import hooks
from neurowidget.models.batching import encode_one
from neurowidget.models.decoding import decode
from neurowidget.models.hook_places import refuse_compiled
from neurowidget.models.inspection import tied_embeddings
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import LayerSite, Neuron

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

_RESERVED = re.compile(r"[\[<]\|?(unused|reserved|extra_id|madeup)[^\]>]*[\]>]", re.IGNORECASE)
_TRIES = 50
ROUND = 6


class TokenSearch:
    """Sequences of `length` tokens, int64 (row, length), and what they do to `sign` times the neuron.

    The value of a sequence is the highest over its tokens. `runs` counts the sequences that were run so far.
    """

    def __init__(
        self, model: NeuronModel, neuron: Neuron, sign: int, length: int, should_stop: StopFlag | None = None
    ) -> None:
        if model.architecture.embeddings is None:
            raise ValueError(f"{model.name} has no word embedding that was found, so its tokens have no gradient")
        self.model, self.neuron, self.sign, self.length = model, neuron, sign, length
        self.should_stop = should_stop
        self.frame = Frame(model, neuron)
        if model.max_length is not None and length + len(self.frame.framed([])) > model.max_length:
            raise ValueError(f"length={length}: {model.name} takes {model.max_length} tokens, special ones included")
        self.real = real_tokens(model)
        self.modules = tied_embeddings(model.module, model.architecture.embeddings)
        refuse_compiled(model.module, self.modules)
        self.runs = 0
        self._table: Tensor | None = None

    def of(self, neuron: Neuron) -> TokenSearch:
        """The same search for another neuron of the model."""
        other = copy.copy(self)
        other.neuron, other.frame, other.runs = neuron, Frame(self.model, neuron), 0
        return other

    def values(self, rows: np.ndarray) -> np.ndarray:
        """The value of each sequence, float32 (row,)."""
        if not len(rows):
            return np.zeros(0, dtype=np.float32)
        self.runs += len(rows)
        found = self.frame.values(rows.tolist(), [self.neuron], self.should_stop)
        return np.asarray((self.sign * found[:, :, 0]).max(axis=1))

    def peak(self, row: np.ndarray) -> int:
        """The position of the token with the highest value."""
        found = self.frame.values([row.tolist()], [self.neuron])
        return int((self.sign * found[0, :, 0]).argmax()) + self.frame.skipped

    def survives(self, rows: np.ndarray) -> np.ndarray:
        """Whether the text of each sequence is tokenised to that sequence again, bool (row,)."""
        return np.array([self._again(row) == row for row in rows.tolist()], dtype=bool)

    def _again(self, row: list[int]) -> list[int]:
        text = decode(self.model.tokenizer, row)
        return self.frame.content(text) if text.strip() else []

    def random(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Random sequences of real tokens that survive, as many of `count` as are found."""
        found = np.zeros((0, self.length), dtype=np.int64)
        for _ in range(_TRIES):
            if len(found) >= count:
                break
            drawn = rng.choice(self.real, size=(2 * count, 2 * self.length))
            again = [self._again(row)[: self.length] for row in drawn.tolist()]
            rows = np.array([row for row in again if len(row) == self.length], dtype=np.int64).reshape(-1, self.length)
            rows = rows[np.isin(rows, self.real).all(axis=1)]
            found = np.concatenate([found, rows[self.survives(rows)]])
        return found[:count]

    def gains(self, rows: np.ndarray) -> np.ndarray:
        """The first-order change of the value for every real token at every position, float32 (row, position, real)."""
        batch = self.model.encode([self.frame.framed(row) for row in rows.tolist()])
        site: LayerSite = self.neuron.address
        leaves: list[Tensor] = []
        ran: list[nn.Module] = []
        recorded: dict[LayerSite, Tensor] = {}
        thread = threading.get_ident()

        def leaf(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
            if leaves or threading.get_ident() != thread:
                return None
            ran.append(module)
            leaves.append(output.detach().requires_grad_(True))
            return leaves[0]

        first = len(self.frame.before)
        handles = [module.register_forward_hook(leaf) for module in self.modules]
        try:
            with hooks.suspended(self.model), hooks.recording(self.model, [site], recorded.__setitem__):
                self.model.forward(batch, grad=True)
        finally:
            for handle in handles:
                handle.remove()
        with torch.enable_grad():
            inside = recorded[site][:, first + self.frame.skipped : first + self.length, self.neuron.index]
            total = (self.sign * inside).max(dim=1).values.sum()
        gradient = torch.autograd.grad(total, leaves[0])[0][:, first : first + self.length].float()
        now = leaves[0].detach()[:, first : first + self.length].float()
        if self._table is None:
            with self.model.lock, torch.no_grad():
                self._table = ran[0](torch.as_tensor(self.real, device=now.device)[None])[0].float()
        gains = gradient @ self._table.T - (gradient * now).sum(dim=-1, keepdim=True)
        return np.asarray(gains.cpu().numpy())

    def climb(
        self,
        rows: np.ndarray,
        steps: int,
        candidates: int,
        rng: np.random.Generator,
        patience: int = 4,
        done: Callable[[], object] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Better and better sequences from `rows`: the last ones and their values.

        In each of at most `steps` steps `candidates` exchanges of one token are run for each sequence: half of them those
        that promise most, half drawn from the next ones (all of them after a step that found nothing). A sequence is left
        where `patience` steps found nothing, and every `ROUND` steps the worse half of the others is. `done()` is called
        after each step.
        """
        rows, best = rows.copy(), self.values(rows)
        waited = np.zeros(len(rows), dtype=int)
        for step in range(steps):
            active = np.flatnonzero(waited < patience)
            if step and step % ROUND == 0:
                worse = active[np.argsort(-best[active], kind="stable")][-(-len(active) // 2) :]
                waited[worse] = patience
                active = np.setdiff1d(active, worse)
            if not len(active):
                break
            gains = self.gains(rows[active]).reshape(len(active), -1)
            tried = [
                self._exchanges(rows[i], gains[at], candidates, candidates // 2 if not waited[i] else 0, rng)
                for at, i in enumerate(active.tolist())
            ]
            values = self.values(np.concatenate(tried))
            first = 0
            for i, options in zip(active.tolist(), tried, strict=True):
                found = values[first : first + len(options)]
                first += len(options)
                if len(found) and found.max() > best[i]:
                    rows[i], best[i], waited[i] = options[found.argmax()], found.max(), 0
                else:
                    waited[i] += 1
            if done is not None:
                done()
        return rows, best

    def _exchanges(
        self, row: np.ndarray, gains: np.ndarray, candidates: int, best: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Sequences that differ from `row` in one token, and survive; gains are (position * real,).

        `best` of the `candidates` are those that promise most, the others are drawn from the next ones.
        """
        pool = min(8 * candidates, len(gains) - 1)
        order = np.argpartition(-gains, pool)[:pool]
        order = order[np.argsort(-gains[order], kind="stable")]
        picked = np.concatenate([order[:best], rng.permutation(order[best:])[: candidates - best]])
        options = np.repeat(row[None], len(picked), axis=0)
        options[np.arange(len(picked)), picked // len(self.real)] = self.real[picked % len(self.real)]
        return options[self.survives(options)]


def real_tokens(model: NeuronModel) -> np.ndarray:
    """The ids that stand for text: no special, reserved or added token, no part of a character, nothing that is blank."""
    tokenizer = model.tokenizer
    count = min(model.vocabulary_size, len(tokenizer))
    special = set(tokenizer.all_special_ids) | set(getattr(tokenizer, "added_tokens_decoder", None) or {})
    texts = tokenizer.batch_decode([[i] for i in range(count)], clean_up_tokenization_spaces=False)
    return np.array([
        i for i, text in enumerate(texts)
        if i not in special and text.strip() and "\ufffd" not in text and not _RESERVED.fullmatch(text.strip())
    ])  # fmt: skip


def windows_around(model: NeuronModel, text: str, start: int, length: int) -> np.ndarray:
    """All runs of `length` tokens of a text with the token at character `start` in them, int64 (run, length)."""
    row = encode_one(model, text, 0, "text", any_length=True)
    kept = [
        (token, span)
        for token, span, special in zip(row.ids, row.offsets or (), row.special, strict=True)
        if not special
    ]
    at = next((i for i, (_, (_, end)) in enumerate(kept) if end > start), max(len(kept) - 1, 0))
    firsts = range(max(0, at - length + 1), min(at, len(kept) - length) + 1)
    ids = [token for token, _ in kept]
    return np.array([ids[first : first + length] for first in firsts], dtype=np.int64).reshape(-1, length)
