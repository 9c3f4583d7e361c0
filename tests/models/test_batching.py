"""A batch gives the numbers of each text alone, whatever the tokenizer's pad token and side are."""

from __future__ import annotations

from typing import Any

import families
import pytest
import torch
from families import EIGHT, ENCODERS, FAMILIES, RAGGED_TEXTS, SEQ2SEQ, TARGET_TEXTS
from site_values import site_values
from tiny_tokenizers import gpt2_like, roberta_like

from neurowidget.models.batching import Side, assemble, encode_one, special_ids
from neurowidget.models.loading import NeuronModel, load_model

# Encoders with a classifier read the first column, BART and Marian count positions from it, the plain module too.
LEFT_IS_WRONG = (*ENCODERS, "bart", "marian", "plain_module")
SIDES: list[tuple[str, Side | None]] = [(family, side) for family in FAMILIES for side in (None, "right")]
SIDES += [(family, "left") for family in FAMILIES if family not in LEFT_IS_WRONG]


def assert_same_numbers(model: NeuronModel, texts: Any, targets: Any, side: Side | None) -> None:
    batch = model.encode(texts, targets=targets, padding_side=side)
    together, answer = site_values(model, batch)
    for row, text in enumerate(texts):
        single = model.encode([text], targets=None if targets is None else [targets[row]])
        assert single.ids(0) == batch.ids(row)
        alone, expected = site_values(model, single)
        for site, value in alone.items():
            real = batch.decoder_real(row) if site.stack == "decoder" else batch.real(row)
            tolerance = 1e-5 * max(1.0, float(value.abs().max()))
            assert (together[site][row, real] - value[0]).abs().max() <= tolerance, site
        logits = answer.logits[row]
        if model.kind != "classifier":
            logits = logits[batch.decoder_real(row) if model.stacks else batch.real(row)]
        assert (logits - expected.logits[0]).abs().max() <= 1e-5 * max(1.0, float(expected.logits.abs().max()))


@pytest.mark.parametrize(("family", "side"), SIDES)
def test_a_text_has_the_same_numbers_alone_and_in_a_ragged_batch(family: str, side: Side | None) -> None:
    assert_same_numbers(families.model(family), RAGGED_TEXTS, TARGET_TEXTS if family in SEQ2SEQ else None, side)


@pytest.mark.parametrize("family", LEFT_IS_WRONG)
def test_left_padding_is_refused_where_it_is_wrong(family: str) -> None:
    with pytest.raises(ValueError, match=r"padding .* on the left changes its numbers"):
        families.model(family).encode(RAGGED_TEXTS, padding_side="left")


@pytest.mark.parametrize("family", ENCODERS)
def test_encoders_without_a_head_take_both_sides(family: str) -> None:
    module, tokenizer = FAMILIES[family]()
    body = getattr(module, module.base_model_prefix)
    model = load_model(body, tokenizer)
    assert model.kind == "encoder"
    batch = model.encode(RAGGED_TEXTS, padding_side="left")
    states = model.forward(batch).last_hidden_state
    for row, text in enumerate(RAGGED_TEXTS):
        expected = model.forward(model.encode([text])).last_hidden_state[0]
        assert (states[row, batch.real(row)] - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("family", EIGHT)
def test_one_text_is_what_the_user_would_run(family: str) -> None:
    """The tokenizer's own ids and nothing else, and the answer of `module(**tokenizer(text))`."""
    model = families.model(family)
    text = RAGGED_TEXTS[1]
    inputs = model.tokenizer(text, return_tensors="pt")
    batch = model.encode([text], targets=[TARGET_TEXTS[0]] if model.stacks else None)
    assert batch.ids(0) == inputs["input_ids"][0].tolist()
    plain = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    if model.stacks:
        plain["labels"] = model.tokenizer(text_target=TARGET_TEXTS[0], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = model.module(**plain).logits
    torch.testing.assert_close(model.forward(batch).logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("family", "pad", "own"),
    [
        ("bert", 0, 0),  # pad id 0
        ("gpt2", 0, None),  # pad None: eos, which is 0
        ("gpt_neox", 0, 0),  # pad == eos
        ("llama", 0, 0),  # pad == unk == 0, padding_side="left"
        ("mistral", 2, 2),  # pad == eos == 2
        ("renamed_subclass", 2, None),
        ("roberta", 1, 1),
        ("t5", 0, 0),  # pad == decoder start
        ("bart", 1, 1),
    ],
)
def test_pad_ids(family: str, pad: int, own: int | None) -> None:
    model = families.model(family)
    assert model.tokenizer.pad_token_id == own
    batch = model.encode(RAGGED_TEXTS)
    assert batch.padding_side == "right"
    filled = batch.input_ids[batch.attention_mask == 0]
    assert filled.numel() > 0
    assert set(filled.tolist()) == {pad}
    assert [int(n) for n in batch.attention_mask.sum(1)] == list(batch.lengths)


def test_ids_equal_to_the_pad_id_are_real_where_the_mask_says_so() -> None:
    """A text with the pad token in it, alone and padded with more of it."""
    for family in ("bert", "gpt_neox", "mistral", "llama", "t5", "bart", "roberta"):
        model = families.model(family)
        pad = model.pad_id
        texts = [[5, pad, 7, 2], [5, 6, 7, 8, 9, pad, pad, 11, 2]]
        batch = model.encode(texts)
        assert batch.lengths == (4, 9)
        assert batch.ids(0) == texts[0]
        assert_same_numbers(model, texts, [[5, pad], [pad]] if model.stacks else None, None)


def test_roberta_numbers_its_own_positions() -> None:
    model = families.model("roberta")
    batch = model.encode(RAGGED_TEXTS)
    assert batch.position_ids is None
    assert "position_ids" not in batch.kwargs()
    assert model.max_length == 64  # 66 rows of positions, two of them for the padding offset


def test_roberta_is_padded_with_the_id_its_positions_begin_at() -> None:
    """Another pad token in the tokenizer would give every padding token a position and shift nothing back."""
    module, _ = FAMILIES["roberta"]()
    tokenizer = roberta_like()
    tokenizer.pad_token = "<mask>"
    model = load_model(module, tokenizer)
    assert model.pad_id == 1
    body = load_model(module.roberta, tokenizer)
    batch = body.encode(["one two three", "one"], padding_side="left")
    expected = body.forward(body.encode(["one"])).last_hidden_state[0]
    torch.testing.assert_close(body.forward(batch).last_hidden_state[1, batch.real(1)], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["bart", "marian", "t5", "bloom", "plain_module"])
def test_no_position_ids_where_the_module_takes_none(family: str) -> None:
    assert families.model(family).encode(RAGGED_TEXTS).position_ids is None


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama", "opt", "bert"])
def test_position_ids_count_real_tokens(family: str) -> None:
    model = families.model(family)
    rows = [encode_one(model, text, 0, "text") for text in RAGGED_TEXTS]
    for side in ("left", "right"):
        batch = assemble(model, rows, None, side)
        assert batch.position_ids is not None
        for row, length in enumerate(batch.lengths):
            assert batch.position_ids[row, batch.real(row)].tolist() == list(range(length))


def test_token_types_go_only_to_modules_that_have_a_vocabulary_of_them() -> None:
    """GPT-2 takes the argument and would add the word vector of id 0 to every token."""
    for family, wanted in (("bert", True), ("gpt2", False), ("distilbert", False)):
        module, tokenizer = FAMILIES[family]()
        tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
        model = load_model(module, tokenizer)
        assert (model.encode(["one two", "three"]).token_type_ids is not None) == wanted
        assert_same_numbers(model, RAGGED_TEXTS, None, None)


def test_the_users_tokenizer_stays_as_it_is() -> None:
    module, tokenizer = FAMILIES["llama"]()
    tokenizer.backend_tokenizer.enable_truncation(max_length=3)
    tokenizer.backend_tokenizer.enable_padding(length=9, pad_id=1, pad_token="<s>")
    before = tokenizer.backend_tokenizer.to_str(), tokenizer.padding_side, tokenizer.pad_token, len(tokenizer)
    model = load_model(module, tokenizer)
    batch = model.encode(["one two three four five", "six"])
    assert min(batch.lengths) > 3
    assert batch.padding_side == "right"
    assert (tokenizer.backend_tokenizer.to_str(), tokenizer.padding_side, tokenizer.pad_token, len(tokenizer)) == before
    assert model.tokenizer_hash == load_model(*FAMILIES["llama"]()).tokenizer_hash
    no_pad = families.model("gpt2")
    no_pad.encode(RAGGED_TEXTS)
    assert no_pad.tokenizer.pad_token is None


def test_special_tokens_are_those_that_were_added_or_stand_for_structure() -> None:
    bert = families.model("bert")
    cls, sep, unk, mask = (getattr(bert.tokenizer, f"{role}_token_id") for role in ("cls", "sep", "unk", "mask"))
    batch = bert.encode(["good 你", "good plot house"])
    assert batch.special_mask[0, batch.real(0)].tolist() == [True, *[False] * (batch.lengths[0] - 2), True]
    assert not batch.special_mask[batch.attention_mask == 0].any()
    ready = bert.encode([[cls, unk, 20, mask, sep]])
    assert ready.special_mask.tolist() == [[True, False, False, False, True]]
    assert not families.model("gpt2").encode(["good plot"]).special_mask.any()
    assert 0 in special_ids(gpt2_like())  # eos, though it is the unknown token too


def test_ready_ids_are_used_exactly_as_given() -> None:
    model = families.model("llama")
    batch = model.encode([[7, 8, 9], torch.tensor([3, 4])])  # no <s> is put before them
    assert batch.ids(0) == [7, 8, 9]
    assert batch.ids(1) == [3, 4]
    assert batch.offsets == (None, None)
    assert batch.texts == ("", "")


def test_offsets_are_the_characters_of_each_token() -> None:
    model = families.model("bert")
    text = "The plot was good"
    (offsets,) = model.encode([text]).offsets
    assert offsets is not None
    pieces = [text[start:end] for start, end in offsets]
    assert pieces[0] == pieces[-1] == ""
    assert "".join(pieces) == text.replace(" ", "")


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ([], ValueError, "no texts"),
        ("", ValueError, "text 0 is empty"),
        (["good", ""], ValueError, "text 1 is empty"),
        (["good", []], ValueError, "text 1 has no tokens"),
        ([3, 4], TypeError, "text 0: expected a string or a list of ids, got int"),
        ([[1.5]], TypeError, "list of ids"),
        ([b"good"], TypeError, "got bytes"),
        ([None], TypeError, "got NoneType"),
        ([[5, 320]], ValueError, r"text 0 has the ids \[320\], outside 0 to 319"),
        ([[-1]], ValueError, r"\[-1\]"),
        (["good", "one two " * 40], ValueError, r"text 1 has \d+ tokens, more than the 64 that"),
        ([[5] * 65], ValueError, "text 0 has 65 tokens"),
    ],
)
def test_texts_that_cannot_be_encoded(texts: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        families.model("gpt2").encode(texts)


def test_one_string_is_one_text() -> None:
    model = families.model("bert")
    assert model.encode("good plot").ids(0) == model.encode(["good plot"]).ids(0)


def test_the_longest_text_still_runs() -> None:
    for family in EIGHT:
        model = families.model(family)
        assert model.max_length == 64
        ids = [5 + i % 200 for i in range(63)] + [2]
        model.forward(model.encode([ids]))
