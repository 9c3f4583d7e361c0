"""The scalar that is explained, larger = more of what is explained.

`resolve` turns a spec into a Target on the clean model, once: predicted classes and tokens are looked up there and
frozen as ids, so that an edit never changes what is asked. Defaults: a classifier's log-odds of the predicted class,
logit_c - logsumexp(others); a language model's log-probability of the predicted token.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from neurowidget.models import hooks
from neurowidget.models.edits import columns_by_site
from neurowidget.models.readout import (
    answer_id,
    answer_name,
    independent_labels,
    logits_at,
    reading_positions,
    single_logit,
    stack_context,
)
from neurowidget.neuron import LayerSite, Neuron, as_neuron

if TYPE_CHECKING:
    from transformers.utils.generic import ModelOutput

    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel

Recorded = dict[LayerSite, Tensor]
Measure = Literal["log-odds", "log-probability", "logit", "probability", "contrast"]


@dataclass(frozen=True)
class Spec:
    """A target that is not resolved yet: a measure of one class or token, or the contrast of two."""

    measure: Measure
    names: tuple[str | int, ...]


@dataclass(frozen=True)
class NeuronSpec:
    """A neuron as the target: at one token, or the mean over the tokens that are not padding."""

    neuron: Neuron
    token: int | None = None


@dataclass(frozen=True)
class SequenceSpec:
    """The log-probability of the text's own tokens from position `start` on, or of a seq2seq model's whole target."""

    start: int = 1


@dataclass(frozen=True)
class SpanSpec:
    """The log-probability of an answer from token `start` to token `end`, of a model that marks answers in the text."""

    start: int
    end: int


def log_odds(name: str | int) -> Spec:
    """log p - log(1 - p) of a class or token: its logit minus the logsumexp of the others."""
    return Spec("log-odds", (name,))


def log_probability(name: str | int) -> Spec:
    """The log-probability of a class or token."""
    return Spec("log-probability", (name,))


def logit(name: str | int) -> Spec:
    """The raw logit of a class or token; its offset is arbitrary under a softmax."""
    return Spec("logit", (name,))


def probability(name: str | int) -> Spec:
    """The probability of a class or token."""
    return Spec("probability", (name,))


def contrast(first: str | int, second: str | int) -> Spec:
    """The difference of two logits, first minus second: the log of their odds against each other."""
    return Spec("contrast", (first, second))


def neuron(name: Neuron | str, token: int | None = None) -> NeuronSpec:
    """The activation of a neuron at position `token` of the text, or its mean over all tokens."""
    return NeuronSpec(as_neuron(name), token)


def sequence(start: int = 1) -> SequenceSpec:
    """The log-probability of the text's own tokens from `start` on; of a seq2seq model, of the target text."""
    return SequenceSpec(start)


def span(start: int, end: int) -> SpanSpec:
    """The log-probability of an answer span in the text, first and last token: for question answering heads."""
    return SpanSpec(start, end)


@dataclass(frozen=True, eq=False)
class Target:
    """A frozen target: `target(output, batch)` is (batch,), one number per text, float32 or as wide as the logits.

    `ids` is int64 (text, 1), or (text, 2) for a contrast, and `positions` int64 (text,) the tokens that are read; one
    row holds for every text. `sites` are what the target reads: pass their values (batch, token, width) as `recorded`.
    """

    name: str
    compute: Callable[[Target, ModelOutput, Batch, Recorded], Tensor]
    ids: Tensor | None = None
    positions: Tensor | None = None
    sites: tuple[LayerSite, ...] = ()

    def __call__(self, output: ModelOutput, batch: Batch, recorded: Recorded | None = None) -> Tensor:
        recorded = recorded or {}
        if missing := [site for site in self.sites if site not in recorded]:
            raise ValueError(f"{self.name} reads {missing[0]}: pass its values as recorded={{site: value}}")
        return self.compute(self, output, batch, recorded)

    def row(self, index: int) -> Target:
        """The target of one text, which then holds for any number of copies of it."""
        return self.take([index])

    def take(self, rows: Sequence[int]) -> Target:
        """The target of the texts at `rows`, in that order and as often as they are named, as `Batch.take` has them."""
        kept = [t if t is None or len(t) == 1 else t[list(rows)] for t in (self.ids, self.positions)]
        return replace(self, ids=kept[0], positions=kept[1])


def resolve(model: NeuronModel, batch: Batch, target: Any = None, position: int | None = None) -> Target:
    """Freeze `target` for the texts of `batch`; what is predicted is looked up once, on the clean model.

    `target` is None (the default of the model's kind), a label or token (text or id), a pair ("POS", "NEG"), one of
    the specs of this module, a Neuron, or a callable `(output, batch) -> (batch,)`. `position` is the token whose
    logits are read: a language model then predicts the token after it. Raises ValueError for what the model has not.
    """
    if isinstance(target, Target):
        return target
    if isinstance(target, Neuron) or (isinstance(target, str) and _names_neuron(model, target)):
        target = neuron(target)
    if isinstance(target, NeuronSpec):
        return _neuron_target(model, target, position)
    if isinstance(target, SequenceSpec):
        return _sequence_target(model, batch, target)
    if isinstance(target, SpanSpec):
        return _span_target(target)
    if callable(target):
        return _callable_target(target)
    if model.kind == "encoder":
        raise ValueError(
            f"{model.name} has no head, so there is no class or token to explain: use targets.neuron('L0.mlp[0]'), a "
            "callable (output, batch) -> one number per text, or load the model with its head"
        )
    spec = _as_spec(target, "logit" if single_logit(model) else "log-odds" if model.labels else "log-probability")
    if single_logit(model) and spec.measure not in ("logit", "log-odds"):
        raise ValueError(f"{model.name} has one logit: its target is that logit (target=None), not a {spec.measure}")
    measure: Measure = spec.measure
    if measure == "log-odds" and (single_logit(model) or independent_labels(model)):
        measure = "logit"  # under a sigmoid the logit is the log-odds
    positions = reading_positions(model, batch, position)
    if spec.names:
        ids = torch.tensor([[answer_id(model, name) for name in spec.names]])
    else:
        with hooks.suspended(model):
            output = model.forward(batch)
        ids = logits_at(model, output, batch, positions).argmax(dim=1, keepdim=True).cpu().clone()
    return Target(_name(model, measure, ids, position), _Reader(model, measure), ids, positions)


def evaluate_target(model: NeuronModel, batch: Batch, target: Target) -> Tensor:
    """The value of a resolved target for each text of `batch`, (batch,), under the interventions that are active."""
    output, recorded = run_recorded(model, batch, target.sites)
    return target(output, batch, recorded).detach().clone()


def run_recorded(
    model: NeuronModel, batch: Batch, sites: Sequence[LayerSite], grad: bool = False
) -> tuple[ModelOutput, Recorded]:
    """The output of one forward and the values (batch, token, width) at `sites`, which keep their graph with `grad`."""
    recorded: Recorded = {}
    if not sites:
        return model.forward(batch, grad=grad), recorded
    with hooks.recording(model, list(dict.fromkeys(sites)), recorded.__setitem__):
        output = model.forward(batch, grad=grad)
    return output, recorded


@dataclass(frozen=True, eq=False)
class _Reader:
    """Computes a measure from logits."""

    model: NeuronModel
    measure: Measure

    def __call__(self, target: Target, output: ModelOutput, batch: Batch, recorded: Recorded) -> Tensor:
        logits = logits_at(self.model, output, batch, target.positions)
        assert target.ids is not None
        if len(target.ids) not in (1, len(logits)):
            raise ValueError(
                f"{target.name} was resolved for {len(target.ids)} texts and is asked of {len(logits)}: use "
                "target.row(i) for copies of one text"
            )
        ids = target.ids.to(logits.device).expand(len(logits), -1)
        own = logits.gather(1, ids)
        if self.measure == "contrast":
            return own[:, 0] - own[:, 1]
        own = own[:, 0]
        if self.measure == "logit":
            return own
        if self.measure == "log-odds":
            return own - logits.scatter(1, ids, float("-inf")).logsumexp(dim=1)
        log_p = F.logsigmoid(own) if independent_labels(self.model) else own - logits.logsumexp(dim=1)
        return log_p if self.measure == "log-probability" else log_p.exp()


def _neuron_target(model: NeuronModel, spec: NeuronSpec, position: int | None) -> Target:
    token = spec.token if spec.token is not None else position
    columns_by_site(model, [spec.neuron])
    site, index = spec.neuron.address, spec.neuron.index

    def compute(target: Target, output: ModelOutput, batch: Batch, recorded: Recorded) -> Tensor:
        values = recorded[site][..., index]
        values = values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
        chosen = stack_context(batch, site.stack).selected(None if token is None else [token]).to(values.device)
        if not bool(chosen.any(dim=1).all()):
            raise ValueError(f"{target.name}: a text of this batch has no such token")
        return torch.where(chosen, values, 0).sum(dim=1) / chosen.sum(dim=1)

    where = f"activation of {spec.neuron} at token {token}"
    name = where if token is not None else f"mean activation of {spec.neuron} over the tokens"
    return Target(name, compute, sites=(site,))


def _sequence_target(model: NeuronModel, batch: Batch, spec: SequenceSpec) -> Target:
    if model.kind not in ("causal_lm", "seq2seq_lm"):
        raise ValueError(f"sequence() needs a language model that writes; {model.name} is a {model.kind}")
    of_decoder = model.kind == "seq2seq_lm"
    if of_decoder and batch.target_ids is None:
        raise ValueError("sequence() is the log-probability of a target text: give one (target_text=)")
    if spec.start < 1 or (not of_decoder and min(batch.lengths) <= spec.start):
        raise ValueError(f"sequence(start={spec.start}): the first token is not predicted, and the text ends before")

    def compute(target: Target, output: ModelOutput, batch: Batch, recorded: Recorded) -> Tensor:
        logits = output["logits"]
        logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
        if of_decoder:
            assert batch.target_ids is not None
            ids = batch.target_ids.to(logits.device)
            counted = ids >= 0
        else:
            logits, ids = logits[:, :-1], batch.input_ids[:, 1:].to(logits.device)
            own = stack_context(batch, None)
            counted = (batch.attention_mask[:, 1:].bool() & (own.positions()[:, 1:] >= spec.start)).to(logits.device)
        found = logits.log_softmax(dim=-1).gather(2, ids.clamp_min(0)[..., None])[..., 0]
        return torch.where(counted, found, 0).sum(dim=1)

    which = "the target text" if of_decoder else f"the text from token {spec.start} on"
    return Target(f"log-probability of {which}", compute)


def _span_target(spec: SpanSpec) -> Target:
    def compute(target: Target, output: ModelOutput, batch: Batch, recorded: Recorded) -> Tensor:
        if "start_logits" not in output:
            raise ValueError("span() needs a question answering head, whose output has start_logits and end_logits")
        context, parts = stack_context(batch, None), []
        for name, position in (("start_logits", spec.start), ("end_logits", spec.end)):
            logits = output[name]
            logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
            chosen = context.selected([position]).to(logits.device)
            if not bool(chosen.any(dim=1).all()):
                raise ValueError(f"{target.name}: a text of this batch has no token {position}")
            padding = ~batch.attention_mask.bool().to(logits.device)
            log_p = logits.masked_fill(padding, float("-inf")).log_softmax(dim=1)
            parts.append(torch.where(chosen, log_p, 0).sum(dim=1))
        return parts[0] + parts[1]

    return Target(f"log-probability of the answer from token {spec.start} to {spec.end}", compute)


def _callable_target(function: Callable[[ModelOutput, Batch], Tensor]) -> Target:
    name = getattr(function, "__name__", type(function).__name__)

    def compute(target: Target, output: ModelOutput, batch: Batch, recorded: Recorded) -> Tensor:
        value = function(output, batch)
        if not isinstance(value, Tensor) or value.shape != (len(batch),):
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"target {name}: expected a tensor ({len(batch)},), one number per text, got {got}")
        return value

    return Target(name, compute)


def _as_spec(target: Any, measure: Measure) -> Spec:
    if target is None:
        return Spec(measure, ())
    if isinstance(target, Spec):
        return target
    if isinstance(target, tuple | list) and len(target) == 2:
        return contrast(*target)
    if hasattr(target, "__index__") and not isinstance(target, bool):
        target = operator.index(target)
    if isinstance(target, str | int) and not isinstance(target, bool):
        return Spec(measure, (target,))
    raise TypeError(f"expected a label, a token, a pair of them, a target spec or a callable, got {target!r}")


def _names_neuron(model: NeuronModel, text: str) -> bool:
    if text in (model.labels or ()) or "[" not in text:
        return False
    try:
        Neuron.parse(text)
    except ValueError:
        return False
    return True


def _name(model: NeuronModel, measure: Measure, ids: Tensor, position: int | None) -> str:
    rows = ids.unique(dim=0).tolist()
    kind = "class" if model.labels else "token"
    names = [answer_name(model, number) for number in rows[0]] if len(rows) == 1 else [f"the predicted {kind}"]
    shown = f"logit of {' - '.join(names)}" if measure == "contrast" else f"{measure} of {names[0]}"
    if position is None:
        return shown
    return f"{shown} {'after' if model.kind in ('causal_lm', 'seq2seq_lm') else 'at'} token {position}"
