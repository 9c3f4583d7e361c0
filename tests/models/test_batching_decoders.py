"""Batches for models with a decoder, and for modules that pad in ways of their own."""

from __future__ import annotations

import threading
from typing import Any

import families
import pytest
import torch
import transformers as hf
from families import CAUSAL, FAMILIES, RAGGED_TEXTS, SEQ2SEQ, TARGET_TEXTS
from plain_module import PlainTransformer
from site_values import site_values
from tiny_tokenizers import gpt2_like, llama_like, roberta_like
from torch import nn

from neurowidget.models.batching import Side
from neurowidget.models.loading import NeuronModel, load_model
from neurowidget.models.padding import check_padding
from neurowidget.neuron import LayerSite


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


@pytest.mark.parametrize("family", SEQ2SEQ)
def test_targets_are_shifted_right(family: str) -> None:
    model = families.model(family)
    start = model.module.config.decoder_start_token_id
    batch = model.encode(RAGGED_TEXTS, targets=TARGET_TEXTS)
    assert batch.decoder_input_ids is not None
    assert batch.decoder_attention_mask is not None
    assert batch.target_ids is not None
    assert batch.targets == TARGET_TEXTS
    for row, target in enumerate(TARGET_TEXTS):
        wanted = model.tokenizer(text_target=target)["input_ids"]
        real = batch.decoder_real(row)
        assert batch.decoder_input_ids[row, real].tolist() == [start, *wanted[:-1]]
        assert batch.target_ids[row, real].tolist() == wanted
        assert set(batch.target_ids[row, real.stop :].tolist()) <= {-100}
        assert int(batch.decoder_attention_mask[row].sum()) == len(wanted)
        assert batch.decoder_attention_mask[row, 0] == 1  # the start token is real, though it is the pad id in T5
    nothing = model.encode(RAGGED_TEXTS)
    assert nothing.decoder_input_ids is not None
    assert nothing.decoder_input_ids.tolist() == [[start]] * 4
    with pytest.raises(ValueError, match="4 texts and 1 targets"):
        model.encode(RAGGED_TEXTS, targets=["one"])
    with pytest.raises(ValueError, match="target 1 is empty"):
        model.encode(["a", "b"], targets=["c", ""])


def test_the_loss_of_a_target_is_the_one_the_module_computes() -> None:
    model = families.model("bart")
    batch = model.encode([RAGGED_TEXTS[0]], targets=[TARGET_TEXTS[1]])
    assert batch.target_ids is not None
    logits = model.forward(batch).logits
    loss = nn.functional.cross_entropy(logits[0], batch.target_ids[0])
    inputs = model.tokenizer(RAGGED_TEXTS[0], return_tensors="pt")
    labels = model.tokenizer(text_target=TARGET_TEXTS[1], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = model.module(input_ids=inputs["input_ids"], labels=labels).loss
    torch.testing.assert_close(loss, expected)


def test_a_decoder_that_is_not_found_is_still_fed() -> None:
    """ProphetNet's decoder works on several streams of tokens at once: no block maps (text, token, width) to itself."""
    config = hf.ProphetNetConfig(
        vocab_size=320, hidden_size=32, encoder_ffn_dim=48, decoder_ffn_dim=48, num_encoder_layers=2,
        num_decoder_layers=2, num_encoder_attention_heads=4, num_decoder_attention_heads=4, max_position_embeddings=64,
        pad_token_id=1, decoder_start_token_id=2,
    )  # fmt: skip
    module = families.randomised(hf.ProphetNetForConditionalGeneration(config), 1)
    model = load_model(module, roberta_like())
    assert model.stacks == ("encoder",)
    assert model.forward(model.encode(["one two"], targets=["three"])).logits.shape[2] == 320
    with pytest.raises(ValueError, match="no stack 'decoder': it has 'encoder'"):
        model.locate(LayerSite(0, "mlp", "decoder"))


def test_targets_need_a_decoder() -> None:
    with pytest.raises(ValueError, match="one stack"):
        families.model("gpt2").encode(["a"], targets=["b"])


@pytest.mark.parametrize("make", [hf.BartForSequenceClassification, hf.T5ForSequenceClassification])
def test_a_classifier_with_a_decoder_reads_the_text_there(make: type[hf.PreTrainedModel]) -> None:
    name = "bart" if make is hf.BartForSequenceClassification else "t5"
    source, tokenizer = FAMILIES[name]()
    config = source.config
    config.num_labels = 3
    config.eos_token_id = tokenizer.eos_token_id
    model = load_model(families.randomised(make(config), 9), tokenizer)
    assert model.kind == "classifier"
    assert model.stacks == ("encoder", "decoder")
    inputs = tokenizer(RAGGED_TEXTS[0], return_tensors="pt")
    with torch.no_grad():
        expected = model.module(input_ids=inputs["input_ids"]).logits
    batch = model.encode(RAGGED_TEXTS)
    torch.testing.assert_close(model.forward(batch).logits[:1], expected, atol=1e-5, rtol=1e-5)
    assert_same_numbers(model, RAGGED_TEXTS, None, None)


def causal_classifier(pad: int | None) -> NeuronModel:
    config = hf.GPT2Config(
        vocab_size=320, n_embd=32, n_layer=2, n_head=4, n_positions=64, num_labels=2, pad_token_id=pad, eos_token_id=0
    )
    return load_model(families.randomised(hf.GPT2ForSequenceClassification(config), 2), gpt2_like())


def test_a_classifier_on_a_decoder_is_padded_with_the_id_it_looks_for() -> None:
    model = causal_classifier(5)
    assert model.kind == "classifier"
    assert model.labels == ("LABEL_0", "LABEL_1")
    assert model.pad_id == 5
    assert_same_numbers(model, RAGGED_TEXTS, None, None)
    assert_same_numbers(model, RAGGED_TEXTS, None, "left")


def test_a_classifier_that_cannot_take_two_texts_says_what_to_set() -> None:
    model = causal_classifier(None)
    assert model.forward(model.encode(["good"])).logits.shape == (1, 2)
    with pytest.raises(ValueError, match=r"two texts of different lengths.*config\.pad_token_id"):
        model.encode(["good", "good plot"])


def test_a_module_that_pads_wrongly_on_the_right_is_padded_on_the_left() -> None:
    class ReadsTheLastColumn(hf.LlamaForCausalLM):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output = super().forward(*args, **kwargs)
            return {"logits": output.logits[:, -1, :7]}

        forward.__signature__ = __import__("inspect").signature(hf.LlamaForCausalLM.forward)  # type: ignore[attr-defined]

    config = families.FAMILIES["llama"]()[0].config
    model = load_model(families.randomised(ReadsTheLastColumn(config), 1), llama_like())
    assert model.encode(["one two three", "one"]).padding_side == "left"
    with pytest.raises(ValueError, match="on the right changes"):
        model.encode(["one two three", "one"], padding_side="right")
    with pytest.raises(ValueError, match="expected 'right' or 'left'"):
        model.encode(["one two three", "one"], padding_side="middle")  # type: ignore[arg-type]


def test_a_module_that_no_padding_suits_warns_once() -> None:
    class Mean(PlainTransformer):
        """Averages over all columns, padding too."""

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return super().forward(input_ids, attention_mask)[:, :, :5].mean(1)

    model = load_model(families.randomised(Mean(320), 1), gpt2_like(), sites=families.PLAIN_SITES)
    with pytest.warns(UserWarning, match="padding changes the numbers"):
        model.encode(["one two three", "one"])
    model.encode(["one two three", "one"])  # warnings are errors in this project's tests
    assert len(check_padding(model)) == 1
    assert check_padding(families.model("gpt2")) == []


def test_a_module_without_a_mask_takes_texts_of_one_length() -> None:
    class NoMask(PlainTransformer):
        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            return super().forward(input_ids, torch.ones_like(input_ids))

    model = load_model(families.randomised(NoMask(320), 1), gpt2_like(), sites=families.PLAIN_SITES)
    assert model.forward(model.encode([[1, 2], [3, 4]])).logits.shape == (2, 2, 320)
    with pytest.raises(ValueError, match="takes no attention_mask"):
        model.encode([[1, 2], [3]])


def test_the_check_of_padding_runs_clean_while_a_user_edits() -> None:
    """It must not be edited, nor count as a firing of the user's edits."""
    from neurowidget.models import hooks

    model = families.build("llama")
    seen = []
    site = LayerSite(1, "mlp")
    editing = hooks.editing(model, {site: lambda value, context: value * 0})
    with editing, hooks.recording(model, [site], lambda site, value: seen.append(value.shape)):
        batch = model.encode(["one two three", "one"])
        assert seen == []
        model.forward(batch)
    assert len(seen) == 1
    assert model.padding_errors["right"] < 1e-5


@pytest.mark.parametrize("family", CAUSAL)
def test_padding_does_not_reach_real_tokens(family: str) -> None:
    """Whatever fills the padding, the numbers of real tokens stay: the mask decides."""
    model = families.model(family)
    batch = model.encode(RAGGED_TEXTS)
    before = model.forward(batch).logits
    batch.input_ids[batch.attention_mask == 0] = 77
    after = model.forward(batch).logits
    for row in range(len(batch)):
        torch.testing.assert_close(after[row, batch.real(row)], before[row, batch.real(row)], atol=1e-5, rtol=1e-5)


def test_encoding_is_safe_in_threads() -> None:
    """A fast tokenizer shared by threads without a lock can raise 'Already borrowed'."""
    model = families.model("bert")
    wrong: list[object] = []

    def work() -> None:
        try:
            for _ in range(30):
                assert model.encode(RAGGED_TEXTS).lengths == expected
        except BaseException as error:
            wrong.append(error)

    expected = model.encode(RAGGED_TEXTS).lengths
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
