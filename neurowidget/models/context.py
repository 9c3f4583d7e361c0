"""What an edit may know about the forward it is in: which tokens are padding, and how many lie in the KV cache."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Context:
    """The tokens of one forward. `attention_mask` is (batch, total tokens), those in the KV cache included.

    `input_ids` (batch, token) are those of this forward, None when the model was given embeddings. `lengths` (batch,)
    is what negative positions count back from: the tokens of each text, or of its prompt while text is generated.
    """

    attention_mask: Tensor
    offset: int = 0
    input_ids: Tensor | None = None
    lengths: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))

    def __post_init__(self) -> None:
        if not len(self.lengths):
            self.lengths = self.attention_mask.long().sum(dim=1)

    @property
    def shape(self) -> tuple[int, int]:
        """(batch, token) of this forward."""
        return self.attention_mask.shape[0], self.attention_mask.shape[1] - self.offset

    def positions(self) -> Tensor:
        """Each token's position in its own unpadded text, int64 (batch, token), -1 on padding."""
        return self._positions

    @cached_property
    def _positions(self) -> Tensor:
        real = self.attention_mask.long()
        return torch.where(real > 0, real.cumsum(dim=1) - 1, -1)[:, self.offset :]

    def selected(self, positions: Sequence[int] | None) -> Tensor:
        """Which tokens of this forward lie at `positions` (None: all that are not padding), bool (batch, token)."""
        own = self.positions()
        if positions is None:
            return own >= 0
        chosen = torch.zeros_like(own, dtype=torch.bool)
        for position in positions:
            wanted = self.lengths[:, None] + position if position < 0 else position
            chosen |= own == wanted
        return chosen & (own >= 0)


def context_without_mask(value: Tensor) -> Context:
    """For a part of the model that is called by itself: all tokens are real."""
    shape = value.shape[:2] if value.dim() == 3 else (1, value.shape[0])
    return Context(torch.ones(shape, dtype=torch.long, device=value.device))


def is_entry(module: nn.Module) -> bool:
    """Whether a module takes tokens and a mask: the whole model, or one stack of it."""
    names = _parameters(module)
    return "attention_mask" in names and ("input_ids" in names or "inputs_embeds" in names)


def read_context(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], lengths: Tensor | None = None
) -> Context | None:
    """The context of a call of an entry, or None when its arguments do not tell. `lengths` are those of the prompt."""
    given = dict(zip(_parameters(module), args, strict=False)) | dict(kwargs)
    ids, embeds = given.get("input_ids"), given.get("inputs_embeds")
    tokens = ids if isinstance(ids, Tensor) else embeds
    if not isinstance(tokens, Tensor) or tokens.dim() < 2:
        return None
    batch, count = tokens.shape[:2]
    offset = _cached_tokens(given)
    mask = _two_axes(given.get("attention_mask"), batch, offset, count, tokens.device)
    context = Context(mask, offset, ids if isinstance(ids, Tensor) else None)
    if lengths is not None and batch % len(lengths) == 0:
        context.lengths = lengths.to(mask.device).repeat_interleave(batch // len(lengths))
    return context


def _parameters(module: nn.Module) -> tuple[str, ...]:
    return tuple(inspect.signature(module.forward).parameters)


def _cached_tokens(given: Mapping[str, Any]) -> int:
    cache = given.get("past_key_values")
    if cache is not None and hasattr(cache, "get_seq_length"):
        return int(cache.get_seq_length())
    if isinstance(cache, tuple | list) and cache and isinstance(cache[0], tuple | list):
        return int(cache[0][0].shape[-2])
    return 0


def _two_axes(mask: Any, batch: int, offset: int, count: int, device: torch.device) -> Tensor:
    """The mask as int64 (batch, offset + count), whatever form the model takes it in."""
    total = offset + count
    if isinstance(mask, Mapping):
        mask = next((m for key, m in mask.items() if "full" in key), next(iter(mask.values()), None))
    if isinstance(mask, Tensor) and mask.dim() == 4:
        # additive (0 where a token may be read) or boolean: the last token of a row reads all tokens that are real
        last = mask[:, 0, -1, :]
        mask = last if last.dtype == torch.bool else last == 0
    if isinstance(mask, Tensor) and mask.dim() == 2 and mask.shape[0] == batch:
        mask = (mask != 0).long()
        if mask.shape[1] >= total:
            return mask[:, :total]
        if mask.shape[1] == count:
            return torch.cat([mask.new_ones(batch, offset), mask], dim=1)
    return torch.ones(batch, total, dtype=torch.long, device=device)
