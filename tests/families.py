"""Tiny random models of twenty families, a renamed subclass and a plain module, each with its tokenizer.

2-3 layers x 32, seeded, every bias and norm weight away from its usual 0 or 1, so that a site that forgets a bias or
a norm is noticed. `model(name)` is the cached NeuronModel; `FAMILIES[name]()` builds a fresh module and tokenizer.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import tiny_tokenizers as tokens
import torch
import transformers as hf
from plain_module import PlainTransformer
from torch import nn

from neurowidget.models.loading import NeuronModel, load_model

ROWS = tokens.VOCABULARY
LABELS: dict[str, Any] = {"num_labels": 3, "id2label": {0: "NEG", 1: "NEU", 2: "POS"}, "label2id": {}}

# Different lengths, scripts, an emoji that byte-level tokenizers split, double spaces.
RAGGED_TEXTS = (
    "The plot was not good.",
    "I loved this film! It is warm, funny and wonderfully played.",
    "good",
    "naïve café — 你好 🙂 and  two spaces",
)
TARGET_TEXTS = ("The old house.", "one two three four five", "film", "Mary gave a drink to John")


def randomised(module: nn.Module, seed: int) -> nn.Module:
    """All parameters drawn anew: matrices with sd 0.15, biases with sd 0.3, norm weights around 1 (Gemma's around 0)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            gemma = "Gemma" in type(part).__name__
            for name, value in part.named_parameters(recurse=False):
                if not value.requires_grad:
                    continue  # tables that are computed, such as sinusoidal positions
                noise = torch.randn(value.shape, generator=generator)
                if value.ndim >= 2:
                    value.copy_(0.15 * noise)
                elif name == "bias":
                    value.copy_(0.3 * noise)
                else:
                    value.copy_((0.0 if gemma else 1.0) + 0.2 * noise)
    return module.eval()


def _build(make: Callable[[], nn.Module], tokenizer: Any, name: str) -> tuple[nn.Module, Any]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = make()
    return randomised(module, zlib.crc32(name.encode())), tokenizer


def _sizes(**more: Any) -> dict[str, Any]:
    base = {"vocab_size": ROWS, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    return {**base, "intermediate_size": 48, "max_position_embeddings": 64, **more}


def _encoder(config: Any, tokenizer: Any, name: str) -> tuple[nn.Module, Any]:
    return _build(lambda: hf.AutoModelForSequenceClassification.from_config(config), tokenizer, name)


def _causal(config: Any, tokenizer: Any, name: str) -> tuple[nn.Module, Any]:
    return _build(lambda: hf.AutoModelForCausalLM.from_config(config), tokenizer, name)


def _seq2seq(config: Any, tokenizer: Any, name: str) -> tuple[nn.Module, Any]:
    return _build(lambda: hf.AutoModelForSeq2SeqLM.from_config(config), tokenizer, name)


def bert() -> tuple[nn.Module, Any]:
    return _encoder(hf.BertConfig(**_sizes(**LABELS, pad_token_id=0)), tokens.bert_like(), "bert")


def roberta() -> tuple[nn.Module, Any]:
    config = hf.RobertaConfig(**_sizes(**LABELS, max_position_embeddings=66), pad_token_id=1, bos_token_id=0)
    return _encoder(config, tokens.roberta_like(), "roberta")


def distilbert() -> tuple[nn.Module, Any]:
    sizes = {"vocab_size": ROWS, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48}
    config = hf.DistilBertConfig(**sizes, max_position_embeddings=64, **LABELS)
    return _encoder(config, tokens.bert_like(), "distilbert")


def albert() -> tuple[nn.Module, Any]:
    config = hf.AlbertConfig(**_sizes(**LABELS, embedding_size=16), pad_token_id=0)
    return _encoder(config, tokens.bert_like(), "albert")


def electra() -> tuple[nn.Module, Any]:
    return _encoder(hf.ElectraConfig(**_sizes(**LABELS, embedding_size=16)), tokens.bert_like(), "electra")


def deberta_v2() -> tuple[nn.Module, Any]:
    more = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}
    config = hf.DebertaV2Config(**_sizes(**LABELS), **more, position_buckets=16, norm_rel_ebd="layer_norm")
    return _encoder(config, tokens.deberta_like(), "deberta_v2")


def gpt2() -> tuple[nn.Module, Any]:
    sizes = {"vocab_size": ROWS, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_inner": 48, "n_positions": 64}
    config = hf.GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)
    return _causal(config, tokens.gpt2_like(), "gpt2")  # pad None


def gpt_neo() -> tuple[nn.Module, Any]:
    layers = {"num_layers": 2, "attention_types": [[["global", "local"], 1]], "window_size": 8}
    sizes = {"vocab_size": ROWS, "hidden_size": 32, "num_heads": 4, "intermediate_size": 48}
    config = hf.GPTNeoConfig(**sizes, **layers, max_position_embeddings=64, bos_token_id=0, eos_token_id=0)
    return _causal(config, tokens.gpt2_like(), "gpt_neo")


def gpt_neox() -> tuple[nn.Module, Any]:
    config = hf.GPTNeoXConfig(**_sizes(bos_token_id=0, eos_token_id=0))
    return _causal(config, tokens.gpt2_like(pad_token="<|endoftext|>"), "gpt_neox")  # pad == eos


def opt() -> tuple[nn.Module, Any]:
    config = hf.OPTConfig(**_sizes(ffn_dim=48, word_embed_proj_dim=32, pad_token_id=1))
    return _causal(config, tokens.opt_like(), "opt")


def bloom() -> tuple[nn.Module, Any]:
    config = hf.BloomConfig(vocab_size=ROWS, hidden_size=32, n_layer=3, n_head=4, pad_token_id=3)
    return _causal(config, tokens.bloom_like(), "bloom")


def llama() -> tuple[nn.Module, Any]:
    config = hf.LlamaConfig(**_sizes(num_key_value_heads=2), attention_bias=True, mlp_bias=True)
    return _causal(config, tokens.llama_like(padding_side="left", pad_token="<unk>"), "llama")  # left, pad id 0


def mistral() -> tuple[nn.Module, Any]:
    config = hf.MistralConfig(**_sizes(num_key_value_heads=2, sliding_window=8))
    return _causal(config, tokens.llama_like(pad_token="</s>"), "mistral")


def qwen2() -> tuple[nn.Module, Any]:
    return _causal(hf.Qwen2Config(**_sizes(num_key_value_heads=2)), tokens.gpt2_like(), "qwen2")


def qwen3() -> tuple[nn.Module, Any]:
    config = hf.Qwen3Config(**_sizes(num_key_value_heads=2, head_dim=12), attention_bias=True)
    return _causal(config, tokens.gpt2_like(), "qwen3")  # heads together are wider than the residual


def gemma2() -> tuple[nn.Module, Any]:
    more = {"num_key_value_heads": 2, "head_dim": 12, "sliding_window": 8, "attention_bias": True}
    return _causal(hf.Gemma2Config(**_sizes(**more, pad_token_id=0)), tokens.gemma_like(), "gemma2")


def phi() -> tuple[nn.Module, Any]:
    return _causal(hf.PhiConfig(**_sizes()), tokens.gpt2_like(), "phi")


def t5() -> tuple[nn.Module, Any]:
    sizes = {"vocab_size": ROWS, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 3, "num_heads": 4}
    config = hf.T5Config(**sizes, num_decoder_layers=2, decoder_start_token_id=0, feed_forward_proj="gated-gelu")
    return _seq2seq(config, tokens.t5_like(), "t5")


def _bart_sizes() -> dict[str, Any]:
    layers = {"encoder_layers": 3, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    widths = {"vocab_size": ROWS, "d_model": 32, "encoder_ffn_dim": 48, "decoder_ffn_dim": 40}
    return {**layers, **widths, "max_position_embeddings": 64}


def bart() -> tuple[nn.Module, Any]:
    config = hf.BartConfig(**_bart_sizes(), pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2)
    return _seq2seq(config, tokens.roberta_like(), "bart")


def marian() -> tuple[nn.Module, Any]:
    tokenizer = tokens.marian_like()
    pad = tokenizer.pad_token_id
    special = {"pad_token_id": pad, "decoder_start_token_id": pad, "eos_token_id": 0, "forced_eos_token_id": 0}
    return _seq2seq(hf.MarianConfig(**_bart_sizes(), **special), tokenizer, "marian")


class Unheard(hf.LlamaForCausalLM):
    """A class whose name and config type no list can know."""


def renamed_subclass() -> tuple[nn.Module, Any]:
    config = hf.LlamaConfig(**_sizes(num_key_value_heads=2), attention_bias=True, mlp_bias=True)
    config.model_type = "unheard"
    return _build(lambda: Unheard(config), tokens.llama_like(), "renamed_subclass")


PLAIN_SITES = {
    "residual": "blocks.{layer}",
    "mlp": "blocks.{layer}.down",
    "attention": "blocks.{layer}.mix.out",
    "embed": "blocks.0",
}


def plain_module() -> tuple[nn.Module, Any]:
    return _build(lambda: PlainTransformer(ROWS), tokens.gpt2_like(), "plain_module")


ENCODERS = ("bert", "roberta", "distilbert", "albert", "electra", "deberta_v2")
CAUSAL = (
    *("gpt2", "gpt_neo", "gpt_neox", "opt", "bloom", "llama", "mistral", "qwen2", "qwen3", "gemma2", "phi"),
    *("renamed_subclass", "plain_module"),
)
SEQ2SEQ = ("t5", "bart", "marian")
EIGHT = ("bert", "distilbert", "roberta", "gpt2", "gpt_neox", "llama", "t5", "bart")
FAMILIES: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
    name: globals()[name] for name in (*ENCODERS, *CAUSAL, *SEQ2SEQ)
}


def build(name: str) -> NeuronModel:
    """A fresh NeuronModel, for a test that changes it."""
    module, tokenizer = FAMILIES[name]()
    return load_model(module, tokenizer, sites=PLAIN_SITES if name == "plain_module" else None)


@cache
def model(name: str) -> NeuronModel:
    """The NeuronModel of a family, built once; leave it as it is."""
    return build(name)
