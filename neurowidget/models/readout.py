"""Where a model's answer is read: which logits, at which token, under which names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from neurowidget.models.context import Context

if TYPE_CHECKING:
    from transformers.utils.generic import ModelOutput

    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel


def stack_context(batch: Batch, stack: str | None) -> Context:
    """The tokens that `batch` gives to a stack."""
    if stack == "decoder":
        if batch.decoder_input_ids is None or batch.decoder_attention_mask is None:
            raise ValueError("this batch has no decoder tokens")
        return Context(batch.decoder_attention_mask, 0, batch.decoder_input_ids)
    return Context(batch.attention_mask, 0, batch.input_ids)


def reading_positions(model: NeuronModel, batch: Batch, position: int | None = None) -> Tensor | None:
    """The token whose logits are read, int64 (1,) or (text,), negative from the end; None for a whole-text classifier.

    By default a language model's last token (whose logits predict the next one) and a masked language model's first
    mask. Raises ValueError for a position outside a text, and where one is needed or cannot be chosen.
    """
    if model.kind == "classifier":
        if position is not None:
            raise ValueError("position: this model classifies whole texts, there is no token to choose")
        return None
    if position is not None:
        chosen = torch.tensor([position])
    elif model.kind == "token_classifier":
        raise ValueError("position: this model labels tokens, so say which token is read, such as position=3")
    elif model.kind == "masked_lm":
        chosen = _mask_positions(model, batch)
    else:
        chosen = torch.tensor([-1])
    reading_columns(model, batch, chosen)
    return chosen


def _mask_positions(model: NeuronModel, batch: Batch) -> Tensor:
    mask_id = getattr(model.tokenizer, "mask_token_id", None)
    masked = batch.input_ids == mask_id if mask_id is not None else torch.zeros_like(batch.input_ids, dtype=torch.bool)
    if not bool(masked.any(dim=1).all()):
        row = int((~masked.any(dim=1)).nonzero()[0])
        wanted = getattr(model.tokenizer, "mask_token", None) or "a mask token"
        raise ValueError(
            f"text {row} has no {wanted}: a masked language model predicts the token behind it. Put {wanted} into the "
            "text, or choose a token with position="
        )
    own = stack_context(batch, None).positions()
    return own.gather(1, masked.int().argmax(dim=1, keepdim=True))[:, 0]


def reading_columns(model: NeuronModel, batch: Batch, positions: Tensor) -> Tensor:
    """The column of each text's position in the padded batch, int64 (text,)."""
    context = stack_context(batch, "decoder" if model.kind == "seq2seq_lm" else None)
    if len(positions) not in (1, context.shape[0]):
        raise ValueError(
            f"{len(positions)} positions for {context.shape[0]} texts: use target.row(i) for copies of one text"
        )
    wanted = positions.to(context.lengths.device).expand(context.shape[0])
    wanted = torch.where(wanted < 0, wanted + context.lengths, wanted)
    found = context.positions() == wanted[:, None]
    if not bool(found.any(dim=1).all()) or bool((wanted < 0).any()):
        row = int((~found.any(dim=1) | (wanted < 0)).nonzero()[0])
        given = int(positions.expand(context.shape[0])[row])
        raise ValueError(f"position {given} is outside text {row}, which has {int(context.lengths[row])} tokens")
    return found.int().argmax(dim=1)


def logits_at(model: NeuronModel, output: ModelOutput, batch: Batch, positions: Tensor | None) -> Tensor:
    """The logits that are read, (text, class or vocabulary), float32 or wider."""
    logits: Tensor = output["logits"]
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    if positions is None:
        return logits if logits.dim() == 2 else logits.reshape(len(logits), -1)
    columns = reading_columns(model, batch, positions).to(logits.device)
    return logits[torch.arange(len(logits), device=logits.device), columns]


def single_logit(model: NeuronModel) -> bool:
    """Whether the head gives one number (a regression or a score)."""
    return model.labels is not None and len(model.labels) == 1


def independent_labels(model: NeuronModel) -> bool:
    """Whether each label has a sigmoid of its own (multi-label classification)."""
    return getattr(model.config, "problem_type", None) == "multi_label_classification"


def answer_name(model: NeuronModel, number: int) -> str:
    """The label of a class, or a token in quotes with its leading space."""
    return model.labels[number] if model.labels is not None else repr(token_text(model, number))


def answer_label(model: NeuronModel, number: int) -> str:
    """The label of a class, or a token as text: what `Prediction.labels` hold."""
    return model.labels[number] if model.labels is not None else token_text(model, number)


def token_text(model: NeuronModel, token: int) -> str:
    """A token as text, its leading space kept; the tokenizer's own string where it is no whole character."""
    raw = model.tokenizer.convert_ids_to_tokens(int(token))
    if raw is None:  # the vocabulary of the model is larger than the tokenizer's
        return f"<{token}>"
    text = str(model.tokenizer.decode([int(token)], clean_up_tokenization_spaces=False))
    if raw.startswith("▁") and not text.startswith(" "):
        return " " + text
    return raw if "\ufffd" in text or not text else text


def answer_id(model: NeuronModel, name: str | int) -> int:
    """The class number or token id that `name` means; raises ValueError saying what there is, or the pieces."""
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise TypeError(f"expected a label, a token or an id, got {type(name).__name__}: {name!r}")
    if model.labels is not None:
        if isinstance(name, str) and name in model.labels:
            return model.labels.index(name)
        if isinstance(name, int) and 0 <= name < len(model.labels):
            return name
        raise ValueError(f"no class {name!r}: {model.name} has {', '.join(map(repr, model.labels))}")
    if isinstance(name, str):
        return _token_id(model, name)
    if not 0 <= name < model.vocabulary_size:
        raise ValueError(f"token id {name} is outside the vocabulary, 0 to {model.vocabulary_size - 1}")
    return name


def _token_id(model: NeuronModel, text: str) -> int:
    tokenizer = model.tokenizer
    unknown = getattr(tokenizer, "unk_token_id", None)
    tried: list[Sequence[int]] = []
    for form in (text, " " + text.lstrip(" ")):
        ids = tokenizer.encode(form, add_special_tokens=False)
        if len(ids) == 1 and ids[0] != unknown:
            return int(ids[0])
        tried.append(ids)
        if form == text and text in tokenizer.get_vocab():  # "Ġnot", "##ing", "[MASK]"
            return int(tokenizer.get_vocab()[text])
    pieces = ", ".join(repr(piece) for piece in tokenizer.convert_ids_to_tokens(list(tried[0])))
    raise ValueError(
        f"{text!r} is not one token of {model.name} but {len(tried[0])}: {pieces}; give one of these, or an id"
    )
