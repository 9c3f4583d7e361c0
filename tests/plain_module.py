"""A causal transformer that shares nothing with Transformers: no config, names of its own, a tensor as its answer."""

from __future__ import annotations

import torch
from torch import nn


class Mix(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        split = (*x.shape[:2], self.heads, -1)
        q, k, v = (part.view(split).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return self.out(mixed.transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    def __init__(self, width: int, inner: int, heads: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix = Mix(width, heads)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        x = x + self.mix(self.first(x), allowed)
        return x + self.down(torch.relu(self.up(self.second(x))).square())


class PlainTransformer(nn.Module):
    """ReLU-squared MLPs and a table of positions."""

    def __init__(self, rows: int, width: int = 32, inner: int = 48, layers: int = 3, positions: int = 64) -> None:
        super().__init__()
        self.words = nn.Embedding(rows, width)
        self.places = nn.Embedding(positions, width)
        self.blocks = nn.ModuleList([Block(width, inner, 4) for _ in range(layers)])
        self.last = nn.LayerNorm(width)
        self.answer = nn.Linear(width, rows)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        count = input_ids.shape[1]
        causal = torch.ones(count, count, dtype=torch.bool, device=input_ids.device).tril()
        allowed = causal & attention_mask[:, None, None, :].bool() | torch.eye(count, dtype=torch.bool)
        x = self.words(input_ids) + self.places(torch.arange(count, device=input_ids.device))
        for block in self.blocks:
            x = block(x, allowed)
        return self.answer(self.last(x))
