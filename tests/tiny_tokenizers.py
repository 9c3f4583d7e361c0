"""Tokenizers built here, without a network: WordPiece, byte-level BPE and Unigram, each with its own specials."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SENTENCES = (
    "The acting was great but the plot was not good at all.",
    "A dull, lifeless mess; nobody laughed and nothing happened.",
    "She walked to the old house near the river in the morning.",
    "The keys to the cabinet are on the table, and the doors were open.",
    "When Mary and John went to the store, John gave a drink to Mary.",
    "one two three four five six seven eight nine ten",
    "In 1998 the company sold 25 new engines to three countries.",
    "I loved this film! It is warm, funny and wonderfully played.",
    "naïve café résumé Ünïcode — “quotes” … 你好 世界 שלום مرحبا",
)
# The trainers break ties by a hash that differs from process to process: what they learnt once is kept, so that every
# run sees the same ids. NEUROWIDGET_WRITE_TOKENIZERS=1 trains anew.
KEPT = Path(__file__).parent / "tokenizers"
VOCABULARY = 320  # the largest size; every tiny model has exactly this many rows


def _kept(kind: str, special: tuple[str, ...], train: Callable[[], Tokenizer]) -> str:
    path = KEPT / f"{kind}-{zlib.crc32(repr(special).encode()):08x}.json"
    if os.environ.get("NEUROWIDGET_WRITE_TOKENIZERS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(train().to_str() + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8")


def _fast(tokenizer: Tokenizer, **special: Any) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **special)


def _template(tokenizer: Tokenizer, form: str) -> None:
    names = [name for name in form.split() if name != "$A"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=form, special_tokens=[(name, tokenizer.token_to_id(name)) for name in names]
    )


@cache
def _wordpiece_json(special: tuple[str, ...]) -> str:
    def train() -> Tokenizer:
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        tokenizer.train_from_iterator(
            SENTENCES, trainers.WordPieceTrainer(vocab_size=300, special_tokens=list(special), show_progress=False)
        )
        return tokenizer

    return _kept("wordpiece", special, train)


@cache
def _bytes_json(special: tuple[str, ...]) -> str:
    def train() -> Tokenizer:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=310,
            special_tokens=list(special),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(SENTENCES, trainer)
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        return tokenizer

    return _kept("bytes", special, train)


@cache
def _unigram_json(special: tuple[str, ...], unknown: str) -> str:
    def train() -> Tokenizer:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=300, special_tokens=list(special), unk_token=unknown, show_progress=False
        )
        tokenizer.train_from_iterator(SENTENCES, trainer)
        return tokenizer

    return _kept("unigram", special, train)


def bert_like() -> PreTrainedTokenizerFast:
    """WordPiece, [CLS] text [SEP], pad id 0."""
    tokenizer = Tokenizer.from_str(_wordpiece_json(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")))
    _template(tokenizer, "[CLS] $A [SEP]")
    return _fast(
        tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]"
    )


def roberta_like() -> PreTrainedTokenizerFast:
    """Byte-level BPE, <s> text </s>, pad id 1."""
    tokenizer = Tokenizer.from_str(_bytes_json(("<s>", "<pad>", "</s>", "<unk>", "<mask>")))
    _template(tokenizer, "<s> $A </s>")
    special = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    return _fast(tokenizer, pad_token="<pad>", unk_token="<unk>", mask_token="<mask>", **special)


def gpt2_like(**more: Any) -> PreTrainedTokenizerFast:
    """Byte-level BPE, nothing added to the text, no pad token unless given."""
    tokenizer = Tokenizer.from_str(_bytes_json(("<|endoftext|>",)))
    end = "<|endoftext|>"
    return _fast(tokenizer, bos_token=end, eos_token=end, unk_token=end, **more)


def opt_like() -> PreTrainedTokenizerFast:
    """Byte-level BPE, </s> before the text, pad id 1."""
    tokenizer = Tokenizer.from_str(_bytes_json(("<s>", "<pad>", "</s>", "<unk>")))
    _template(tokenizer, "</s> $A")
    return _fast(tokenizer, bos_token="</s>", eos_token="</s>", pad_token="<pad>", unk_token="</s>")


def bloom_like() -> PreTrainedTokenizerFast:
    """Byte-level BPE, nothing added, pad id 3, set to pad on the left by its user."""
    tokenizer = Tokenizer.from_str(_bytes_json(("<unk>", "<s>", "</s>", "<pad>")))
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return _fast(tokenizer, padding_side="left", **special)


def llama_like(**more: Any) -> PreTrainedTokenizerFast:
    """Unigram with ▁ for spaces, <s> before the text, no pad token unless given."""
    tokenizer = Tokenizer.from_str(_unigram_json(("<unk>", "<s>", "</s>"), "<unk>"))
    _template(tokenizer, "<s> $A")
    return _fast(tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", **more)


def gemma_like() -> PreTrainedTokenizerFast:
    """Unigram, <bos> before the text, pad id 0, padding on the left."""
    tokenizer = Tokenizer.from_str(_unigram_json(("<pad>", "<eos>", "<bos>", "<unk>"), "<unk>"))
    _template(tokenizer, "<bos> $A")
    special = {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return _fast(tokenizer, padding_side="left", **special)


def t5_like() -> PreTrainedTokenizerFast:
    """Unigram, </s> after the text, pad id 0."""
    tokenizer = Tokenizer.from_str(_unigram_json(("<pad>", "</s>", "<unk>"), "<unk>"))
    _template(tokenizer, "$A </s>")
    return _fast(tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def marian_like() -> PreTrainedTokenizerFast:
    """Unigram, </s> after the text, the pad token is the last of the vocabulary."""
    tokenizer = Tokenizer.from_str(_unigram_json(("</s>", "<unk>"), "<unk>"))
    tokenizer.add_special_tokens(["<pad>"])
    _template(tokenizer, "$A </s>")
    return _fast(tokenizer, eos_token="</s>", unk_token="<unk>", pad_token="<pad>")


def deberta_like() -> PreTrainedTokenizerFast:
    """Unigram, [CLS] text [SEP], pad id 0."""
    special = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")
    tokenizer = Tokenizer.from_str(_unigram_json(special, "[UNK]"))
    _template(tokenizer, "[CLS] $A [SEP]")
    return _fast(
        tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]", mask_token="[MASK]"
    )
