"""DeepLIFT, guided backpropagation and their relatives: Captum's answers, and what they are worth on this model."""

from __future__ import annotations

from typing import Any

import captum.attr as ca
import families
import numpy as np
import pytest
import torch
from hook_dicts import hook_dicts
from torch import Tensor, nn

import neurowidget as nw
from neurowidget.models import targets
from neurowidget.models.loading import NeuronModel, load_model

TEXT = families.RAGGED_TEXTS[0]
GELU = ["gpt2", "bart", "gpt_neox"]  # no module of a type that has a rule


class Plain(nn.Module):
    """A model whose input is embeddings, as Captum's documentation wants it."""

    def __init__(self, model: NeuronModel) -> None:
        super().__init__()
        self.module = model.module
        self.batch = model.encode([TEXT])
        self.answer = targets.resolve(model, self.batch)
        self.text = model.module.get_input_embeddings()(self.batch.input_ids).detach()
        self.start = torch.where(self.batch.special_mask[..., None], self.text, torch.zeros_like(self.text))

    def forward(self, embeds: Tensor) -> Tensor:
        batch = self.batch.take([0] * len(embeds))
        given = batch.kwargs()
        given.pop("input_ids")
        return self.answer(self.module(**given, inputs_embeds=embeds), batch)


@pytest.mark.parametrize("name", ["bert", "opt", "bart"])
@pytest.mark.filterwarnings("ignore:Setting")
def test_it_is_what_captum_gives(name):
    """BERT has one rule, its pooler's Tanh; OPT's MLPs are ReLU modules; BART has GELU alone."""
    model = families.model(name)
    plain = Plain(model)
    text = plain.text.clone().requires_grad_()
    found = ca.DeepLift(plain).attribute(text, plain.start)
    attr = nw.attribute(model, TEXT, "deep_lift", baseline="zero")
    np.testing.assert_allclose(attr.scores, found.detach().sum(dim=-1)[0], atol=1e-5)
    for method, kind in (("guided_backprop", ca.GuidedBackprop), ("deconvolution", ca.Deconvolution)):
        found = kind(plain).attribute(text)
        attr = nw.attribute(model, TEXT, method)
        np.testing.assert_allclose(attr.scores, found.detach().norm(dim=-1)[0], atol=1e-5)
    layer = {
        "bert": lambda m: m.bert.encoder.layer[1],
        "opt": lambda m: m.model.decoder.layers[1],
        "bart": lambda m: m.model.encoder.layers[1],
    }[name](model.module)
    found = ca.LayerDeepLift(plain, layer).attribute(text, plain.start)
    found = found[0] if isinstance(found, tuple) else found
    attr = nw.attribute(model, TEXT, "deep_lift", site="residual", baseline="zero", layers=[1])
    assert attr.provenance.method == "layer_deep_lift"
    np.testing.assert_allclose(attr.scores[0], found.detach().reshape(-1, found.shape[-1]).sum(dim=0), atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "opt"])
def test_a_set_of_baselines_is_the_mean(name):
    model = families.model(name)
    for method in ("deep_lift_shap", "layer_deep_lift_shap"):
        several = nw.attribute(model, TEXT, method, baseline=["zero", "mean"])
        single = [nw.attribute(model, TEXT, method, baseline=one).scores for one in ("zero", "mean")]
        np.testing.assert_allclose(several.scores, np.mean(single, axis=0), atol=1e-6)


@pytest.mark.parametrize("name", GELU)
def test_a_method_that_collapsed_says_so(name):
    model = families.model(name)
    lifted = nw.attribute(model, TEXT, "deep_lift", baseline="zero")
    assert "collapsed" in lifted.badges
    assert "GELU" in lifted.warnings[lifted.badges.index("collapsed")]
    saliency = nw.attribute(model, TEXT, "saliency")
    for method in ("guided_backprop", "deconvolution"):
        attr = nw.attribute(model, TEXT, method)
        assert attr.badges == ("collapsed",)
        np.testing.assert_allclose(attr.scores, saliency.scores, atol=1e-5)


def test_where_rules_apply_nothing_is_said():
    model = families.model("opt")
    assert nw.attribute(model, TEXT, "guided_backprop").badges == ()
    assert "collapsed" not in nw.attribute(model, TEXT, "deep_lift").badges
    assert "incomplete" in nw.attribute(model, TEXT, "deep_lift").badges  # its attention and norms have no rule
    bert = families.model("bert")
    assert "collapsed" not in nw.attribute(bert, TEXT, "deep_lift").badges  # the pooler's Tanh
    assert "collapsed" in nw.attribute(bert, TEXT, "deep_lift", of="L2.mlp[5]").badges  # no Tanh below


class Rectified(nn.Module):
    """ReLU modules and sums alone: DeepLIFT is complete here."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.words = nn.Embedding.from_pretrained(torch.randn(5, 4, generator=generator))
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Sequential(nn.Linear(4, 4), nn.ReLU())]
        )
        for block in self.blocks:
            block[0].weight = nn.Parameter(torch.randn(4, 4, generator=generator))
            block[0].bias = nn.Parameter(torch.rand(4, generator=generator))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.words(input_ids)
        for block in self.blocks:
            x = block(x)
        return (x * attention_mask[..., None]).sum(dim=1)


def test_deep_lift_is_complete_where_every_part_has_a_rule():
    from hand_model import hand_tokenizer

    model = load_model(Rectified().eval(), hand_tokenizer(), sites={"residual": "blocks.{layer}"})
    for method, options in (("deep_lift", {"baseline": "pad"}), ("deep_lift_shap", {"baseline": ["pad", "zero"]})):
        attr = nw.attribute(model, "one two three", method, target=targets.logit(1), **options)
        assert attr.completeness_error < 1e-4
        assert attr.badges == ()
    layer = nw.attribute(model, "one two three", "deep_lift", site="residual", target=targets.logit(1), baseline="pad")
    difference = layer.value - layer.baseline_value
    assert layer.scores.sum(axis=1) == pytest.approx([difference] * 2, rel=1e-3)


def test_relevance_is_kept_where_every_part_has_a_rule():
    from hand_model import hand_model, hand_tokenizer

    module = Rectified().eval()
    for block in module.blocks:
        nn.init.zeros_(block[0].bias)
    weights = [value.clone() for value in module.state_dict().values()]
    model = load_model(module, hand_tokenizer(), sites={"residual": "blocks.{layer}"})
    largest = int(model.forward(model.encode(["three"]))["logits"].argmax())
    attr = nw.attribute(model, "three", "lrp", target=targets.logit(largest))
    assert attr.scores.any()
    assert attr.scores.sum() == pytest.approx(attr.value, rel=1e-4)
    assert attr.badges == ()
    assert all(torch.equal(old, new) for old, new in zip(weights, module.state_dict().values(), strict=True))
    assert not any("rule" in vars(part) for part in module.modules())
    attr = nw.attribute(model, "one two three", "lrp", target=targets.logit(1))
    assert attr.badges == ("incomplete",)  # the sum over tokens is no module either
    plain = nn.Sequential(*(part for block in module.blocks for part in block))

    class Summed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plain = plain

        def forward(self, x: Tensor) -> Tensor:
            return self.plain(x).sum(dim=1)

    found = ca.LRP(Summed()).attribute(module.words(torch.tensor([[2, 3, 4]])).requires_grad_(), target=1)
    np.testing.assert_allclose(attr.scores, found.detach().sum(dim=-1)[0], atol=1e-5)
    # the residual connection of the hand model is no module
    assert nw.attribute(hand_model(), "one two", "lrp", target=targets.logit(0)).badges == ("incomplete",)


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
def test_relevance_of_a_transformer_is_refused(name):
    with pytest.raises(ValueError, match=r"lrp has no rule for .*Norm"):
        nw.attribute(families.model(name), TEXT, "lrp")


@pytest.mark.parametrize("method", ["deep_lift", "guided_backprop", "layer_deep_lift"])
def test_an_error_on_the_way_leaves_nothing_on_the_modules(method):
    model = families.build("opt")
    before, attributes = hook_dicts(model.module), [set(vars(part)) for part in model.module.modules()]
    calls = 0

    def target(output: Any, batch: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > 0:
            raise KeyboardInterrupt
        return output["logits"][:, 0, 0]

    with pytest.raises(KeyboardInterrupt):
        nw.attribute(model, TEXT, method, target=target)
    assert hook_dicts(model.module) == before
    assert [set(vars(part)) for part in model.module.modules()] == attributes


# What in the input drives a neuron: a neuron as the target, compared with Captum's neuron methods on its own layer.
@pytest.mark.parametrize("name", ["bert", "gpt2"])
@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
def test_of_a_neuron_is_what_captums_neuron_methods_give(name):
    model = families.model(name)
    plain = Plain(model)
    layer = (
        model.module.bert.encoder.layer[1].output.dense if name == "bert" else model.module.transformer.h[1].mlp.c_proj
    )
    text, start, selector = plain.text.clone().requires_grad_(), plain.start, (2, 7)
    to = {"attribute_to_neuron_input": True}
    options: dict[str, Any] = {"of": "L1.mlp[7]", "position": 2}
    found = ca.NeuronGradient(plain, layer).attribute(text, selector, **to)
    attr = nw.attribute(model, TEXT, "gradient_x_input", **options)
    np.testing.assert_allclose(attr.scores, (found * text).detach().sum(dim=-1)[0], atol=1e-5)
    found = ca.NeuronIntegratedGradients(plain, layer).attribute(text, selector, start, n_steps=20, **to)
    attr = nw.attribute(model, TEXT, "integrated_gradients", baseline="zero", n_steps=20, sink_first=False, **options)
    np.testing.assert_allclose(attr.scores, found.detach().sum(dim=-1)[0], atol=1e-5)
    mask = torch.arange(text.shape[1])[None, :, None]
    found = ca.NeuronFeatureAblation(plain, layer).attribute(text, selector, start, feature_mask=mask, **to)
    attr = nw.attribute(model, TEXT, "feature_ablation", baseline="zero", **options)
    np.testing.assert_allclose(attr.scores, found.detach()[0, :, 0], atol=1e-5)
    found = ca.NeuronConductance(plain, layer).attribute(text, selector, start, n_steps=9, method="gausslegendre", **to)
    attr = nw.attribute(
        model, TEXT, "conductance", of="L1.mlp[7]", neuron_position=2, baseline="zero", n_steps=9, internal_batch_size=4
    )
    assert attr.provenance.method == "neuron_conductance"
    np.testing.assert_allclose(attr.scores, found.detach().sum(dim=-1)[0], atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "gpt2", "bart"])
def test_conductance_through_a_neuron_sums_to_the_conductance_of_the_neuron(name):
    model = families.model(name)
    through = nw.attribute(model, TEXT, "conductance", of="L1.mlp[7]", n_steps=200, baseline="zero")
    whole = nw.attribute(model, TEXT, "conductance", site="mlp", n_steps=200, baseline="zero", layers=[1])
    assert through.scores.sum(dtype=float) == pytest.approx(float(whole.scores[0, 7]), abs=2e-3)


@pytest.mark.parametrize("name", families.EIGHT)
def test_all_neurons_of_a_layer_at_once_are_those_one_by_one(name):
    model = families.model(name)
    attr = nw.attribute(model, TEXT, "gradient_x_input", of="L1.mlp", position=2)
    assert attr.scores.shape == (len(attr.tokens), model.width("mlp"))
    for index in (0, 7):
        one = nw.attribute(model, TEXT, "gradient_x_input", of=f"L1.mlp[{index}]", position=2)
        np.testing.assert_allclose(attr.scores[:, index], one.scores, atol=1e-5)
    mean = nw.attribute(model, TEXT, "gradient_x_input", of="L1.mlp")
    one = nw.attribute(model, TEXT, "gradient_x_input", of="L1.mlp[7]")
    np.testing.assert_allclose(mean.scores[:, 7], one.scores, atol=1e-5)
    columns = attr.to_columns()
    assert len(columns["score"]) == attr.scores.size
    assert attr.grouped("words").scores.sum() == pytest.approx(attr.scores.sum(), abs=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "conductance", "of": "L1.mlp[99]"}, "fewer neurons"),
        ({"method": "gradient_x_input", "of": "L9.mlp"}, "L9.mlp"),
        ({"method": "gradient_x_input", "of": "L1.mlp", "position": 99}, "outside"),
        ({"method": "gradient_x_input", "of": "L1.mlp", "target": "POS"}, "takes no target="),
        ({"method": "deep_lift", "n_steps": 3}, "takes no n_steps="),
    ],
)
def test_what_cannot_be_done_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        nw.attribute(families.model("bert"), TEXT, **options)
