"""Models from folders and names: the head they were saved with, code of a checkpoint, hashes, real weights."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import families
import pytest
import torch
import transformers as hf
from families import FAMILIES, RAGGED_TEXTS
from site_values import all_sites, calls_of, site_values
from tiny_tokenizers import bert_like, gpt2_like, llama_like, t5_like
from torch import nn

from neurowidget.models.architectures import as_hidden
from neurowidget.models.loading import NeuronModel, load_model


def small_bert(head: Any) -> Any:
    return families.randomised(head(hf.BertConfig(**families._sizes(num_labels=5))), 6)


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
