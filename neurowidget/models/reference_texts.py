"""Reference texts run clean: which of them, in which batches, and the role of each of their tokens."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from neurowidget.models.batching import special_ids
from neurowidget.models.context import Context
from neurowidget.models.hooks import record_values
from neurowidget.models.progress import StopFlag, check
from neurowidget.models.readout import stack_context
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel

FIRST = "first"
BATCH_TOKENS = 1_024


def checked_texts(texts: Any) -> tuple[str, ...]:
    """Reference texts as a tuple; raises TypeError for a single string or anything else."""
    given = () if isinstance(texts, str) else tuple(texts)
    if not given or not all(isinstance(text, str) for text in given):
        raise TypeError(f"expected reference texts as a list of strings, got {type(texts).__name__}: {texts!r}"[:200])
    return given


def chosen_texts(model: NeuronModel, texts: Sequence[str] | None) -> tuple[Sequence[str], str]:
    """The texts that were given, or the bundled sample that suits the model, and what to call them."""
    if texts is not None:
        checked = checked_texts(texts)
        return checked, f"{len(checked)} reference texts"
    name = "prose" if model.kind.endswith("_lm") else "movies"
    return _sample(name), f"the bundled sample {name!r}"


@cache
def _sample(name: str) -> tuple[str, ...]:
    from neurowidget.models.bundled import sample_texts

    return tuple(sample_texts(name))


def role_names(model: NeuronModel) -> list[str]:
    """The roles that tokens of this model may have, in the order in which `roles` numbers them from 1."""
    return [FIRST, *_special_ids(model)]


def roles(model: NeuronModel, context: Context) -> Tensor:
    """The role of each token of a forward, int64 (batch, token): 0 is ordinary, else 1 + its place in `role_names`."""
    if context.input_ids is None:
        raise ValueError("a mean by role needs token ids, but this forward was given embeddings (inputs_embeds)")
    found = torch.zeros_like(context.input_ids)
    if model.kind == "causal_lm":
        found[context.positions() == 0] = 1
    for number, token in enumerate(_special_ids(model).values(), start=2):
        found[context.input_ids == token] = number
    return found


def recorded_texts(
    model: NeuronModel,
    sites: Sequence[LayerSite],
    texts: Sequence[str],
    seed: int,
    budget: int,
    should_stop: StopFlag | None = None,
) -> Iterator[tuple[Context, dict[LayerSite, Tensor]]]:
    """Clean values at `sites` (of one stack), (batch, token, width), batch by batch.

    The texts are taken in an order drawn by `seed` until they hold `budget` ordinary tokens, and run sorted by length;
    a text that is too long for the model goes in as parts.
    """
    stack = sites[0].stack
    order = list(texts)
    random.Random(seed).shuffle(order)
    parts: list[tuple[int, str]] = []
    ordinary = 0
    for text in order:
        check(should_stop)
        for part, one in _fitting(model, text):
            role = roles(model, stack_context(one, stack))
            parts.append((max(*one.lengths, *one.decoder_lengths, 0), part))
            ordinary += int((role == 0).sum())
        if ordinary >= budget:
            break
    for group in _groups(sorted(parts, key=lambda item: item[0])):
        check(should_stop)
        batch = _encode(model, group)
        yield stack_context(batch, stack), record_values(model, batch, sites)


def _groups(parts: Sequence[tuple[int, str]]) -> Iterator[list[str]]:
    """Texts of similar length, about 1,024 tokens together with their padding."""
    group: list[str] = []
    for length, text in parts:
        if group and length * (len(group) + 1) > BATCH_TOKENS:
            yield group
            group = []
        group.append(text)
    if group:
        yield group


def _fitting(model: NeuronModel, text: str) -> Iterator[tuple[str, Batch]]:
    """The text and what it becomes or, when the model refuses it as too long, its halves."""
    try:
        one = _encode(model, [text])
    except ValueError:
        words = text.split()
        if len(words) > 1:
            yield from _fitting(model, " ".join(words[: len(words) // 2]))
            yield from _fitting(model, " ".join(words[len(words) // 2 :]))
        return
    yield text, one


def _encode(model: NeuronModel, texts: list[str]) -> Batch:
    return model.encode(texts, targets=texts) if model.kind == "seq2seq_lm" else model.encode(texts)


def _special_ids(model: NeuronModel) -> dict[str, int]:
    """Role -> token id of the special tokens that stand for no word, also where padding borrows the unknown token."""
    tokenizer = model.tokenizer
    structure, words = (
        {getattr(tokenizer, f"{role}_token_id", None) for role in roles}
        for roles in (("bos", "eos", "cls", "sep"), ("unk", "mask"))
    )
    ids = sorted(special_ids(tokenizer) - (words - structure))
    return {str(tokenizer.convert_ids_to_tokens(i)): i for i in ids}
