"""Texts as one padded batch whose numbers are those of each text alone.

* The ids are those of `tokenizer(text)`; no other BOS, nothing cut off. Ready ids are used as given.
* Padding is done here, by hand: the user's tokenizer keeps its pad token, side and truncation. The library pads on
  the right, unless that changes the numbers of this module; the first ragged batch tries it (`padding.py`).
* `attention_mask` always. `position_ids` where the module takes them and does not number positions itself from its
  padding id (RoBERTa-like: a position embedding with a padding_idx), counted from the mask so that padding on the
  left shifts nothing.
* The pad id is the tokenizer's, else its eos, else 0; the mask decides what is real. Only where the module itself
  reads padding from the ids (RoBERTa's positions, a classifier on a decoder that looks for the last token) it is the
  module's own.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import torch

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

Side = Literal["left", "right"]
Text = str | Sequence[int]
Offsets = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """Padded ids of several texts, (text, token), with what is needed to read the results back.

    `special_mask` is True at tokens that the tokenizer added, not at padding. `offsets[i]` are the characters of each
    real token of text i, None for ready ids. `texts[i]` is the text, or "" for ready ids. For seq2seq models
    `decoder_input_ids` is the start token followed by the target without its last token, padded on the right, and
    `target_ids` the target itself, -100 at padding: position t of the decoder predicts `target_ids[:, t]`.
    """

    texts: tuple[str, ...]
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    special_mask: torch.Tensor
    lengths: tuple[int, ...]
    offsets: tuple[Offsets | None, ...]
    padding_side: Side = "right"
    position_ids: torch.Tensor | None = None
    token_type_ids: torch.Tensor | None = None
    targets: tuple[str, ...] | None = None
    decoder_input_ids: torch.Tensor | None = None
    decoder_attention_mask: torch.Tensor | None = None
    decoder_special_mask: torch.Tensor | None = None
    decoder_lengths: tuple[int, ...] = ()
    target_ids: torch.Tensor | None = None
    target_offsets: tuple[Offsets | None, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    def real(self, row: int) -> slice:
        """The slice of the real tokens of one text along the token axis."""
        total, length = self.input_ids.shape[1], self.lengths[row]
        return slice(total - length, total) if self.padding_side == "left" else slice(0, length)

    def decoder_real(self, row: int) -> slice:
        """The slice of the real decoder tokens of one text; decoders are padded on the right."""
        return slice(0, self.decoder_lengths[row])

    def ids(self, row: int) -> list[int]:
        """The ids of one text without padding."""
        found: list[int] = self.input_ids[row, self.real(row)].tolist()
        return found

    def take(self, rows: Sequence[int]) -> Batch:
        """The texts at `rows`, in that order and as often as they are named, with the padding that they have here."""
        index = torch.tensor(list(rows), dtype=torch.long)
        taken: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, torch.Tensor):
                taken[field.name] = value.index_select(0, index.to(value.device))
            elif isinstance(value, tuple) and value:
                taken[field.name] = tuple(value[row] for row in rows)
        return replace(self, **taken)

    def kwargs(self) -> dict[str, torch.Tensor]:
        """The arguments for the module."""
        names = ("input_ids", "attention_mask", "position_ids", "token_type_ids")
        decoder = ("decoder_input_ids", "decoder_attention_mask")
        found = {name: getattr(self, name) for name in (*names, *decoder)}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class Encoded:
    """One text as the tokenizer gives it, without padding."""

    text: str
    ids: list[int]
    special: list[bool]
    types: list[int] | None
    offsets: Offsets | None


@contextmanager
def untouched(tokenizer: Any) -> Iterator[None]:
    """Calling a fast tokenizer switches off the truncation and padding set in its backend; this puts them back."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    truncation, padding = getattr(backend, "truncation", None), getattr(backend, "padding", None)
    try:
        yield
    finally:
        if backend is not None and truncation is not None:
            backend.enable_truncation(**truncation)
        if backend is not None and padding is not None:
            backend.enable_padding(**padding)


def special_ids(tokenizer: Any) -> frozenset[int]:
    """The ids that stand for structure (bos, eos, cls, sep, pad, ...), not for text: neither unk nor mask."""
    structure = {getattr(tokenizer, f"{role}_token_id", None) for role in ("bos", "eos", "cls", "sep", "pad")}
    text = {getattr(tokenizer, f"{role}_token_id", None) for role in ("unk", "mask")} - structure
    return frozenset(tokenizer.all_special_ids) - text


def encode(
    model: NeuronModel,
    texts: Sequence[Text] | str,
    targets: Sequence[Text] | str | None = None,
    padding_side: Side | None = None,
) -> Batch:
    """`texts` (strings, or lists of ids used exactly as given) as one Batch; `targets` for seq2seq models.

    Raises ValueError for no texts, an empty text, ids outside the vocabulary, a text that is longer than the model
    takes, and a padding side that gives wrong positions in this family.
    """
    given = [texts] if isinstance(texts, str) else list(texts)
    if not given:
        raise ValueError("there are no texts: expected a list of strings, or of lists of ids")
    rows = [encode_one(model, text, index, "text") for index, text in enumerate(given)]
    lengths = {len(row.ids) for row in rows}
    if len(lengths) > 1 and "attention_mask" not in model.arguments:
        raise ValueError(
            f"{type(model.module).__name__}.forward takes no attention_mask, so texts of different lengths"
            f" {sorted(lengths)} cannot share a batch: encode them one by one"
        )
    side: Side = model.side_for(padding_side) if len(lengths) > 1 else padding_side or "right"
    return assemble(model, rows, targets, side)


def assemble(model: NeuronModel, rows: list[Encoded], targets: Sequence[Text] | str | None, side: Side) -> Batch:
    """Encoded texts as one Batch padded on `side`, whether or not that side is right for the model."""
    lengths = tuple(len(row.ids) for row in rows)
    mask = _padded([[1] * n for n in lengths], 0, side)
    types: torch.Tensor | None = None
    if model.wants_token_types and all(row.types is not None for row in rows):
        types = _padded([row.types or [] for row in rows], 0, side)
    return Batch(
        texts=tuple(row.text for row in rows),
        input_ids=_padded([row.ids for row in rows], model.pad_id, side),
        attention_mask=mask,
        special_mask=_padded([row.special for row in rows], 0, side).bool(),
        lengths=lengths,
        offsets=tuple(row.offsets for row in rows),
        padding_side=side,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0) if model.wants_positions else None,
        token_type_ids=types,
        **_decoder_part(model, rows, targets),
    )


def _padded(rows: Sequence[Sequence[int]], value: int, side: Side) -> torch.Tensor:
    width = max(len(row) for row in rows)
    filled = torch.full((len(rows), width), value, dtype=torch.long)
    for index, row in enumerate(rows):
        start = width - len(row) if side == "left" else 0
        filled[index, start : start + len(row)] = torch.tensor(list(row), dtype=torch.long)
    return filled


def encode_one(model: NeuronModel, text: Any, index: int, what: str, any_length: bool = False) -> Encoded:
    """One text, or list of ids, without padding; `index` and `what` ("text", "target") are for the messages.

    `any_length` is for callers that cut over-long texts into windows themselves.
    """
    tokenizer = model.tokenizer
    if isinstance(text, str):
        if not text:
            raise ValueError(f"{what} {index} is empty")
        role = {"text_target": text} if what == "target" else {"text": text}
        with untouched(tokenizer):
            got = tokenizer(
                **role, return_offsets_mapping=True, return_special_tokens_mask=True, return_token_type_ids=None,
                return_attention_mask=False, verbose=False,
            )  # fmt: skip
        ids, special = list(got["input_ids"]), [bool(s) for s in got["special_tokens_mask"]]
        row = Encoded(text, ids, special, got.get("token_type_ids"), tuple(map(tuple, got["offset_mapping"])))
    else:
        row = _ready(model, text, index, what)
    if not row.ids:
        raise ValueError(f"{what} {index} has no tokens: {text!r}")
    if model.max_length is not None and len(row.ids) > model.max_length and not any_length:
        raise ValueError(
            f"{what} {index} has {len(row.ids)} tokens, more than the {model.max_length} that {model.name} takes:"
            " shorten or split it (nothing is cut off silently)"
        )
    return row


def _ready(model: NeuronModel, text: Any, index: int, what: str) -> Encoded:
    try:
        ids = [operator.index(i) for i in text] if not isinstance(text, bytes) else None
    except TypeError:
        ids = None
    if ids is None:
        raise TypeError(f"{what} {index}: expected a string or a list of ids, got {type(text).__name__}: {text!r}")
    if wrong := [i for i in ids if not 0 <= i < model.vocabulary_size]:
        raise ValueError(f"{what} {index} has the ids {wrong}, outside 0 to {model.vocabulary_size - 1}")
    special = special_ids(model.tokenizer)
    return Encoded("", ids, [i in special for i in ids], None, None)


def _decoder_part(model: NeuronModel, rows: list[Encoded], targets: Sequence[Text] | str | None) -> dict[str, Any]:
    if not model.has_decoder:
        if targets is not None:
            raise ValueError(f"targets are for models with a decoder of their own; {model.name} has one stack")
        return {}
    start = model.decoder_start_id
    if targets is None:
        # A classifier with a decoder reads the text again there, shifted, as its own forward would do.
        wanted = [row.ids for row in rows] if model.kind in ("classifier", "token_classifier") else [[] for _ in rows]
        inputs = [[start, *ids[:-1]] for ids in wanted]
        special = [[True, *row.special[: len(ids) - 1]] for row, ids in zip(rows, inputs, strict=True)]
        target_part: dict[str, Any] = {}
    else:
        given = [targets] if isinstance(targets, str) else list(targets)
        if len(given) != len(rows):
            raise ValueError(f"there are {len(rows)} texts and {len(given)} targets: expected one target per text")
        found = [encode_one(model, target, index, "target") for index, target in enumerate(given)]
        inputs = [[start, *row.ids[:-1]] for row in found]
        special = [[True, *row.special[:-1]] for row in found]
        target_part = {
            "targets": tuple(row.text for row in found),
            "target_ids": _padded([row.ids for row in found], -100, "right"),
            "target_offsets": tuple(row.offsets for row in found),
        }
    return {
        "decoder_input_ids": _padded(inputs, model.pad_id, "right"),
        "decoder_attention_mask": _padded([[1] * len(ids) for ids in inputs], 0, "right"),
        "decoder_special_mask": _padded(special, 0, "right").bool(),
        "decoder_lengths": tuple(len(ids) for ids in inputs),
        **target_part,
    }
