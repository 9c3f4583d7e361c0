"""Each method of neurons against Captum called by itself on the module's own layers, and against its definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import captum.attr as ca
import families
import numpy as np
import pytest
import torch
from hand_model import hand_model
from torch import Tensor, nn

import neurowidget as nw
from neurowidget.analysis.statistics.site_gradients import layers_of_site, site_gradients
from neurowidget.models import targets
from neurowidget.models.loading import NeuronModel

TEXT = families.RAGGED_TEXTS[0]
DOWN: dict[str, Callable[[nn.Module, int], nn.Module]] = {
    "bert": lambda m, i: m.bert.encoder.layer[i].output.dense,
    "gpt2": lambda m, i: m.transformer.h[i].mlp.c_proj,
    "llama": lambda m, i: m.model.layers[i].mlp.down_proj,
    "bart": lambda m, i: m.model.encoder.layers[i].fc2,
}


class Plain:
    """One text as a plain function of embeddings, fed to the module as inputs_embeds."""

    def __init__(self, model: NeuronModel) -> None:
        self.batch, self.module = model.encode([TEXT]), model.module
        self.target = targets.resolve(model, self.batch)
        self.embedding = model.module.get_input_embeddings()
        self.text = self.embedding(self.batch.input_ids).detach()
        self.start = torch.where(self.batch.special_mask[..., None], self.text, torch.zeros_like(self.text))

    def __call__(self, embeds: Tensor) -> Tensor:
        batch = self.batch.take([0] * len(embeds))
        given = batch.kwargs()
        given.pop("input_ids")
        return self.target(self.module(**given, inputs_embeds=embeds), batch)


ZERO: dict[str, Any] = {"baseline": "zero"}
METHODS: dict[str, tuple[dict[str, Any], Callable[[Plain, nn.Module], Any]]] = {
    "gradient_x_activation": (
        {},
        lambda f, layer: ca.LayerGradientXActivation(f, layer).attribute(f.text, attribute_to_layer_input=True),
    ),
    "conductance": (
        {**ZERO, "n_steps": 7, "internal_batch_size": 3},
        lambda f, layer: ca.LayerConductance(f, layer).attribute(
            f.text, f.start, n_steps=7, attribute_to_layer_input=True
        ),
    ),
    "internal_influence": (
        {**ZERO, "n_steps": 7, "internal_batch_size": 3},
        lambda f, layer: ca.InternalInfluence(f, layer).attribute(
            f.text, f.start, n_steps=7, attribute_to_layer_input=True
        ),
    ),
    "layer_integrated_gradients": (
        {**ZERO, "n_steps": 7},
        lambda f, layer: ca.LayerIntegratedGradients(f, layer).attribute(
            f.text, f.start, n_steps=7, attribute_to_layer_input=True
        ),
    ),
    "layer_gradient_shap": (
        {**ZERO, "n_samples": 5, "seed": 4},
        lambda f, layer: ca.LayerGradientShap(f, layer).attribute(
            f.text.requires_grad_(), f.start, n_samples=5, attribute_to_layer_input=True
        ),
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", DOWN)
@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
def test_it_is_what_captum_gives(name, method):
    model = families.model(name)
    options, by_captum = METHODS[method]
    attr = nw.attribute(model, TEXT, method, **options)
    for row, layer in enumerate(attr.layers):
        np.random.seed(4)
        found = by_captum(Plain(model), DOWN[name](model.module, layer))
        found = found[0] if isinstance(found, tuple) else found
        np.testing.assert_allclose(attr.scores[row], found.detach().sum(dim=(0, 1)), atol=1e-5)


@pytest.mark.parametrize("name", DOWN)
def test_layer_ablation_is_captums_and_ablation_effects(name):
    model = families.model(name)
    attr = nw.attribute(model, TEXT, "layer_feature_ablation", layers=[1])
    plain = Plain(model)
    mask = torch.arange(48).expand(1, plain.text.shape[1], -1)
    found = ca.LayerFeatureAblation(plain, DOWN[name](model.module, 1)).attribute(
        plain.text, layer_mask=mask, attribute_to_layer_input=True, perturbations_per_eval=48
    )
    np.testing.assert_allclose(attr.scores[0], found[0, 0].detach(), atol=1e-5)
    effects = nw.ablation_effects(model, [TEXT], site="mlp", ablation="zero")
    np.testing.assert_allclose(attr.scores[0], effects.values[1], atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "gpt2", "bart", "opt", "albert"])
def test_layer_activation_is_the_mean_of_what_is_extracted(name):
    model = families.model(name)
    acts = nw.extract(model, [TEXT], sites=["mlp"])["mlp"]
    np.testing.assert_allclose(nw.attribute(model, TEXT, "layer_activation").scores, acts.mean(axis=1), atol=1e-5)
    one = nw.attribute(model, TEXT, "layer_activation", position=2, layers=[1])
    np.testing.assert_allclose(one.scores[0], acts[1, 2], atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "t5"])
def test_a_cut_is_complete_and_another_site_says_so(name):
    model = families.model(name)
    for method in ("conductance", "layer_integrated_gradients"):
        attr = nw.attribute(model, TEXT, method, site="residual", n_steps=120)
        difference = attr.value - attr.baseline_value
        sums = attr.scores.sum(axis=1, dtype=float)
        assert sums == pytest.approx([difference] * len(attr.layers), abs=0.03 * max(1, abs(difference)))
        assert attr.completeness_absolute < 0.03 * max(1, abs(difference))
        assert "no_cut" not in attr.badges
    around = nw.attribute(model, TEXT, "conductance", site="mlp", n_steps=20)
    assert around.completeness_error is None
    assert around.badges == ("no_cut",)


def test_a_decoder_or_a_layer_above_the_neuron_is_no_cut():
    model = families.model("bart")
    decoder = nw.attribute(model, TEXT, "conductance", site="decoder.residual", target_text="one two", n_steps=4)
    assert "no_cut" in decoder.badges
    below = nw.attribute(
        families.model("bert"), TEXT, "conductance", site="residual", of="L1.mlp[7]", layers=[0], n_steps=200
    )
    assert below.badges == ()
    assert below.completeness_error < 0.05
    beside = nw.attribute(families.model("bert"), TEXT, "conductance", site="residual", of="L1.mlp[7]", layers=[1])
    assert "no_cut" in beside.badges
    assert "all_zero" in beside.badges


def test_integrated_gradients_of_a_layer_that_is_no_cut_is_complete_in_its_own_way():
    """The sum is what F loses when that layer alone is as it is at the baseline."""
    model = families.model("gpt2")
    attr = nw.attribute(model, TEXT, "integrated_gradients", site="mlp", layers=[1], n_steps=100)
    assert attr.provenance.method == "layer_integrated_gradients"
    assert attr.completeness_error < 1e-3
    assert abs(attr.scores.sum() - (attr.value - attr.baseline_value)) > 0.05


def test_hand_numbers_of_neurons():
    # From "zero", each neuron of the hand model moves on a straight line: 9 x0 + 3 x1 passes through three of them.
    options: dict[str, Any] = {"target": targets.logit(0), "baseline": "zero", "n_steps": 400}
    model = hand_model()
    through = nw.attribute(model, "one two", "conductance", **options)
    assert through.scores[0] == pytest.approx([3, 0, 9], rel=2e-3)  # L0: relu(x0), relu(x1), relu(x0 + x1)
    assert through.badges == ("no_cut",)
    blocks = nw.attribute(model, "one two", "conductance", site="residual", **options)
    assert blocks.scores.sum(axis=1) == pytest.approx([15, 15], rel=2e-3)


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
def test_grad_cam_by_its_formula(name):
    model = families.model(name)
    attr = nw.attribute(model, TEXT, "grad_cam", layer=1)
    plain_sites = [layers_of_site(model, "residual", [1])[0]]
    batch = model.encode([TEXT])
    _, found = site_gradients(model, batch, targets.resolve(model, batch), plain_sites)
    value, gradient = found[plain_sites[0]]
    expected = (value[0] * gradient[0].mean(dim=0)).sum(dim=-1)
    np.testing.assert_allclose(attr.scores, expected.detach(), atol=1e-6)
    assert (nw.attribute(model, TEXT, "grad_cam", layer=1, relu=True).scores >= 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "conductance", "baseline": ["zero", "mean"]}, "one baseline"),
        ({"method": "conductance", "n_steps": 0}, "n_steps"),
        ({"method": "layer_gradient_shap", "n_samples": 0}, "n_samples"),
        ({"method": "layer_activation", "position": 99}, "outside"),
        ({"method": "layer_activation", "target": "POS"}, "takes no target="),
        ({"method": "grad_cam", "layer": 7}, "L7"),
        ({"method": "layer_feature_ablation", "layer_baseline": "mean"}, "ablation_effects"),
    ],
)
def test_what_cannot_be_done_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        nw.attribute(families.model("bert"), TEXT, **options)
