"""Blocks of one's own: projections that must not be guessed, sites that the user names, wrapped linear layers."""

from __future__ import annotations

from collections.abc import Callable

import families
import pytest
import torch
import transformers as hf
from families import RAGGED_TEXTS
from plain_module import PlainTransformer
from site_values import calls_of, site_values
from tiny_tokenizers import gpt2_like
from torch import nn

from neurowidget.models.architectures import ArchitectureNotFound
from neurowidget.models.loading import load_model
from neurowidget.neuron import LayerSite


class Rebuilt(PlainTransformer):
    """The plain module with other blocks."""

    def __init__(self, block: Callable[[], nn.Module]) -> None:
        super().__init__(320)
        self.blocks = nn.ModuleList([block() for _ in range(2)])


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    return nn.functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None], attn_mask=allowed)[:, 0]


class InnerNormAttention(nn.Module):
    """Normalises its own input; the output projection never runs as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(32)
        self.q, self.k, self.v, self.out = (nn.Linear(32, 32) for _ in range(4))

    def forward(self, x: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        x = self.norm(x)
        mixed = attend(self.q(x), self.k(x), self.v(x), allowed)
        return nn.functional.linear(mixed, self.out.weight, self.out.bias)


class OnlyValueAttention(InnerNormAttention):
    """Only the value projection runs as a module."""

    def forward(self, x: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        return self.out.weight.sum() * attend(x @ self.q.weight, x @ self.k.weight, self.v(x), allowed)


class LowRankAttention(InnerNormAttention):
    """The query has two steps, the second as wide as the residual stream and alone in what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.q_small, self.q = nn.Linear(32, 8), nn.Linear(8, 32)

    def forward(self, x: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        return self.out(attend(self.q(self.q_small(x)), self.k(x), self.v(x), allowed))


class OwnBlock(nn.Module):
    """A pre-norm block without norms; `down` runs as a module unless `fused`."""

    def __init__(self, attention: type[nn.Module], fused: bool = False) -> None:
        super().__init__()
        self.attention, self.fused = attention(), fused
        self.up, self.gate, self.down = (nn.Linear(32, 32) for _ in range(3))

    def forward(self, x: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(x, allowed)
        inner = torch.relu(self.gate(x)) * self.up(x)
        return x + (inner @ self.down.weight.T if self.fused else self.down(inner))


class AdaptedBlock(OwnBlock):
    """A bottleneck adapter after the MLP: two more linear layers, the last of the residual width."""

    def __init__(self) -> None:
        super().__init__(LowRankAttention)
        self.small, self.large = nn.Linear(32, 4), nn.Linear(4, 32)

    def forward(self, x: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        x = super().forward(x, allowed)
        return x + self.large(torch.relu(self.small(x)))


@pytest.mark.parametrize("attention", [InnerNormAttention, OnlyValueAttention])
def test_query_key_and_value_are_not_taken_for_the_output_projection(attention: type[nn.Module]) -> None:
    model = load_model(Rebuilt(lambda: OwnBlock(attention)), gpt2_like())
    with pytest.raises(ValueError, match=r"attention\.out.* did not run as a module"):
        model.locate(LayerSite(0, "attention"))
    assert model.locate(LayerSite(0, "mlp")).name == "blocks.0.down"


def test_several_possible_projections_are_not_guessed() -> None:
    model = load_model(Rebuilt(AdaptedBlock), gpt2_like())
    assert model.sites == ("embed", "residual")
    for site, names in {"attention": r"attention\.q, attention\.out", "mlp": "down, large"}.items():
        with pytest.raises(ValueError, match=f"several linear layers .*: {names}"):
            model.locate(LayerSite(0, site))


def test_of_two_linear_layers_the_second_is_the_down_projection() -> None:
    """Where the MLP is as wide as the residual stream both have the right width."""
    module, tokenizer = families.FAMILIES["gpt_neox"]()
    config = type(module.config)(**families._sizes(intermediate_size=32))
    model = load_model(families.randomised(hf.GPTNeoXForCausalLM(config), 1), tokenizer)
    assert model.locate(LayerSite(1, "mlp")).name == "gpt_neox.layers.1.mlp.dense_4h_to_h"


def test_gate_and_up_are_not_taken_for_the_down_projection() -> None:
    model = load_model(Rebuilt(lambda: OwnBlock(InnerNormAttention, fused=True)), gpt2_like())
    with pytest.raises(ValueError, match=r"blocks\.0\.down did not run as a module"):
        model.locate(LayerSite(0, "mlp"))


def test_flat_values_are_marked() -> None:
    assert families.model("opt").locate(LayerSite(0, "mlp")).flat
    assert not families.model("opt").locate(LayerSite(0, "attention")).flat
    assert not families.model("gpt2").locate(LayerSite(0, "mlp")).flat


def test_chunked_feed_forward_has_no_mlp_site() -> None:
    """`chunk_size_feed_forward` runs the MLP several times a layer, on a few tokens each."""
    config = hf.BertConfig(**families._sizes(), chunk_size_feed_forward=2)
    tokenizer = families.FAMILIES["bert"]()[1]
    model = load_model(hf.BertModel(config).eval(), tokenizer)
    assert model.sites == ("embed", "residual", "attention")
    with pytest.raises(ValueError, match="mlp"):
        model.locate(LayerSite(0, "mlp"))


def test_a_plain_module_without_names_says_what_to_name() -> None:
    model = load_model(PlainTransformer(320), gpt2_like())
    assert model.sites == ("embed", "residual")
    with pytest.raises(ValueError, match=r"(?s)L0\.mlp: nothing that ran in blocks\.0 is named like attention.*sites="):
        model.locate(LayerSite(0, "mlp"))


def test_no_blocks_lists_what_was_looked_for_and_what_there_is() -> None:
    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.answer = nn.Embedding(320, 8), nn.Linear(8, 2)

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            return self.answer(self.words(input_ids).mean(1))

    with pytest.raises(
        ArchitectureNotFound, match=r"(?s)no transformer blocks.*ModuleList.*words, answer.*sites=\{"
    ) as info:
        load_model(Bag(), gpt2_like())
    assert isinstance(info.value, ValueError)


def test_a_module_that_does_not_run_says_so() -> None:
    with pytest.raises(ArchitectureNotFound, match=r"first forward of Linear on input_ids \(1, \d+\).*failed"):
        load_model(nn.Linear(2, 2), gpt2_like())


def test_named_sites_override_what_is_found() -> None:
    module, tokenizer = families.FAMILIES["llama"]()
    model = load_model(module, tokenizer, sites={"mlp": "model.layers.{layer}.mlp.gate_proj"})
    assert model.locate(LayerSite(1, "mlp")).module is module.model.layers[1].mlp.gate_proj
    assert model.locate(LayerSite(1, "attention")).name == "model.layers.1.self_attn.o_proj"
    assert model.width("mlp") == 32


def test_named_sites_of_a_decoder() -> None:
    module, tokenizer = families.FAMILIES["bart"]()
    model = load_model(module, tokenizer, sites={"decoder.mlp": "model.decoder.layers.{layer}.fc1"})
    assert model.width("decoder.mlp") == 32
    assert model.width("mlp") == 48


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        ({"mlp": "blocks.{layer}.nothing"}, "names no module that ran"),
        ({"mlp": "blocks.{layer}.down", "neurons": "x"}, "expected one of embed, residual"),
        ({"decoder.mlp": "blocks.{layer}.down"}, "no stack 'decoder'"),
        ({"mlp": "blocks.0.down"}, "3 layers"),
    ],
)
def test_wrong_names_are_refused(sites: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_model(PlainTransformer(320), gpt2_like(), sites=sites)


class EightBit(nn.Module):
    """A linear layer as quantisation libraries make them: sizes and integers, no floating-point weight."""

    def __init__(self, source: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = source.in_features, source.out_features
        self.scale = float(source.weight.detach().abs().max()) / 127
        self.register_buffer("qweight", (source.weight.detach() / self.scale).round().to(torch.int8))
        self.register_buffer("bias", source.bias.detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.qweight.float() * self.scale).T + self.bias


class Adapted(nn.Module):
    """A linear layer as adapter libraries wrap it: the layer itself and a low-rank path beside it."""

    def __init__(self, source: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = source.in_features, source.out_features
        self.base_layer = source
        self.lora_A, self.lora_B = (
            nn.Linear(source.in_features, 2, bias=False),
            nn.Linear(2, source.out_features, bias=False),
        )

    @property
    def weight(self) -> torch.Tensor:
        return self.base_layer.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base_layer(x) + self.lora_B(self.lora_A(x))


@pytest.mark.parametrize("wrap", [EightBit, Adapted])
def test_quantised_and_adapted_linear_layers_are_found_and_projected(wrap: type[nn.Module]) -> None:
    module, tokenizer = families.FAMILIES["gpt_neox"]()
    for block in module.gpt_neox.layers:
        for part, names in (
            (block.attention, ("query_key_value", "dense")),
            (block.mlp, ("dense_h_to_4h", "dense_4h_to_h")),
        ):
            for name in names:
                setattr(part, name, wrap(getattr(part, name)))
    model = load_model(module, tokenizer)
    batch = model.encode(RAGGED_TEXTS)
    for site in ("mlp", "attention"):
        address = LayerSite(1, site)
        place = model.locate(address)
        assert isinstance(place.module, wrap)
        values, _ = site_values(model, batch, [address])
        calls, _ = calls_of(model, batch, {place.module})
        weight, bias = model.output_projection(address)
        torch.testing.assert_close(values[address] @ weight + bias, calls[place.module][0][2], atol=1e-5, rtol=1e-5)


def test_layers_of_different_width_have_no_one_width() -> None:
    module = PlainTransformer(320)
    module.blocks[1].up, module.blocks[1].down = nn.Linear(32, 40), nn.Linear(40, 32)
    model = load_model(module, gpt2_like(), sites=families.PLAIN_SITES)
    with pytest.raises(ValueError, match=r"different widths at 'mlp': \[40, 48\]"):
        model.width("mlp")
    assert "mlp 40 to 48" in repr(model)


def test_torch_encoder_layers() -> None:
    """nn.TransformerEncoderLayer bypasses its attention's out_proj; its MLP runs as modules while hooks are there."""

    class Torch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(320, 32)
            layer = nn.TransformerEncoderLayer(32, 4, 48, batch_first=True)
            self.stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.stack(self.words(input_ids), src_key_padding_mask=attention_mask == 0)

    model = load_model(Torch(), gpt2_like())
    assert model.sites == ("embed", "residual", "mlp")
    assert model.locate(LayerSite(1, "mlp")).name == "stack.layers.1.linear2"
    with pytest.raises(ValueError, match=r"self_attn\.out_proj did not run"):
        model.locate(LayerSite(0, "attention"))
