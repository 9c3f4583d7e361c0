"""Loading: from memory, from disk, by name; and that the module and tokenizer stay exactly as they were."""

from __future__ import annotations

import threading
from typing import Any

import families
import pytest
import torch
import transformers as hf
from families import CAUSAL, ENCODERS, FAMILIES, RAGGED_TEXTS, SEQ2SEQ
from tiny_tokenizers import bert_like
from torch import nn

from neurowidget.models.loading import load_model
from neurowidget.neuron import LayerSite


def marks(module: nn.Module) -> dict[str, Any]:
    """Everything about a module that must not change."""
    parts, kept = list(module.named_modules()), module.state_dict(keep_vars=True)
    return {
        "modes": {name: part.training for name, part in parts},
        "gradients": {name: (p.requires_grad, p.grad) for name, p in module.named_parameters()},
        "weights": {n: (id(t), t.data_ptr(), t.dtype, t.device, t._version) for n, t in kept.items()},
        "hooks": {n: (len(p._forward_hooks), len(p._forward_pre_hooks), len(p._backward_hooks)) for n, p in parts},
        "attributes": {name: sorted(vars(part)) for name, part in parts},
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_module_and_tokenizer_are_the_ones_passed_in(family: str) -> None:
    module, tokenizer = FAMILIES[family]()
    module.train()
    list(module.modules())[5].training = False
    list(module.parameters())[1].requires_grad_(False)
    before, serialised = marks(module), tokenizer.backend_tokenizer.to_str()
    random = torch.get_rng_state()
    model = load_model(module, tokenizer, sites=families.PLAIN_SITES if family == "plain_module" else None)
    model.forward(model.encode(RAGGED_TEXTS))
    assert model.module is module
    assert model.tokenizer is tokenizer
    assert marks(module) == before
    assert tokenizer.backend_tokenizer.to_str() == serialised
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("family", FAMILIES)
def test_kind_and_labels(family: str) -> None:
    model = families.model(family)
    if family in ENCODERS:
        assert (model.kind, model.labels) == ("classifier", ("NEG", "NEU", "POS"))
    elif family in CAUSAL:
        assert (model.kind, model.labels) == ("causal_lm", None)
    else:
        assert (model.kind, model.labels) == ("seq2seq_lm", None)
    assert model.stacks == (("encoder", "decoder") if family in SEQ2SEQ else ())


HEADS = [
    (hf.BertForMaskedLM, "masked_lm"),
    (hf.BertForTokenClassification, "token_classifier"),
    (hf.BertForSequenceClassification, "classifier"),
    (hf.BertModel, "encoder"),
]


def small_bert(head: Any) -> Any:
    return families.randomised(head(hf.BertConfig(**families._sizes(num_labels=5))), 6)


@pytest.mark.parametrize(("head", "kind"), HEADS)
def test_kinds_by_the_shape_of_the_answer(head: Any, kind: str) -> None:
    model = load_model(small_bert(head), bert_like())
    assert model.kind == kind
    assert model.labels == (tuple(f"LABEL_{i}" for i in range(5)) if "classifier" in kind else None)


def test_spans_are_no_kind_of_their_own() -> None:
    module = hf.BertForQuestionAnswering(hf.BertConfig(**families._sizes(num_labels=2)))
    assert load_model(module.eval(), bert_like()).kind == "encoder"


def test_a_discriminator_is_no_classifier() -> None:
    config = hf.ElectraConfig(**families._sizes(embedding_size=16))
    assert load_model(hf.ElectraForPreTraining(config).eval(), bert_like()).kind == "encoder"


def test_masked_and_causal_are_told_apart_by_what_they_do() -> None:
    """The same class, with and without `is_decoder`."""
    causal = hf.BertLMHeadModel(hf.BertConfig(**families._sizes(), is_decoder=True))
    both = hf.BertLMHeadModel(hf.BertConfig(**families._sizes(), is_decoder=False))
    assert load_model(families.randomised(causal, 1), bert_like()).kind == "causal_lm"
    assert load_model(families.randomised(both, 1), bert_like()).kind == "masked_lm"


def test_local_attention_is_not_taken_for_causal() -> None:
    """With a window of four the first position does not see the last token, in either direction."""
    sizes = families._sizes(num_hidden_layers=1, max_position_embeddings=66)
    config = hf.LongformerConfig(**sizes, attention_window=4, pad_token_id=1)
    module = families.randomised(hf.LongformerForMaskedLM(config), 1)
    assert load_model(module, families.FAMILIES["roberta"]()[1]).kind == "masked_lm"


def test_names() -> None:
    model = families.model("renamed_subclass")
    assert (model.family, model.name) == ("unheard", "Unheard")
    assert families.model("plain_module").family == "PlainTransformer"
    assert "3 layers" in repr(families.model("bert"))
    assert "3 encoder + 2 decoder layers" in repr(families.model("bart"))


def test_forward_runs_in_eval_mode_and_puts_every_mode_back() -> None:
    module, tokenizer = FAMILIES["gpt2"]()
    module.train()
    module.transformer.h[0].mlp.eval()
    model = load_model(module, tokenizer)
    batch = model.encode(RAGGED_TEXTS)
    modes = [part.training for part in module.modules()]
    first, second = model.forward(batch), model.forward(batch)
    assert torch.equal(first.logits, second.logits)  # dropout is 0.1 in training
    assert torch.equal(first.logits, families.model("gpt2").forward(batch).logits)
    assert first.get("past_key_values") is None
    assert not first.logits.requires_grad
    assert first.logits.is_inference()
    assert [part.training for part in module.modules()] == modes


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_modes_come_back_after_an_exception(error: type[BaseException]) -> None:
    module, tokenizer = FAMILIES["llama"]()
    module.train()
    model = load_model(module, tokenizer)
    batch = model.encode(["one"])
    before = marks(module)

    def fail(*_: Any) -> None:
        raise error("stop")

    handle = module.model.layers[1].register_forward_hook(fail)
    with pytest.raises(error, match="stop"):
        model.forward(batch)
    handle.remove()
    assert marks(module) == before
    assert model.lock.acquire(blocking=False)
    model.lock.release()


def test_the_users_hooks_survive_and_run() -> None:
    module, tokenizer = FAMILIES["bert"]()
    seen: list[int] = []
    module.bert.encoder.layer[0].register_forward_hook(lambda *_: seen.append(1))
    model = load_model(module, tokenizer)
    seen.clear()
    model.forward(model.encode(["one"]))
    assert seen == [1]


def test_gradients_reach_activations_and_leave_parameters_alone() -> None:
    module, tokenizer = FAMILIES["llama"]()
    module.model.norm.weight.requires_grad_(False)
    model = load_model(module, tokenizer)
    batch = model.encode(RAGGED_TEXTS)
    kept: list[torch.Tensor] = []
    handle = model.locate(LayerSite(1, "mlp")).module.register_forward_pre_hook(lambda _, args: kept.append(args[0]))
    with torch.no_grad():
        output = model.forward(batch, grad=True)
    handle.remove()
    (gradient,) = torch.autograd.grad(output.logits[:, 0].sum(), kept[0])
    assert gradient.abs().max() > 0
    assert all(p.grad is None for p in module.parameters())
    assert [p.requires_grad for p in (module.model.norm.weight, module.lm_head.weight)] == [False, True]


def test_training_goes_on_after_a_look() -> None:
    """Nothing that a forward in inference mode caches may break a later backward pass of the user."""
    for family in FAMILIES:
        if family == "plain_module":
            continue
        module, tokenizer = FAMILIES[family]()
        model = load_model(module, tokenizer)
        model.forward(model.encode(RAGGED_TEXTS))
        inputs = model.encode(["one two"], targets=["three"] if model.stacks else None).kwargs()
        module.train()
        module(**inputs).logits.sum().backward()


def test_half_precision_is_kept() -> None:
    module, tokenizer = FAMILIES["llama"]()
    module.to(torch.bfloat16)
    model = load_model(module, tokenizer)
    assert model.forward(model.encode(RAGGED_TEXTS)).logits.dtype == torch.bfloat16
    assert {p.dtype for p in module.parameters()} == {torch.bfloat16}
    weight, bias = model.output_projection(LayerSite(0, "mlp"))
    assert weight.dtype == torch.bfloat16
    assert bias is not None


def test_one_thread_at_a_time() -> None:
    model = families.build("gpt2")
    batch = model.encode(["one two"])
    inside, most = [0], [0]

    def enter(*_: Any) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])

    def leave(*_: Any) -> None:
        inside[0] -= 1

    model.module.register_forward_pre_hook(enter)
    model.module.register_forward_hook(leave)
    threads = [threading.Thread(target=lambda: [model.forward(batch) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
