"""The baseline x' of a path from x' to the text: the same special tokens, and every other token replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from neurowidget.models.batching import encode_one, untouched
from neurowidget.models.reference_texts import chosen_texts

if TYPE_CHECKING:
    from neurowidget.analysis.attribution.word_embeddings import WordEmbeddings
    from neurowidget.models.loading import NeuronModel

Baseline = str | Sequence[int] | Sequence[str] | None
DRAWN = 8  # baselines of the set "corpus"


def baseline_embeddings(embeddings: WordEmbeddings, baseline: Baseline = None, seed: int = 0) -> tuple[str, Tensor]:
    """What the baseline is, in words, and its embeddings, (1, token, width), or (baseline, token, width) for a set.

    `baseline` is "pad", "mask", "zero", "mean" (the mean embedding of the vocabulary), a text or ids with as many
    tokens as the text, or a single token. A list of these is a set of baselines; "corpus" is the set of 8 texts whose
    tokens are drawn, with `seed`, from the bundled sample. None is the pad token, else the mask token, else "mean"; a pad
    token that is also the end of a text stands for something, so None does not choose it. Raises ValueError for a
    token that the tokenizer lacks and for another number of tokens.
    """
    if baseline == "corpus":
        return _drawn(embeddings, seed)
    if isinstance(baseline, list | tuple) and baseline and not isinstance(baseline[0], int):
        parts = [baseline_embeddings(embeddings, one, seed) for one in baseline]
        return ", ".join(words for words, _ in parts), torch.cat([values for _, values in parts])
    model, batch = embeddings.model, embeddings.batch
    name = _default(model) if baseline is None else baseline
    if name in ("zero", "mean"):
        vector = embeddings.mean() if name == "mean" else torch.zeros_like(embeddings.text[0, 0])
        words = "the mean embedding of the vocabulary" if name == "mean" else "zero vectors"
        return words, _between_special(embeddings, vector.expand_as(embeddings.text))
    words, ids = _ids(model, name, batch.input_ids)
    return words, _between_special(embeddings, embeddings.of(ids))


def _between_special(embeddings: WordEmbeddings, replaced: Tensor) -> Tensor:
    """`replaced`, (baseline, token, width), with the special tokens of the text."""
    special = embeddings.batch.special_mask[..., None].to(embeddings.text.device)
    return torch.where(special, embeddings.text, replaced)


def _drawn(embeddings: WordEmbeddings, seed: int) -> tuple[str, Tensor]:
    model = embeddings.model
    texts, label = chosen_texts(model, None)
    read = [encode_one(model, one, number, "text", any_length=True) for number, one in enumerate(texts[:64])]
    known = torch.tensor([i for row in read for i, special in zip(row.ids, row.special, strict=True) if not special])
    generator = torch.Generator().manual_seed(seed)
    places = torch.randint(len(known), (DRAWN, embeddings.text.shape[1]), generator=generator)
    words = f"{DRAWN} texts of tokens drawn from {label}"
    return words, _between_special(embeddings, embeddings.of(known[places]))


def _default(model: NeuronModel) -> str:
    tokenizer = model.tokenizer
    pad = getattr(tokenizer, "pad_token_id", None)
    others = {getattr(tokenizer, f"{role}_token_id", None) for role in ("bos", "eos", "unk")}
    if pad is not None and pad not in others and pad < model.vocabulary_size:
        return "pad"
    return "mask" if getattr(tokenizer, "mask_token_id", None) is not None else "mean"


def _ids(model: NeuronModel, baseline: Any, own: Tensor) -> tuple[str, Tensor]:
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
