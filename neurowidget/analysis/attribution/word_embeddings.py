"""One text as a function of its word embeddings: what gradient methods on input tokens differentiate.

The output of the word-embedding module passes through `seam`, an `nn.Identity`, on its way into the model, and that is
the layer which Captum's layer methods are given. So Captum hooks nothing of the model, forwards of other threads are
left alone, and of an embedding that encoder and decoder share only the encoder's call counts. The model is fed the ids
of the text itself all along: positions that a model reads from ids (RoBERTa's skip padding) stay those of the text.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from neurowidget.models.hook_places import refuse_compiled
from neurowidget.models.inspection import tied_embeddings
from neurowidget.models.progress import StopFlag, check
from neurowidget.models.targets import Target, run_recorded

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel


class WordEmbeddings:
    """The word embeddings of a batch of one text; `text` is (1, token, width), detached."""

    def __init__(self, model: NeuronModel, batch: Batch) -> None:
        if model.architecture.embeddings is None:
            raise ValueError(f"{model.name} has no word embedding that was found, so its input tokens have no gradient")
        self.model, self.batch = model, batch
        self.modules = tied_embeddings(model.module, model.architecture.embeddings)
        refuse_compiled(model.module, self.modules)
        found: list[tuple[nn.Module, Tensor]] = []
        with self._first_call(lambda module, output: found.append((module, output))):
            model.forward(batch, grad=True)
        if not found:
            raise RuntimeError(
                f"the word embedding of {model.name} did not run in a forward, so it cannot be explained"
            )
        self.module, output = found[0]
        self.text = output.detach()

    def of(self, ids: Tensor) -> Tensor:
        """The embeddings of other ids, (1, token) to (1, token, width), by the same module."""
        with self.model.lock, torch.no_grad():
            output: Tensor = self.module(ids.to(self.model.device))
        return output

    def mean(self) -> Tensor:
        """The mean embedding of the vocabulary, (width,)."""
        ids = torch.arange(min(self.model.vocabulary_size, len(self.model.tokenizer)))
        total = torch.stack([self.of(part[None])[0].cpu().double().sum(dim=0) for part in ids.split(4096)]).sum(dim=0)
        return (total / len(ids)).to(self.text)

    @contextmanager
    def _first_call(self, act: Callable[[nn.Module, Tensor], Tensor | None]) -> Iterator[None]:
        """`act` on the output of the first word-embedding call that this thread makes; what it returns goes on."""
        thread, waiting = threading.get_ident(), True

        def hook(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
            nonlocal waiting
            if not waiting or threading.get_ident() != thread:
                return None
            waiting = False
            return act(module, output)

        handles = []
        try:
            for module in self.modules:
                handles.append(module.register_forward_hook(hook))
            yield
        finally:
            for handle in handles:
                handle.remove()


class Explained:
    """F of one text as Captum wants it: `explained(at)` is (row,) for rows at 1, the text, or at 0, the baseline.

    `seam` is the layer that Captum's layer methods are given; its output is (row, token, width).
    """

    def __init__(
        self,
        embeddings: WordEmbeddings,
        target: Target,
        baseline: Tensor | None = None,
        should_stop: StopFlag | None = None,
    ) -> None:
        self.embeddings, self.target = embeddings, target
        self.baseline = embeddings.text if baseline is None else baseline
        self.should_stop = should_stop
        self.seam = nn.Identity()

    def __call__(self, at: Tensor) -> Tensor:
        return self.of(torch.cat([self.baseline, self.embeddings.text])[at.long()])

    def of(self, values: Tensor) -> Tensor:
        """F, (row,), where the word embeddings are `values`, (row, token, width)."""
        check(self.should_stop)
        embeddings = self.embeddings
        batch = embeddings.batch.take([0] * len(values))

        def through_seam(module: nn.Module, output: Tensor) -> Tensor:
            passed: Tensor = self.seam(values)
            return passed

        with embeddings._first_call(through_seam):
            output, recorded = run_recorded(embeddings.model, batch, self.target.sites, grad=torch.is_grad_enabled())
        return self.target(output, batch, recorded)

    def value(self, at: float = 1.0) -> float:
        """F(x), or F(x') with at=0."""
        with torch.no_grad():
            return float(self(torch.tensor([at])))
