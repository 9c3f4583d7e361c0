"""Neurons whose meaning is known because it was put there: words on which they fire, in a model and in an array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedTokenizerFast

from neurowidget.models.loading import NeuronModel, load_model
from neurowidget.results.activations import Activations
from neurowidget.results.from_array import activations_from_array

NOUNS = ("river", "house", "engine", "film", "plot", "doctor", "table", "garden")
VERBS = ("sees", "finds", "loves", "leaves", "builds")
MONTHS = ("May", "June", "July")
FILLERS = ("the", "a", "old", "small", "in", "near", "quickly", "often")
WORDS = (*NOUNS, *VERBS, *MONTHS, *FILLERS)
TAGS = {**dict.fromkeys(NOUNS, "NOUN"), **dict.fromkeys(VERBS, "VERB"), **dict.fromkeys(MONTHS, "NOUN")}


def sentences(count: int, seed: int = 0, length: int = 8) -> list[list[str]]:
    """Random sentences of these words."""
    rng = np.random.default_rng(seed)
    return [rng.choice(WORDS, size=length).tolist() for _ in range(count)]


def planted(
    values_of: Mapping[str, float], count: int = 100, width: int = 12, noise: float = 0.1, seed: int = 0
) -> Activations:
    """Neuron 0 has the value of each word, plus noise; the others are noise. Labels are tags of words."""
    given = sentences(count, seed)
    words = [word for sentence in given for word in sentence]
    rng = np.random.default_rng(seed + 1)
    values = noise * rng.standard_normal((len(words), width))
    values[:, 0] += [values_of.get(word, 0.0) for word in words]
    return activations_from_array(
        values,
        [TAGS.get(word, "OTHER") for word in words],
        np.repeat(np.arange(count), len(given[0])),
        words,
        site="mlp",
    )


class PlantedModel(nn.Module):
    """Layer 0 has the neurons relu(w . x) over word vectors that are one-hot: neuron i fires on `fires[i]`.

    Neuron 0 also reads the word before: `after` is what it needs there for its full value.
    """

    def __init__(self, rows: int, fires: Sequence[Sequence[int]], values: Sequence[float], after: int | None) -> None:
        super().__init__()
        self.words = nn.Embedding.from_pretrained(torch.eye(rows))
        self.up = nn.Linear(2 * rows, len(fires), bias=False)
        self.down = nn.Linear(len(fires), rows)
        weight = torch.zeros(len(fires), 2 * rows)
        for neuron, ids in enumerate(fires):
            weight[neuron, list(ids)] = values[neuron]
        if after is not None:
            weight[0, rows + after] = values[0]
        self.up.weight = nn.Parameter(weight)
        self.blocks = nn.ModuleList([nn.Identity()])

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        x = self.words(input_ids)
        before = nn.functional.pad(x, (0, 0, 1, 0))[:, :-1]
        x = self.blocks[0](x) + self.down(torch.relu(self.up(torch.cat([x, before], dim=-1))))
        return (x * attention_mask[..., None]).sum(dim=1)


def planted_model(fires: Sequence[Sequence[str]], after: str | None = None) -> NeuronModel:
    """A model whose neuron i of layer 0 is 1 + i on the words `fires[i]`, twice that for neuron 0 after the word `after`."""
    vocabulary = {word: number for number, word in enumerate(("[PAD]", "[UNK]", *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    ids = [[vocabulary[word] for word in words] for words in fires]
    module = PlantedModel(len(vocabulary), ids, [1.0 + i for i in range(len(ids))], vocabulary.get(after or ""))
    return load_model(module.eval(), fast, sites={"residual": "blocks.{layer}", "mlp": "down"})
