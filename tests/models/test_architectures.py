"""What inspection finds in each family, checked against names read in its source and against its own arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import families
import pytest
import torch
import transformers as hf
from families import CAUSAL, FAMILIES, RAGGED_TEXTS, SEQ2SEQ, TARGET_TEXTS
from plain_module import Mix, PlainTransformer
from site_values import all_sites, calls_of, site_values
from tiny_tokenizers import gpt2_like, llama_like
from torch import nn

from neurowidget.models.architectures import as_hidden
from neurowidget.models.batching import Batch
from neurowidget.models.loading import NeuronModel, load_model
from neurowidget.neuron import LayerSite

# block, input of the MLP's down projection, input of the attention's output projection, (cross-attention)
BERT_NAMES = ("encoder.layer.{}", "output.dense", "attention.output.dense")
LLAMA_NAMES = ("model.layers.{}", "mlp.down_proj", "self_attn.o_proj")
GPT2_NAMES = ("transformer.h.{}", "mlp.c_proj", "attn.c_proj")
BART_ENCODER = ("model.encoder.layers.{}", "fc2", "self_attn.out_proj")
BART_DECODER = ("model.decoder.layers.{}", "fc2", "self_attn.out_proj", "encoder_attn.out_proj")
NAMES: dict[str, dict[str | None, tuple[str, ...]]] = {
    "bert": {None: ("bert." + BERT_NAMES[0], *BERT_NAMES[1:])},
    "roberta": {None: ("roberta." + BERT_NAMES[0], *BERT_NAMES[1:])},
    "electra": {None: ("electra." + BERT_NAMES[0], *BERT_NAMES[1:])},
    "deberta_v2": {None: ("deberta." + BERT_NAMES[0], *BERT_NAMES[1:])},
    "distilbert": {None: ("distilbert.transformer.layer.{}", "ffn.lin2", "attention.out_lin")},
    "albert": {None: ("albert.encoder.albert_layer_groups.0.albert_layers.0", "ffn_output", "attention.dense")},
    "gpt2": {None: GPT2_NAMES},
    "gpt_neo": {None: ("transformer.h.{}", "mlp.c_proj", "attn.attention.out_proj")},
    "gpt_neox": {None: ("gpt_neox.layers.{}", "mlp.dense_4h_to_h", "attention.dense")},
    "opt": {None: ("model.decoder.layers.{}", "fc2", "self_attn.out_proj")},
    "bloom": {None: ("transformer.h.{}", "mlp.dense_4h_to_h", "self_attention.dense")},
    **{name: {None: LLAMA_NAMES} for name in ("llama", "mistral", "qwen2", "qwen3", "gemma2", "renamed_subclass")},
    "phi": {None: ("model.layers.{}", "mlp.fc2", "self_attn.dense")},
    "plain_module": {None: ("blocks.{}", "down", "mix.out")},
    "t5": {
        "encoder": ("encoder.block.{}", "layer.1.DenseReluDense.wo", "layer.0.SelfAttention.o"),
        "decoder": (
            *("decoder.block.{}", "layer.2.DenseReluDense.wo", "layer.0.SelfAttention.o"),
            "layer.1.EncDecAttention.o",
        ),
    },
    "bart": {"encoder": BART_ENCODER, "decoder": BART_DECODER},
    "marian": {"encoder": BART_ENCODER, "decoder": BART_DECODER},
}
LAYERS: dict[str, dict[str | None, int]] = {name: {None: 3} for name in FAMILIES} | {
    "gpt_neo": {None: 2},
    **{name: {"encoder": 3, "decoder": 2} for name in SEQ2SEQ},
}
WIDTHS = {"bloom": {"mlp": 128}, "qwen3": {"attention": 48}, "gemma2": {"attention": 48}}
every_family = pytest.mark.parametrize("family", FAMILIES)


def batch_of(model: NeuronModel) -> Batch:
    return model.encode(RAGGED_TEXTS, targets=TARGET_TEXTS if model.stacks else None)


@every_family
def test_sites_are_the_modules_that_the_source_of_the_family_names(family: str) -> None:
    model = families.model(family)
    assert {stack or None: model.layers(stack) for stack in model.stacks or (None,)} == LAYERS[family]
    for stack, (block, mlp, attention, *cross) in NAMES[family].items():
        for layer in range(LAYERS[family][stack]):
            name = block.format(layer)
            expected = {"residual": name, "mlp": f"{name}.{mlp}", "attention": f"{name}.{attention}"}
            if cross:
                expected["cross_attention"] = f"{name}.{cross[0]}"
            found = {site: model.locate(LayerSite(layer, site, stack)) for site in expected}
            assert {site: place.name for site, place in found.items()} == expected
            assert all(place.module is model.module.get_submodule(place.name) for place in found.values())
            assert [found[site].side for site in expected] == ["output"] + ["input"] * (len(expected) - 1)
        assert model.sites_of(stack) == (
            "embed",
            "residual",
            "attention",
            *(["cross_attention"] if cross else []),
            "mlp",
        )


@every_family
def test_widths(family: str) -> None:
    model = families.model(family)
    expected = {"embed": 32, "residual": 32, "attention": 32, "mlp": 48} | WIDTHS.get(family, {})
    assert {site: model.width(site) for site in model.sites} == expected
    values, _ = site_values(model, batch_of(model))
    assert {site: value.shape[2] for site, value in values.items()} == {
        site: model.width(site.site, site.stack) for site in values
    }


@every_family
def test_projected_values_are_what_the_layer_writes(family: str) -> None:
    """mlp_site @ W_out + b == mlp output, and the same for attention, with biases far from zero."""
    model = families.model(family)
    batch = batch_of(model)
    sites = [site for site in all_sites(model) if site.site not in ("residual", "embed")]
    values, _ = site_values(model, batch, sites)
    calls, _ = calls_of(model, batch, {model.locate(site).module for site in sites})
    for site in sites:
        place = model.locate(site)
        weight, bias = model.output_projection(site)
        assert weight.shape == (model.width(site.site, site.stack), 32)
        declared = getattr(place.module, "bias", None)
        assert (bias is None) == (declared is None)
        assert bias is None or bias.abs().min() > 0
        written = values[site] @ weight + (0 if bias is None else bias)
        output = as_hidden(calls[place.module][place.call or 0][2], batch=len(batch))
        torch.testing.assert_close(written, output, atol=1e-5, rtol=1e-5)


# Blocks that add what attention and MLP write to the residual stream, unnormalised.
ADDITIVE = ("gpt2", "gpt_neo", "gpt_neox", "opt", "bloom", "llama", "mistral", "qwen2", "qwen3", "phi", "t5")


@pytest.mark.parametrize("family", [*ADDITIVE, "renamed_subclass", "plain_module"])
def test_the_sites_of_a_block_add_up_to_it(family: str) -> None:
    """Pre-norm blocks: what leaves is what enters plus all that the sites write. A wrong or missing site breaks it."""
    model = families.model(family)
    values, _ = site_values(model, batch_of(model))
    for stack in model.stacks or (None,):
        stream = values[LayerSite(0, "embed", stack)]
        for layer in range(model.layers(stack)):
            for site in model.sites_of(stack):
                if site not in ("embed", "residual"):
                    address = LayerSite(layer, site, stack)
                    weight, bias = model.output_projection(address)
                    stream = stream + values[address] @ weight + (0 if bias is None else bias)
            after = values[LayerSite(layer, "residual", stack)]
            torch.testing.assert_close(stream, after, atol=2e-5, rtol=2e-5)
            stream = after


@every_family
def test_residual_is_the_output_of_the_block(family: str) -> None:
    model = families.model(family)
    batch = batch_of(model)
    values, _ = site_values(model, batch)
    for stack, (block, *_) in NAMES[family].items():
        last = LAYERS[family][stack] - 1
        module = model.module.get_submodule(block.format(last))
        calls, _ = calls_of(model, batch, {module})
        output = calls[module][-1][2]
        output = output[0] if isinstance(output, tuple) else output
        assert torch.equal(values[LayerSite(last, "residual", stack)], output)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "plain_module"])
def test_embed_is_the_first_hidden_state(family: str) -> None:
    model = families.model(family)
    batch = batch_of(model)
    values, _ = site_values(model, batch)
    with torch.no_grad():
        states = model.module(**batch.kwargs(), output_hidden_states=True)
    for stack in model.stacks or (None,):
        name = f"{stack}_hidden_states" if stack else "hidden_states"
        assert torch.equal(values[LayerSite(0, "embed", stack)], states[name][0])
        # the hidden states between are the residual of each layer; the last one has the final norm on it in many
        for layer in range(model.layers(stack) - 1):
            assert torch.equal(values[LayerSite(layer, "residual", stack)], states[name][layer + 1])


@every_family
def test_embeddings_and_head(family: str) -> None:
    model = families.model(family)
    expected = model.module.words if family == "plain_module" else model.module.get_input_embeddings()
    assert model.architecture.embeddings is expected
    head = model.architecture.head
    assert isinstance(head, nn.Linear)
    assert head.out_features == (320 if family in (*CAUSAL, *SEQ2SEQ) else 3)
    calls, output = calls_of(model, model.encode(["good plot"]), {head})
    logits = calls[head][-1][2]
    if family == "gemma2":
        logits = 30 * torch.tanh(logits / 30)
    torch.testing.assert_close(logits.reshape(-1), output.logits.reshape(-1))


def test_albert_layers_are_the_calls_of_one_module() -> None:
    model = families.model("albert")
    places = [model.locate(LayerSite(layer, "mlp")) for layer in range(3)]
    assert len({id(place.module) for place in places}) == 1
    assert [place.call for place in places] == [0, 1, 2]
    values, _ = site_values(model, batch_of(model))
    first, second = values[LayerSite(1, "mlp")], values[LayerSite(2, "mlp")]
    assert not torch.allclose(first, second)
    assert model.locate(LayerSite(0, "embed")).call == 0


def test_albert_with_inner_groups_has_a_layer_for_each_inner_call() -> None:
    config = hf.AlbertConfig(
        vocab_size=320, embedding_size=16, hidden_size=32, num_attention_heads=4, intermediate_size=48,
        num_hidden_layers=4, num_hidden_groups=2, inner_group_num=2,
    )  # fmt: skip
    tokenizer = families.FAMILIES["albert"]()[1]
    model = load_model(families.randomised(hf.AlbertModel(config), 1), tokenizer)
    names = [
        (model.locate(LayerSite(i)).name.removesuffix(".ffn_output")[-24:], model.locate(LayerSite(i)).call)
        for i in range(8)
    ]
    group = ["ups.{}.albert_layers.0", "ups.{}.albert_layers.1"]
    expected = [(name.format(g), call) for g in (0, 1) for call in (0, 1) for name in group]
    assert [(name[-len("ups.0.albert_layers.0") :], call) for name, call in names] == expected


def mixtral() -> nn.Module:
    sizes = families._sizes(num_key_value_heads=2, num_local_experts=4)
    return families.randomised(hf.MixtralForCausalLM(hf.MixtralConfig(**sizes)), 3)


def qwen2_moe(**more: Any) -> nn.Module:
    sizes = families._sizes(num_key_value_heads=2, num_experts=4, moe_intermediate_size=24)
    config = hf.Qwen2MoeConfig(**sizes, shared_expert_intermediate_size=40, **more)
    return families.randomised(hf.Qwen2MoeForCausalLM(config), 4)


@pytest.mark.parametrize("make", [mixtral, qwen2_moe])
def test_a_mixture_of_experts_has_no_mlp_site_but_the_others(make: Any) -> None:
    model = load_model(make(), llama_like())
    assert model.sites == ("embed", "residual", "attention")
    with pytest.raises(ValueError, match=r"(?s)L1\.mlp.*experts.*sites residual, attention.*sites=\{'mlp'"):
        model.locate(LayerSite(1, "mlp"))
    with pytest.raises(ValueError, match="experts"):
        model.width("mlp")
    values, _ = site_values(model, model.encode(RAGGED_TEXTS))
    weight, bias = model.output_projection(LayerSite(2, "attention"))
    assert (values[LayerSite(2, "attention")] @ weight).shape == values[LayerSite(2, "residual")].shape
    assert bias is None


def test_layers_that_are_dense_between_experts_keep_their_mlp() -> None:
    model = load_model(qwen2_moe(mlp_only_layers=[1]), llama_like())
    assert "mlp" not in model.sites
    assert model.locate(LayerSite(1, "mlp")).name == "model.layers.1.mlp.down_proj"
    with pytest.raises(ValueError, match="experts"):
        model.locate(LayerSite(0, "mlp"))


class Rebuilt(PlainTransformer):
    """The plain module with other blocks."""

    def __init__(self, block: Callable[[], nn.Module]) -> None:
        super().__init__(320)
        self.blocks = nn.ModuleList([block() for _ in range(2)])


class ExpertBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = Mix(32, 4)
        self.experts = nn.ModuleList([nn.Sequential(nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 32)) for _ in range(3)])

    def forward(self, x: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(x, allowed)
        return x + self.experts[0](x) + self.experts[2](x)


def test_experts_in_a_list_of_mlps_are_seen_too() -> None:
    model = load_model(Rebuilt(ExpertBlock), gpt2_like())
    assert model.sites == ("embed", "residual", "attention")
    with pytest.raises(ValueError, match=r"experts \(3 x Sequential\)"):
        model.locate(LayerSite(0, "mlp"))


def test_a_projection_that_does_not_run_is_not_chosen() -> None:
    """BLOOM with slow_but_exact multiplies with slices of its weights by hand: hooks on the layers would see nothing."""
    config = hf.BloomConfig(vocab_size=320, hidden_size=32, n_layer=2, n_head=4, slow_but_exact=True, pretraining_tp=2)
    model = load_model(families.randomised(hf.BloomForCausalLM(config), 5), gpt2_like())
    assert model.sites == ("embed", "residual")
    for site, name in {"attention": r"self_attention\.dense", "mlp": r"mlp\.dense_4h_to_h"}.items():
        with pytest.raises(ValueError, match=rf"{name} did not run as a module"):
            model.locate(LayerSite(0, site))


def test_no_trace_is_left_in_the_module() -> None:
    module, tokenizer = families.FAMILIES["gpt2"]()
    module.train()
    module.transformer.h[1].eval()
    state = torch.get_rng_state()
    modes = [part.training for part in module.modules()]
    load_model(module, tokenizer)
    assert [part.training for part in module.modules()] == modes
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in module.modules())
    assert all(p.grad is None and p.requires_grad for p in module.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_as_hidden_takes_tensors_tuples_and_outputs_only() -> None:
    hidden = torch.zeros(2, 3, 4)
    assert as_hidden(hidden) is hidden
    assert as_hidden((hidden, None)) is hidden
    assert as_hidden(hf.modeling_outputs.BaseModelOutput(last_hidden_state=hidden)) is hidden
    assert as_hidden(hidden.view(6, 4), batch=2).shape == (2, 3, 4)
    for wrong in (hidden[0], "text", (), None, hidden.view(6, 4)):
        with pytest.raises(ValueError, match=r"\(batch, token, width\)"):
            as_hidden(wrong)


def test_a_site_that_does_not_exist_names_those_that_do() -> None:
    model = families.model("bert")
    with pytest.raises(ValueError, match=r"no site of this name.*residual, attention, mlp, embed"):
        model.locate(LayerSite(0, "mpl"))
    with pytest.raises(ValueError, match="layers 0 to 2"):
        model.locate(LayerSite(3, "mlp"))
    with pytest.raises(ValueError, match="no stack 'decoder'"):
        model.locate(LayerSite(0, "mlp", "decoder"))
    with pytest.raises(ValueError, match="only layer 0"):
        model.locate(LayerSite(1, "embed"))
    with pytest.raises(ValueError, match="no output projection"):
        model.output_projection(LayerSite(1, "residual"))


def test_an_encoder_stands_for_the_stack_that_is_not_named() -> None:
    model = families.model("t5")
    assert model.locate(LayerSite(2, "mlp")) == model.locate(LayerSite(2, "mlp", "encoder"))
    with pytest.raises(ValueError, match="layers 0 to 1"):
        model.locate(LayerSite(2, "mlp", "decoder"))
