"""What a model answers: classes, next tokens or masked tokens with probabilities, and generated text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast, overload

import torch
from torch import Tensor

from neurowidget.models import hooks
from neurowidget.models.calling import evaluating
from neurowidget.models.display import tokens_of
from neurowidget.models.interventions import active_interventions
from neurowidget.models.readout import (
    answer_label,
    independent_labels,
    logits_at,
    reading_positions,
    single_logit,
    stack_context,
)
from neurowidget.results.prediction import Prediction

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch, Text
    from neurowidget.models.loading import NeuronModel
    from neurowidget.results.tokens import Tokens

KINDS = {
    "classifier": "classes",
    "token_classifier": "token_classes",
    "masked_lm": "masked_token",
    "causal_lm": "next_token",
    "seq2seq_lm": "next_token",
}

TEXTS_AT_ONCE = 32  # the logits of a language model are (text, token, vocabulary)


@overload
def predict(
    model: NeuronModel, text: Text, top: int = 10, position: int | None = None, target_text: Text | None = None
) -> Prediction: ...
@overload
def predict(
    model: NeuronModel,
    text: list[str] | list[list[int]],
    top: int = 10,
    position: int | None = None,
    target_text: Any = None,
) -> list[Prediction]: ...
def predict(
    model: NeuronModel, text: Any, top: int = 10, position: int | None = None, target_text: Any = None
) -> Prediction | list[Prediction]:
    """The answer for one text (or ready ids), or a list of answers for a list of texts, under active interventions.

    Classifiers give all classes, language models the `top` most probable tokens: the next one, or the one after
    `position`; masked ones the one behind the first mask, or at `position`. `target_text` is what a seq2seq decoder has
    written so far. Raises ValueError for a model without a head and for a token classifier without `position`.
    """
    if model.kind not in KINDS:
        raise ValueError(
            f"{model.name} has no head, so it predicts nothing: load it with one (for example "
            "AutoModelForSequenceClassification or AutoModelForMaskedLM), or use extract() for its activations"
        )
    if top < 1:
        raise ValueError(f"top must be 1 or more, got {top}")
    single = _is_one_text(text)
    texts = [text] if single else list(text)
    targets = target_text if target_text is None or not single else [target_text]
    batch = model.encode(texts) if targets is None else model.encode(texts, targets=targets)
    positions = reading_positions(model, batch, position)
    tokens = tokens_of(model, batch)
    found: list[Prediction] = []
    for start in range(0, len(batch), TEXTS_AT_ONCE):
        rows = range(start, min(start + TEXTS_AT_ONCE, len(batch)))
        part = batch.take(rows)
        columns = positions if positions is None or len(positions) == 1 else positions[list(rows)]
        logits = logits_at(model, model.forward(part), part, columns)
        found += [_prediction(model, batch, row, logits[row - start], positions, tokens, top) for row in rows]
    return found[0] if single else found


def _is_one_text(text: Any) -> bool:
    return isinstance(text, str) or (len(text) > 0 and all(hasattr(item, "__index__") for item in text))


def _prediction(
    model: NeuronModel, batch: Batch, row: int, logits: Tensor, positions: Tensor | None, tokens: Tokens, top: int
) -> Prediction:
    order = torch.argsort(logits, descending=True, stable=True)
    ids = order if model.labels is not None else order[:top]
    own = tokens.sentence(row)
    position = -1
    if positions is not None:
        position = int(positions[row if len(positions) > 1 else 0])
        stack = "decoder" if model.kind == "seq2seq_lm" else None
        position = position if position >= 0 else position + int(stack_context(batch, stack).lengths[row])
    return Prediction(
        kind=KINDS[model.kind],
        text=own.texts[0],
        tokens=own,
        position=position,
        labels=tuple(answer_label(model, i) for i in ids.tolist()),
        ids=ids.cpu().numpy(),
        probabilities=_probabilities(model, logits)[ids].cpu().numpy(),
        all_logits=logits.detach().float().cpu().numpy(),
        interventions=active_interventions(model),
        provenance=model.provenance("predict", parameters={"position": position}),
    )


def _probabilities(model: NeuronModel, logits: Tensor) -> Tensor:
    if single_logit(model):  # a score: it has no probability
        return torch.full_like(logits, float("nan"))
    return logits.sigmoid() if independent_labels(model) else logits.softmax(dim=-1)


def generate(model: NeuronModel, prompt: Any, max_new_tokens: int = 30, **kwargs: Any) -> Any:
    """The prompt and what the model writes after it (for seq2seq: what it writes), greedy unless `kwargs` say otherwise.

    One text, or a list of texts (padded on the left, since new tokens follow the last column). Interventions act on
    every step; token positions count through the KV cache. `kwargs` go to `module.generate`.
    """
    single = _is_one_text(prompt)
    prompts = [prompt] if single else list(prompt)
    if model.kind not in ("causal_lm", "seq2seq_lm") or not hasattr(model.module, "generate"):
        raise ValueError(
            f"{model.name} ({model.kind}) cannot generate text: that takes a causal or seq2seq language model"
        )
    with model.lock:
        batch = model.encode(prompts)
        ids, mask = _left_padded(model, batch)
        options: dict[str, Any] = {"do_sample": False, "pad_token_id": model.pad_id, "max_new_tokens": max_new_tokens}
        with evaluating(model.module), torch.no_grad(), hooks.generating(model):
            written = cast(Any, model.module).generate(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device), **{**options, **kwargs}
            )
    written = getattr(written, "sequences", written)
    copies = len(written) // len(prompts)
    texts = [_text(model, batch, i // copies, row.tolist(), ids.shape[1]) for i, row in enumerate(written)]
    return texts[0] if single and copies == 1 else texts


def _left_padded(model: NeuronModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Ids and mask with the padding on the left; an encoder's stay as they are."""
    if model.kind == "seq2seq_lm":
        return batch.input_ids, batch.attention_mask
    ids, mask = torch.full_like(batch.input_ids, model.pad_id), torch.zeros_like(batch.attention_mask)
    for row, length in enumerate(batch.lengths):
        ids[row, ids.shape[1] - length :] = batch.input_ids[row, batch.real(row)]
        mask[row, ids.shape[1] - length :] = 1
    return ids, mask


def _text(model: NeuronModel, batch: Batch, row: int, written: list[int], width: int) -> str:
    """The prompt as it was given, then what the new tokens add to it."""
    tokenizer = model.tokenizer

    def decode(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    if model.kind == "seq2seq_lm":
        return decode(written)
    prompt_ids, new = batch.ids(row), written[width:]
    before, after = decode(prompt_ids), decode([*prompt_ids, *new])
    # Decoding new tokens by themselves would drop the space that SentencePiece writes at their beginning.
    added = after[len(before) :] if after.startswith(before) else decode(new)
    return (batch.texts[row] or before) + added
