"""The baseline x' of a path from x' to the text: the same special tokens, and every other token replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from neurowidget.models.batching import untouched

if TYPE_CHECKING:
    from neurowidget.analysis.attribution.word_embeddings import WordEmbeddings
    from neurowidget.models.loading import NeuronModel

Baseline = str | Sequence[int] | None


def baseline_embeddings(embeddings: WordEmbeddings, baseline: Baseline = None) -> tuple[str, Tensor]:
    """What the baseline is, in words, and its embeddings, (1, token, width).

    `baseline` is "pad", "mask", "zero", "mean" (the mean embedding of the vocabulary), a text or ids with as many
    tokens as the text, or a single token. None is the pad token, else the mask token, else "mean"; a pad token that
    is also the end of a text stands for something, so None does not choose it. Raises ValueError for a token that the
    tokenizer lacks and for another number of tokens.
    """
    model, batch = embeddings.model, embeddings.batch
    name = _default(model) if baseline is None else baseline
    special = batch.special_mask
    if name in ("zero", "mean"):
        vector = embeddings.mean() if name == "mean" else torch.zeros_like(embeddings.text[0, 0])
        replaced = vector.expand_as(embeddings.text)
        words = "the mean embedding of the vocabulary" if name == "mean" else "zero vectors"
    else:
        words, ids = _ids(model, name, batch.input_ids)
        replaced = embeddings.of(ids)
    kept = special[..., None].to(embeddings.text.device)
    return words, torch.where(kept, embeddings.text, replaced)


def _default(model: NeuronModel) -> str:
    tokenizer = model.tokenizer
    pad = getattr(tokenizer, "pad_token_id", None)
    others = {getattr(tokenizer, f"{role}_token_id", None) for role in ("bos", "eos", "unk")}
    if pad is not None and pad not in others and pad < model.vocabulary_size:
        return "pad"
    return "mask" if getattr(tokenizer, "mask_token_id", None) is not None else "mean"


def _ids(model: NeuronModel, baseline: str | Sequence[int], own: Tensor) -> tuple[str, Tensor]:
    """The words and the ids, (1, token) like `own`, of a baseline that consists of tokens."""
    tokenizer = model.tokenizer
    if baseline in ("pad", "mask"):
        token = getattr(tokenizer, f"{baseline}_token_id", None)
        if token is None or token >= model.vocabulary_size:
            raise ValueError(
                f"baseline={baseline!r}: the tokenizer of {model.name} has no {baseline} token; use 'mean', 'zero', "
                "a token, or a text with as many tokens"
            )
        return f"the {baseline} token {tokenizer.convert_ids_to_tokens(int(token))!r}", torch.full_like(own, token)
    if isinstance(baseline, str) and (token := _single_token(model, baseline)) is not None:
        return f"the token {tokenizer.convert_ids_to_tokens(token)!r}", torch.full_like(own, token)
    ids = model.encode([baseline]).input_ids
    if ids.shape != own.shape:
        raise ValueError(
            f"baseline={baseline!r} has {ids.shape[1]} tokens, the text {own.shape[1]}: give a text with as many "
            "tokens, one token, or 'pad', 'mask', 'mean', 'zero'"
        )
    return f"the text {baseline!r}" if isinstance(baseline, str) else "given ids", ids


def _single_token(model: NeuronModel, text: str) -> int | None:
    """The id of a text that is one token, or of a token in the tokenizer's own spelling ("Ġnot")."""
    vocabulary = model.tokenizer.get_vocab()
    if text in vocabulary:
        return int(vocabulary[text])
    with untouched(model.tokenizer):
        ids = model.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return int(ids[0]) if len(ids) == 1 and ids[0] != getattr(model.tokenizer, "unk_token_id", None) else None
