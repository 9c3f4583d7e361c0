"""The logit lens (nostalgebraist 2020): the head of the model applied to the residual stream after each layer.

The final norm and the head are the model's own, so that the last layer gives the model's answer. Where the stream is
normed after every block (BERT) there is no other final norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from neurowidget.analysis.intervention.exact_effects import tokens_per_forward
from neurowidget.analysis.intervention.head_reading import last_residual, read_by_head
from neurowidget.analysis.statistics.site_gradients import layers_of_site
from neurowidget.models.display import tokens_of
from neurowidget.models.progress import StopFlag, check
from neurowidget.models.readout import stack_context, token_text
from neurowidget.models.targets import run_recorded
from neurowidget.results.vocabulary import LogitLens

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def logit_lens(
    model: NeuronModel,
    text: str | Sequence[int],
    *,
    layers: Sequence[int] | None = None,
    top: int = 10,
    target_text: str | None = None,
    should_stop: StopFlag | None = None,
) -> LogitLens:
    """The `top` tokens that the head reads after each of `layers`, at each token of a text, with their probabilities.

    A seq2seq model's decoder reads `target_text`. Interventions that are open act on the stream. Raises ValueError for
    a model without a language-model head.
    """
    last = last_residual(model)
    prefix = f"{last.stack}." if last.stack else ""
    sites = layers_of_site(model, f"{prefix}residual", layers)
    batch = model.encode([text]) if target_text is None else model.encode([text], targets=[target_text])
    real = (stack_context(batch, last.stack).positions()[0] >= 0).nonzero().flatten()
    output, recorded = run_recorded(model, batch, sites)
    whole = output["logits"][0, real.to(output["logits"].device)].float().log_softmax(dim=-1).cpu()
    answers = whole.argmax(dim=-1)
    found: dict[str, list[Any]] = {"ids": [], "probabilities": [], "answers": [], "ranks": [], "kl": []}
    size = max(1, tokens_per_forward(model) // batch.input_ids.shape[1])
    for start in range(0, len(sites), size):
        check(should_stop)
        states = torch.cat([recorded[site] for site in sites[start : start + size]])
        for logits in read_by_head(model, batch.take([0] * len(states)), states):
            read = logits[real.to(logits.device)].log_softmax(dim=-1).cpu()
            own = read.gather(1, answers[:, None])
            values, ids = read.exp().topk(min(top, read.shape[1]), dim=-1)
            found["ids"].append(ids)
            found["probabilities"].append(values)
            found["answers"].append(own[:, 0].exp())
            found["ranks"].append((read > own).sum(dim=1))
            found["kl"].append((whole.exp() * (whole - read)).sum(dim=1))
    stacked = {name: torch.stack(parts).numpy() for name, parts in found.items()}
    used = np.union1d(stacked["ids"], answers.numpy())
    return LogitLens(
        tokens=tokens_of(model, batch, last.stack),
        layers=tuple(site.layer for site in sites),
        stack=last.stack,
        ids=stacked["ids"],
        probabilities=stacked["probabilities"],
        answer_ids=answers.numpy(),
        answer_probabilities=stacked["answers"],
        answer_ranks=stacked["ranks"],
        kl=stacked["kl"],
        labels={int(number): token_text(model, int(number)) for number in used},
        provenance=model.provenance("logit_lens", site=f"{prefix}residual"),
    )
