"""Loading: from memory, from disk, by name; and that the module and tokenizer stay exactly as they were."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

import families
import pytest
import torch
import transformers as hf
from families import CAUSAL, ENCODERS, FAMILIES, RAGGED_TEXTS, SEQ2SEQ
from site_values import all_sites, calls_of, site_values
from tiny_tokenizers import bert_like, gpt2_like, llama_like, t5_like
from torch import nn

from neurowidget.models.architectures import as_hidden
from neurowidget.models.loading import NeuronModel, load_model
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


SAVED = [
    (lambda: small_bert(hf.BertForSequenceClassification), bert_like, "classifier"),
    (lambda: small_bert(hf.BertForTokenClassification), bert_like, "token_classifier"),
    (lambda: small_bert(hf.BertForMaskedLM), bert_like, "masked_lm"),
    (lambda: small_bert(hf.BertModel), bert_like, "encoder"),
    (lambda: FAMILIES["gpt2"]()[0], gpt2_like, "causal_lm"),
    (lambda: FAMILIES["llama"]()[0], llama_like, "causal_lm"),
    (lambda: FAMILIES["t5"]()[0], t5_like, "seq2seq_lm"),
    (lambda: FAMILIES["marian"]()[0], lambda: FAMILIES["marian"]()[1], "seq2seq_lm"),
]


@pytest.mark.parametrize(("make", "tokenizer", "kind"), SAVED)
def test_a_folder_is_loaded_with_the_head_it_was_saved_with(
    make: Any, tokenizer: Any, kind: str, tmp_path: Path
) -> None:
    module = make()
    module.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    model = load_model(tmp_path)
    assert type(model.module) is type(module)
    assert model.kind == kind
    assert model.name == str(tmp_path)
    assert model.weights_hash == load_model(module, tokenizer()).weights_hash
    assert not model.module.training
    other = load_model(str(tmp_path), tokenizer=model.tokenizer)
    assert other.tokenizer is model.tokenizer


def test_old_t5_checkpoints_are_sequence_to_sequence(tmp_path: Path) -> None:
    module, tokenizer = FAMILIES["t5"]()
    module.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": ["T5WithLMHeadModel"]}))
    assert load_model(tmp_path).kind == "seq2seq_lm"


def test_a_folder_without_a_fast_tokenizer(tmp_path: Path) -> None:
    small_bert(hf.BertModel).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="knows no tokens but its special ones"):
        load_model(tmp_path)
    with pytest.raises(ValueError, match=r"ByT5Tokenizer\) is not a fast one"):
        load_model(tmp_path, tokenizer=hf.ByT5Tokenizer())
    with pytest.raises(ValueError, match="not a fast one"):
        load_model(small_bert(hf.BertModel), hf.ByT5Tokenizer())


REMOTE = """
from pathlib import Path
from transformers import BertModel
Path(__file__).with_name("ran").touch()
Path({marker!r}).touch()
class Own(BertModel):
    pass
"""


def test_code_of_a_checkpoint_runs_only_when_the_user_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers.dynamic_module_utils as dynamic

    monkeypatch.setattr(dynamic, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    folder, marker = tmp_path / "checkpoint", tmp_path / "it ran"
    small_bert(hf.BertModel).save_pretrained(folder)
    bert_like().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"auto_map": {"AutoModel": "own.Own"}, "architectures": ["Own"], "model_type": "bert"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(REMOTE.format(marker=str(marker)))
    assert type(load_model(folder).module) is hf.BertModel  # Transformers knows the type: its own class
    assert not marker.exists()
    assert type(load_model(folder, trust_remote_code=True).module).__name__ == "Own"
    assert marker.exists()


def test_a_name_that_is_not_there_offline() -> None:
    with pytest.raises(OSError, match="no-such-model"):
        load_model("neurowidget/no-such-model")


def test_what_is_missing_is_said() -> None:
    with pytest.raises(TypeError, match=r"load_model\(module, tokenizer\)"):
        load_model(small_bert(hf.BertModel))
    with pytest.raises(ValueError, match=r"no demo 'poetry': expected demo:sentiment or demo:lm"):
        load_model("demo:poetry")


def test_demo_names_lead_to_the_bundled_models(monkeypatch: pytest.MonkeyPatch) -> None:
    import neurowidget.models.bundled as bundled

    asked: list[str] = []
    monkeypatch.setattr(bundled, "load_bundled", lambda name: (asked.append(name), FAMILIES["bert"]())[1])
    model = load_model("demo:sentiment")
    assert (asked, model.name, model.kind) == (["sentiment"], "demo:sentiment", "classifier")


def test_a_long_text_is_not_reported_twice(caplog: pytest.LogCaptureFixture) -> None:
    """The tokenizer's own warning about long texts adds nothing to the error."""
    with caplog.at_level(logging.WARNING), pytest.raises(ValueError, match="more than the 64"):
        families.model("bert").encode(["one two three " * 40])
    assert caplog.records == []


@pytest.mark.parametrize(
    ("limit", "positions", "expected"), [(64, 128, 64), (10**30, 48, 48), (512, 40, 40), (10**30, None, None)]
)
def test_the_longest_text_is_the_smaller_limit(limit: int, positions: int | None, expected: int | None) -> None:
    tokenizer = gpt2_like()
    tokenizer.model_max_length = limit
    if positions is None:
        config: Any = hf.BloomConfig(vocab_size=320, hidden_size=32, n_layer=1, n_head=4)
        module: nn.Module = hf.BloomForCausalLM(config)
    else:
        module = hf.LlamaForCausalLM(hf.LlamaConfig(**families._sizes(max_position_embeddings=positions)))
    assert load_model(module, tokenizer).max_length == expected


def test_hashes_name_exact_weights() -> None:
    model, again = families.build("gpt2"), families.build("gpt2")
    assert model.weights_hash == again.weights_hash
    assert len(model.weights_hash) == 64
    assert model.weights_hash != families.model("gpt_neo").weights_hash
    before = model.weights_hash
    with torch.no_grad():
        model.module.transformer.h[2].mlp.c_proj.bias[3] += 1e-3
    assert model.weights_hash != before
    assert again.weights_hash == before
    again.module.to(torch.float64)
    assert again.weights_hash != before
    assert model.tokenizer_hash == again.tokenizer_hash
    assert model.tokenizer_hash != families.model("opt").tokenizer_hash


def test_a_hash_covers_names_shapes_and_tied_weights() -> None:
    from neurowidget.models.hashing import hash_of_weights

    one = nn.Linear(2, 3, bias=False)
    other = nn.Linear(3, 2, bias=False)
    other.weight.data = one.weight.data.reshape(2, 3)
    assert hash_of_weights(one) != hash_of_weights(other)
    pair = nn.ModuleList([nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)])
    pair[1].weight.data = pair[0].weight.data.clone()
    copies = hash_of_weights(pair)
    pair[1].weight = pair[0].weight
    assert hash_of_weights(pair) != copies
    transposed = nn.Linear(2, 2, bias=False)
    transposed.weight.data = pair[0].weight.data.T
    assert hash_of_weights(transposed) != hash_of_weights(pair[0])


def test_provenance_is_filled() -> None:
    model = families.model("bert")
    made = model.provenance("ablation", site="mlp", target="log-odds of POS", seed=3, steps=20, parameters={"k": 2})
    assert (made.method, made.site, made.target, made.seed) == ("ablation", "mlp", "log-odds of POS", 3)
    assert dict(made.parameters) == {"k": 2, "steps": 20}
    assert made.model == model.name
    assert (made.weights_hash, made.tokenizer_hash) == (model.weights_hash, model.tokenizer_hash)
    assert {"torch", "transformers", "tokenizers"} <= set(made.versions)
    named = NeuronModel(model.module, model.tokenizer, name="org/bert", revision="abc")
    assert named.provenance("x").model == "org/bert@abc"


OPTIONS = {"top": 3, "position": 1, "target_text": "b"}


@pytest.mark.parametrize(
    ("module", "function", "call", "expected"),
    [
        ("prediction", "predict", lambda m: m.predict("a", **OPTIONS), (("a",), OPTIONS)),
        ("prediction", "generate", lambda m: m.generate("a", max_new_tokens=2), (("a",), {"max_new_tokens": 2})),
        (
            "interventions",
            "intervene",
            lambda m: m.intervene("x", "y", positions=[1]),
            (("x", "y"), {"positions": [1]}),
        ),
    ],
)
def test_methods_hand_over(
    module: str, function: str, call: Any, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[Any] = []
    monkeypatch.setattr(f"neurowidget.models.{module}.{function}", lambda m, *a, **k: got.append((m, a, k)))
    model = families.model("bert")
    call(model)
    assert got == [(model, *expected)]


@pytest.fixture(scope="module", params=["demo:sentiment", "demo:lm"])
def real(request: pytest.FixtureRequest) -> NeuronModel:
    return load_model(request.param)


@pytest.mark.real
def test_site_definitions_hold_on_real_weights(real: NeuronModel) -> None:
    model = real
    layers, width, inner = {"demo:sentiment": (6, 384, 1536), "demo:lm": (30, 576, 1536)}[real.name]
    assert (model.num_layers, model.width("residual"), model.width("mlp")) == (layers, width, inner)
    assert model.sites == ("embed", "residual", "attention", "mlp")
    batch = model.encode(["The acting was great but the plot was terrible.", "Not good."])
    sites = [site for site in all_sites(model) if site.site in ("mlp", "attention")]
    values, _ = site_values(model, batch, sites)
    calls, _ = calls_of(model, batch, {model.locate(site).module for site in sites})
    for site in sites:
        weight, bias = model.output_projection(site)
        assert (bias is None) == (real.name == "demo:lm")
        output = as_hidden(calls[model.locate(site).module][0][2])
        error = (values[site] @ weight + (0 if bias is None else bias) - output).abs().max()
        assert error <= 1e-5 * max(1.0, float(output.abs().max()))


@pytest.mark.real
def test_real_weights_give_the_same_numbers_alone_and_padded(real: NeuronModel) -> None:
    model = real
    texts = ["The acting was great but the plot was terrible.", "Not good.", RAGGED_TEXTS[3]]
    batch = model.encode(texts)
    sites = [site for site in all_sites(model) if site.layer in (0, model.num_layers - 1)]
    together, _ = site_values(model, batch, sites)
    for row, text in enumerate(texts):
        alone, _ = site_values(model, model.encode([text]), sites)
        for site, value in alone.items():
            error = (together[site][row, batch.real(row)] - value[0]).abs().max()
            assert error <= 1e-5 * max(1.0, float(value.abs().max())), site
