"""Tokens as text: pieces that, joined, are exactly the text, from the character offsets of the tokenizer.

A decoded token shows `Ġnot` or `�`; a piece is cut out of the original text instead. What the tokenizer dropped
(white space, control characters) goes to the piece after it, the rest of the text to the last piece, and a dropped
combining mark stays with its base. Tokens that hold bytes of one character: the first has it, the others have "".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from neurowidget.models.batching import Encoded, Offsets
from neurowidget.models.decoding import decoded_spans
from neurowidget.models.words import Span, kind_of, word_spans, words_of_tokens
from neurowidget.results.tokens import Tokens

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel

_MARKERS = frozenset("▁Ġ")  # how tokenizers write a space


def tokens_of_text(model: NeuronModel, text: str) -> Tokens:
    """The tokens of one text, as the model will see it."""
    return tokens_of(model, model.encode([text]))


def tokens_of(model: NeuronModel, batch: Batch, stack: str | None = None) -> Tokens:
    """The tokens of all texts of a batch, without padding, in the order of the batch.

    `stack="decoder"` gives those of the decoder: its start token and the target without the last token. For ready ids
    the text is what the ids decode to, special tokens left out.
    """
    if stack == "decoder":
        return tokens_of_encoded(model.tokenizer, map(partial(_decoder_row, batch), range(len(batch))))
    return tokens_of_encoded(model.tokenizer, map(partial(_row, batch), range(len(batch))))


def _row(batch: Batch, row: int) -> Encoded:
    special = batch.special_mask[row, batch.real(row)].tolist()
    return Encoded(batch.texts[row], batch.ids(row), special, None, batch.offsets[row])


def _decoder_row(batch: Batch, row: int) -> Encoded:
    if batch.decoder_input_ids is None or batch.decoder_special_mask is None:
        raise ValueError("this batch has no decoder tokens: the model has one stack")
    here = batch.decoder_real(row)
    ids = batch.decoder_input_ids[row, here].tolist()
    special = batch.decoder_special_mask[row, here].tolist()
    if batch.targets is not None:
        text, offsets = batch.targets[row], batch.target_offsets[row]
    else:
        text, offsets = batch.texts[row], batch.offsets[row]
    return shifted(ids, special, text, offsets)


def decoder_row(start_id: int, target: Encoded) -> Encoded:
    """What a decoder is given for a target: the start token, and the target without its last token."""
    ids, special = [start_id, *target.ids[:-1]], [True, *target.special[:-1]]
    return shifted(ids, special, target.text, target.offsets)


def shifted(ids: list[int], special: list[bool], text: str, offsets: Offsets | None) -> Encoded:
    """What a decoder is given for a text: its tokens without the last one, after a start token.

    `ids` and `special` are the decoder's own, `offsets` those of all tokens of the text. The text ends where the token
    that is left out begins, or at its end when that one is special.
    """
    if offsets is None:
        return Encoded("", ids, special, None, None)
    fed = offsets[: len(ids) - 1]
    left_out = [start for start, end in offsets[len(fed) :] if start < end]
    return Encoded(text[: left_out[0]] if left_out else text, ids, special, None, ((0, 0), *fed))


def tokens_of_encoded(
    tokenizer: Any, rows: Iterable[Encoded], words: Sequence[Sequence[Span] | None] | None = None
) -> Tokens:
    """The tokens of texts that are ids already, one text after the other; `words` are the words of each, where given."""
    specials = special_strings(tokenizer)
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    texts: list[str] = []
    for index, row in enumerate(rows):
        text = _add(columns, tokenizer, row, specials, None if words is None else words[index])
        columns["sentence_index"] += [len(texts)] * len(row.ids)
        texts.append(text)
    pieces, raw = tuple(columns.pop("pieces")), tuple(columns.pop("raw"))
    arrays: dict[str, Any] = {name: np.asarray(values) for name, values in columns.items()}
    return Tokens(texts=tuple(texts), pieces=pieces, raw=raw, **arrays)


_COLUMNS = ("ids", "pieces", "raw", "special", "shares", "word", "start", "end", "sentence_index")


def _add(
    columns: dict[str, list[Any]], tokenizer: Any, row: Encoded, specials: Sequence[str], given: Sequence[Span] | None
) -> str:
    """Append the tokens of one text to the columns and return the text."""
    raw = [str(token) for token in tokenizer.convert_ids_to_tokens(row.ids)]
    kept = [i for i, special in enumerate(row.special) if not special]
    if row.offsets is not None:
        text, spans = row.text, [row.offsets[i] for i in kept]
    else:
        text, spans = decoded_spans(tokenizer, [row.ids[i] for i in kept])
    pieces, shares, spans = cut(text, spans, [raw[i] for i in kept])
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    words = words_of_tokens(word_spans(text, specials) if given is None else given, starts, ends).tolist()

    rest = iter(zip(pieces, shares, words, starts, ends, strict=True))
    position = 0
    for token, special in zip(raw, row.special, strict=True):
        piece, share, word, start, end = (token, False, -1, position, position) if special else next(rest)
        position = max(position, end)
        for name, value in zip(_COLUMNS[1:-1], (piece, token, bool(special), share, word, start, end), strict=True):
            columns[name].append(value)
    columns["ids"] += row.ids
    return text


def cut(text: str, offsets: Sequence[Span], raw: Sequence[str]) -> tuple[list[str], list[bool], list[Span]]:
    """Cut `text` into one piece per token: pieces, which tokens share the character before, and their spans.

    The pieces join to `text` whatever the offsets are, as long as there is a token.
    """
    pieces: list[str] = []
    shares: list[bool] = []
    spans: list[Span] = []
    cursor = 0
    carrier = -1  # the last token with a piece
    for (start, end), token in zip(offsets, raw, strict=True):
        end = min(max(end, 0), len(text))
        start = min(max(start, 0), end)
        # A space that the tokenizer put before the text takes no character from the token after it.
        if start < end and not text[start:end].isspace() and token and _MARKERS.issuperset(token):
            end = start
        if carrier >= 0:
            marks = cursor
            while marks < min(start, len(text)) and kind_of(text[marks]) == "extend":
                marks += 1
            pieces[carrier] += text[cursor:marks]
            cursor = marks
        shares.append(start < end <= cursor)
        if end > cursor:
            carrier = len(pieces)
            pieces.append(text[cursor:end])
            # RoBERTa trims the span of a token of white space to nothing.
            spans.append((cursor if start == end else start, end))
            cursor = end
        else:
            pieces.append("")
            spans.append((start, max(start, end)))
    if pieces:
        pieces[carrier] += text[cursor:]
    return pieces, shares, spans


def special_strings(tokenizer: Any) -> tuple[str, ...]:
    """The special tokens of a tokenizer as they are written in a text: `[MASK]`, `<|im_start|>`."""
    added = getattr(tokenizer, "added_tokens_decoder", None) or {}
    return tuple(sorted({str(token) for token in added.values() if token.special} | set(tokenizer.all_special_tokens)))
