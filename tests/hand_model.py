"""A model of two layers whose answers can be worked out by hand: integers, no attention, two classes.

A word is a vector (2,). Layer 0 has the neurons relu(x0), relu(x1), relu(x0 + x1), layer 1 relu(x0), relu(-x1), relu(x0).
The logits are the sum of the last residual over the tokens that are not padding. For "one two":

    one = (1, 0)    L0.mlp = (1, 0, 1)    L0.residual = (3, 2)    L1.mlp = (3, 0, 3)    L1.residual = (10, 5)
    two = (0, 2)    L0.mlp = (0, 2, 2)    L0.residual = (2, 7)    L1.mlp = (2, 0, 2)    L1.residual = (7, 9)

so the logits are (17, 14).
"""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedTokenizerFast

from neurowidget.models.loading import NeuronModel, load_model

WORDS = {"[PAD]": (9, 9), "[UNK]": (0, 0), "one": (1, 0), "two": (0, 2), "three": (3, -1)}
UP = (((1, 0), (0, 1), (1, 1)), ((1, 0), (0, -1), (1, 0)))  # (neuron, residual)
DOWN = (((1, 0, 1), (0, 1, 1)), ((0, 1, 2), (1, 0, 0)))  # (residual, neuron)
BIAS = ((0, 1), (1, 0))
SITES = {"residual": "blocks.{layer}", "mlp": "blocks.{layer}.down"}


class HandBlock(nn.Module):
    def __init__(self, layer: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(2, 3, bias=False), nn.Linear(3, 2)
        self.up.weight = nn.Parameter(torch.tensor(UP[layer]).float())
        self.down.weight = nn.Parameter(torch.tensor(DOWN[layer]).float())
        self.down.bias = nn.Parameter(torch.tensor(BIAS[layer]).float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(x)))


class HandModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding.from_pretrained(torch.tensor(list(WORDS.values())).float())
        self.blocks = nn.ModuleList([HandBlock(0), HandBlock(1)])

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        x = self.words(input_ids)
        for block in self.blocks:
            x = block(x)
        return (x * attention_mask[..., None]).sum(dim=1)


def hand_tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


def hand_model() -> NeuronModel:
    """A fresh model; `model.forward(model.encode(["one two"]))["logits"]` is (17, 14)."""
    return load_model(HandModel().eval(), hand_tokenizer(), sites=SITES)
