"""What a module and its tokenizer say about themselves: head, labels, positions, padding, longest input."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from neurowidget.models.architectures import Architecture, ArchitectureNotFound
from neurowidget.models.batching import untouched
from neurowidget.models.calling import call, evaluating
from neurowidget.models.probing_forward import Trace, record

PROBE_TEXT = "one two three four"
SANE_LENGTH = 1_000_000  # tokenizers without a limit declare 10**30


def probe_arguments(module: nn.Module, tokenizer: Any, accepted: frozenset[str]) -> dict[str, torch.Tensor]:
    """A few ids, (1, token), as the tokenizer makes them; a decoder gets fewer, so that the stacks can be told apart."""
    with untouched(tokenizer):
        ids = list(tokenizer(PROBE_TEXT, return_attention_mask=False)["input_ids"])[-8:]
    ids = [*([1] * (4 - len(ids))), *ids]
    try:
        embeddings = module.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError, TypeError):
        embeddings = None
    if isinstance(embeddings, nn.Embedding):
        ids = [i % embeddings.num_embeddings for i in ids]
    source = embeddings if isinstance(embeddings, nn.Module) else module
    device = next((p.device for p in source.parameters()), torch.device("cpu"))
    found = {"input_ids": torch.tensor([ids], device=device)}
    found["attention_mask"] = torch.ones_like(found["input_ids"])
    config = getattr(module, "config", None)
    seq2seq = getattr(config, "is_encoder_decoder", config is None)
    if seq2seq and "decoder_input_ids" in accepted:
        found["decoder_input_ids"] = torch.tensor([ids[-3:]], device=device)
    return found


def probe(module: nn.Module, arguments: Mapping[str, torch.Tensor]) -> Trace:
    """The trace of a probing forward; raises ArchitectureNotFound when the module does not run on ids and a mask."""
    try:
        return record(module, arguments)
    except Exception as error:
        if "decoder_input_ids" in arguments:  # a classifier that reads the text again in its decoder
            with contextlib.suppress(Exception):
                return record(module, {**arguments, "decoder_input_ids": arguments["input_ids"].roll(1)})
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in arguments.items())
        raise ArchitectureNotFound(
            f"a first forward of {type(module).__name__} on {shapes} failed, so nothing could be found in it:"
            f" {type(error).__name__}: {error}. The module must take input_ids (text, token) and, for more than one text"
            " at a time, attention_mask; wrap it in an nn.Module that does"
        ) from error


def kind_of(module: nn.Module, trace: Trace, arguments: Mapping[str, torch.Tensor], found: Architecture) -> str:
    """classifier, token_classifier, masked_lm, causal_lm, seq2seq_lm or encoder, by the shape of the logits.

    Masked and causal are told apart by a second tiny forward with another second token: a causal model's first
    position cannot know. (Not the last token: local attention does not see that far either.)
    """
    logits = trace.output.get("logits")
    if not isinstance(logits, torch.Tensor):
        return "encoder"
    config = getattr(module, "config", None)
    tokens = arguments["input_ids"].shape[1]
    if logits.ndim == 2:  # one number per token (ELECTRA's discriminator) is no class
        return "encoder" if logits.shape[1] == tokens != getattr(config, "num_labels", tokens) else "classifier"
    rows = getattr(found.embeddings, "num_embeddings", None)
    if rows is None or logits.shape[-1] < min(rows, getattr(config, "vocab_size", rows) or rows):
        return "token_classifier" if found.head is not None else "encoder"
    if "decoder_input_ids" in arguments:
        return "seq2seq_lm"
    other = arguments["input_ids"].clone()
    other[0, 1] = (other[0, 1] + 1) % rows
    with evaluating(module), torch.inference_mode():
        again = call(module, {**arguments, "input_ids": other})["logits"]
    return "causal_lm" if torch.equal(again[0, 0], logits[0, 0]) else "masked_lm"


def labels_of(config: Any, kind: str, output: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The class names in the order of the logits, or None for a model without classes."""
    if kind not in ("classifier", "token_classifier"):
        return None
    count = output["logits"].shape[-1]
    names = getattr(config, "id2label", None) or {}
    return tuple(str(names.get(i, names.get(str(i), f"LABEL_{i}"))) for i in range(count))


def own_positions(module: nn.Module) -> nn.Module | None:
    """The table from which the module numbers positions itself, beginning after its padding id (RoBERTa-like)."""
    for name, part in module.named_modules():
        if "position" in name.lower() and isinstance(getattr(part, "padding_idx", None), int):
            return part
    return None


def padding_id(tokenizer: Any, config: Any, positions: nn.Module | None, kind: str, rows: int) -> int:
    """The id to fill with: the module's own where it reads padding from ids, else the tokenizer's, its eos, or 0."""
    own = getattr(positions, "padding_idx", None)
    eos = getattr(tokenizer, "eos_token_id", None)
    declared = getattr(config, "pad_token_id", None)
    reads_ids = declared if kind == "classifier" else None
    options = (own, reads_ids, getattr(tokenizer, "pad_token_id", None), *(eos if isinstance(eos, list) else [eos]), 0)
    return next(option for option in options if isinstance(option, int) and 0 <= option < rows)


def token_types(config: Any, accepted: frozenset[str]) -> bool:
    """Whether the module has a vocabulary of token types (GPT-2 takes the argument, but reads word vectors for it)."""
    return "token_type_ids" in accepted and bool(getattr(config, "type_vocab_size", 0))


def decoder_start(module: nn.Module, config: Any) -> int:
    """The id that a decoder begins with; raises ValueError when neither config names one."""
    for source in (config, getattr(module, "generation_config", None)):
        start = getattr(source, "decoder_start_token_id", None)
        if isinstance(start, list):
            start = start[0]
        if isinstance(start, int):
            return start
    raise ValueError("the config names no decoder_start_token_id: set module.config.decoder_start_token_id")


def longest_input(module: nn.Module, tokenizer: Any, config: Any) -> int | None:
    """How many tokens a text may have: the smaller of the tokenizer's limit and the table of positions, or None."""
    longest = getattr(tokenizer, "model_max_length", None)
    limits = [longest] if isinstance(longest, int) and longest < SANE_LENGTH else []
    table = own_positions(module)
    if isinstance(table, nn.Embedding) and table.padding_idx is not None:
        limits.append(table.num_embeddings - table.padding_idx - 1)
    else:
        names = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length")
        declared = [getattr(config, name, None) for name in names]
        limits += [positions for positions in declared if isinstance(positions, int) and positions > 0]
    return min(limits, default=None)


def tied_embeddings(module: nn.Module, declared: nn.Module) -> list[nn.Module]:
    """The word-embedding modules: T5 and BART have one for each stack, and a third that never runs, of one weight.

    Which of them runs is seen in a forward; `declared`, what the model says, where nothing shares its weight.
    """
    weight = getattr(declared, "weight", None)
    tied: list[nn.Module] = [
        part
        for part in module.modules()
        if weight is not None and isinstance(part, nn.Embedding) and part.weight is weight
    ]
    return tied or [declared]
