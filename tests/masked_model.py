"""A tiny masked language model with BERT's head: a linear layer, a GELU and a norm before the vocabulary."""

from __future__ import annotations

from functools import cache

import families
import tiny_tokenizers
import torch
import transformers

from neurowidget.models.loading import NeuronModel, load_model


@cache
def masked_model() -> NeuronModel:
    """Two layers x 32, seeded; leave it as it is."""
    config = transformers.BertConfig(
        vocab_size=families.ROWS, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = transformers.BertForMaskedLM(config)
    return load_model(families.randomised(module, 1), tiny_tokenizers.bert_like())
