"""The one door: every method, on every kind of model, changes nothing and says what it cannot do."""

from __future__ import annotations

import threading
from typing import Any

import families
import numpy as np
import pytest
import torch
from hand_model import hand_model
from hook_dicts import hook_dicts

import neurowidget as nw
from neurowidget.analysis.attribution import METHODS
from neurowidget.models import targets
from neurowidget.models.loading import load_model
from neurowidget.results import Attribution

TEXT = families.RAGGED_TEXTS[0]
# What a method is given here so that it is quick; the numbers of each are tested beside it.
QUICK: dict[str, dict[str, Any]] = {
    "integrated_gradients": {"n_steps": 25, "internal_batch_size": 9},
    "gradient_shap": {"n_samples": 4},
    "smooth_grad": {"n_samples": 4},
    "shapley_sampling": {"n_samples": 2},
    "shapley_values": {"group": "words"},
    "lime": {"n_samples": 30, "alpha": 1e-5},
    "kernel_shap": {"n_samples": 30},
    "feature_permutation": {"baseline": ["zero", "mean"]},
    "layer_integrated_gradients": {"n_steps": 8, "layers": [0, 1]},
    "layer_gradient_shap": {"n_samples": 4, "baseline": ["zero", "mean"]},
    "layer_feature_ablation": {"layers": [0, 1]},
    "conductance": {"n_steps": 8},
    "neuron_conductance": {"n_steps": 8, "of": "L1.mlp[7]"},
    "input_x_jacobian": {"of": "L1.mlp"},
    "deep_lift_shap": {"baseline": ["zero", "mean"]},
    "layer_deep_lift": {"layers": [0, 1]},
    "layer_deep_lift_shap": {"layers": [0, 1], "baseline": ["zero", "mean"]},
    "internal_influence": {"n_steps": 8},
}
RUNS = [method for method in METHODS if method != "lrp"]  # which has no rule for a Transformer, and says so
THOROUGH = ("integrated_gradients", "gradient_x_input", "gradient_x_activation")  # in every family


def attributed(model: Any, method: str, **options: Any) -> Attribution:
    return nw.attribute(model, TEXT, method, **{**QUICK.get(method, {}), **options})


EVERY = [
    (name, method) for name in families.FAMILIES for method in RUNS if name in families.EIGHT or method in THOROUGH
]


@pytest.mark.parametrize(("name", "method"), EVERY)
def test_every_method_in_every_family(name, method):
    model = families.model(name)
    attr = attributed(model, method)
    again = attributed(model, method) if name in ("bert", "t5") else attr
    assert isinstance(attr, Attribution)
    assert np.isfinite(attr.scores).all()
    assert attr.scores.any()
    np.testing.assert_array_equal(attr.scores, again.scores)
    assert attr.provenance.method == method
    assert attr.provenance.weights_hash == model.weights_hash
    assert "".join(attr.tokens.sentence(0).pieces[i] for i in np.flatnonzero(~attr.tokens.special)) == TEXT
    if attr.layers is not None:
        assert attr.scores.shape == (len(attr.layers), model.width("mlp"))


def test_hand_numbers():
    model = hand_model()
    first = {"target": targets.logit(0)}
    assert nw.attribute(model, "one two", "gradient_x_input", **first).scores.tolist() == [9, 6]
    neurons = nw.attribute(model, "one two", "gradient_x_activation", **first)
    assert neurons.scores.tolist() == [[3, 0, 9], [0, 0, 10]]
    second = nw.attribute(model, "one two", "gradient_x_activation", target=targets.logit(1), layers=[1])
    assert (second.scores.tolist(), second.layers) == ([[5, 0, 0]], (1,))


ONE_FORWARD = (
    "saliency",
    "smooth_grad",
    "gradient_x_input",
    "gradient_x_activation",
    "grad_cam",
    "guided_backprop",
    "deconvolution",
)
NO_TARGET = ("layer_activation", "input_x_jacobian")


class Stopped(BaseException):
    """Like KeyboardInterrupt, not an Exception."""


LEFT = [
    (name, method, error)
    for method in RUNS
    if method not in NO_TARGET
    for name in (("bert", "gpt2", "t5", "albert") if method in THOROUGH else ("bert",))
    for error in ((None, ValueError, KeyboardInterrupt, Stopped) if method in THOROUGH else (None, KeyboardInterrupt))
]


@pytest.mark.parametrize(("name", "method", "error"), LEFT)
def test_the_model_is_left_as_it_was(name, method, error):
    model = families.build(name)
    module = model.module.train()
    part = next(module.children())
    part.eval()
    first, *others = module.parameters()
    first.grad = torch.ones_like(first)
    others[0].requires_grad_(False)
    modes = [m.training for m in module.modules()]
    hooks, weights = hook_dicts(module), model.weights_hash
    calls = 0

    def target(output: Any, batch: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if error is not None and calls > (0 if method in ONE_FORWARD else 1):
            raise error("stop")
        return output["logits"].flatten(1)[:, 0]

    if error is None:
        attributed(model, method, target=target)
    else:
        with pytest.raises(error):
            attributed(model, method, target=target)
    assert hook_dicts(module) == hooks
    assert [m.training for m in module.modules()] == modes
    assert first.grad.eq(1).all()
    assert all(p.grad is None for p in others)
    assert [p.requires_grad for p in module.parameters()] == [True, False] + [True] * (len(others) - 1)
    assert load_model(module, model.tokenizer).weights_hash == weights


@pytest.mark.parametrize("method", RUNS)
@pytest.mark.parametrize("name", ["gpt2"])
def test_frozen_parameters_and_inference_mode_do_not_matter(name, method):
    expected = attributed(families.model(name), method)
    model = families.build(name)
    model.module.requires_grad_(False)
    np.testing.assert_allclose(attributed(model, method).scores, expected.scores, atol=1e-5)
    with torch.no_grad():
        np.testing.assert_allclose(attributed(model, method).scores, expected.scores, atol=1e-5)


INSIDE = [
    (name, method)
    for method in RUNS
    if method not in NO_TARGET
    for name in (families.EIGHT if method in THOROUGH else ("bert",))
]


@pytest.mark.parametrize(("name", "method"), INSIDE)
def test_inside_intervene_the_changed_model_is_explained(name, method):
    model = families.model(name)
    batch = model.encode([TEXT])
    target = targets.resolve(model, batch)
    clean = attributed(model, method)
    with model.intervene(nw.Set("L0.mlp[3]", 4.0)):
        attr = attributed(model, method)
        value = float(targets.evaluate_target(model, batch, target))
    assert attr.target == clean.target
    assert attr.value == pytest.approx(value, abs=1e-5)
    assert not np.allclose(attr.scores, clean.scores, atol=1e-4)
    if method == "integrated_gradients":
        assert attr.completeness_absolute < 0.01


def test_a_forward_of_another_thread_is_left_alone():
    """It runs in the middle of an attribution, by the module itself, while the path's embeddings are put in."""
    model = families.build("bert")
    inputs = model.encode(["another text"]).kwargs()
    expected = model.module(**inputs).logits
    seen: list[torch.Tensor] = []

    def elsewhere(*_: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=lambda: seen.append(model.module(**inputs).logits))
            thread.start()
            thread.join()

    handle = model.module.bert.embeddings.register_forward_pre_hook(elsewhere)
    attr = nw.attribute(model, TEXT, n_steps=2)
    handle.remove()
    assert len(seen) > 3
    assert all(torch.equal(logits, expected) for logits in seen)
    np.testing.assert_array_equal(attr.scores, nw.attribute(model, TEXT, n_steps=2).scores)


@pytest.mark.parametrize("name", families.FAMILIES)
def test_gradient_x_activation_is_the_slope_of_scaling_each_neuron(name):
    module, tokenizer = families.FAMILIES[name]()
    model = load_model(module.double(), tokenizer, sites=families.PLAIN_SITES if name == "plain_module" else None)
    batch = model.encode([TEXT])
    target = targets.resolve(model, batch)
    attr = nw.attribute(model, TEXT, "gradient_x_activation")
    step = 1e-2  # some families compute attention in float32 all the same
    for neuron in (nw.Neuron(0, 5), nw.Neuron(1, 40)):
        values = []
        for factor in (1 + step, 1 - step):
            with model.intervene(nw.Scale(neuron, factor)):
                values.append(float(targets.evaluate_target(model, batch, target)))
        slope = (values[0] - values[1]) / (2 * step)
        assert attr.scores[neuron.layer, neuron.index] == pytest.approx(slope, abs=2e-4, rel=1e-2)


@pytest.mark.parametrize("method", THOROUGH)
@pytest.mark.parametrize("name", ["roberta", "gpt2", "bart"])
def test_half_precision_gives_about_the_same(name, method):
    module, tokenizer = families.FAMILIES[name]()
    model = load_model(module.to(torch.bfloat16), tokenizer)
    expected = attributed(families.model(name), method, target=targets.logit(1))
    attr = attributed(model, method, target=targets.logit(1))
    assert np.corrcoef(attr.scores.ravel(), expected.scores.ravel())[0, 1] > 0.9
    assert next(module.parameters()).dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_neurons_of_the_decoder(name):
    model = families.model(name)
    attr = nw.attribute(model, TEXT, "gradient_x_activation", site="decoder.mlp", target_text="one two")
    assert attr.scores.shape == (2, model.width("decoder.mlp"))
    assert attr.scores.any()


def test_a_neuron_depends_on_neurons_below_it_only():
    attr = nw.attribute(families.model("bert"), TEXT, "gradient_x_activation", of="L1.mlp[7]")
    assert attr.scores[0].any()
    assert np.flatnonzero(attr.scores[1]).tolist() == [7]
    assert not attr.scores[2].any()


def test_one_text_a_list_and_ready_ids():
    model = families.model("bert")
    one = nw.attribute(model, TEXT, "gradient_x_input")
    ids = model.encode([TEXT]).ids(0)
    (listed,) = nw.attribute(model, [TEXT], "gradient_x_input")
    np.testing.assert_array_equal(one.scores, listed.scores)
    np.testing.assert_array_equal(one.scores, nw.attribute(model, ids, "gradient_x_input").scores)
    assert len(nw.attribute(model, [ids, ids[:3]], "gradient_x_input")) == 2


def test_a_method_may_be_a_callable():
    def constant(model: Any, text: Any, *, target: Any = None) -> Any:
        return model.name, text, target

    model = families.model("bert")
    assert nw.attribute(model, TEXT, constant, target="NEG") == (model.name, TEXT, "NEG")
    with pytest.raises(ValueError, match="constant takes no baseline=: it takes target"):
        nw.attribute(model, TEXT, constant, baseline="pad")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "salience"}, "saliency, gradient_x_input, integrated_gradients"),
        ({"method": "gradient_x_input", "baseline": "pad"}, "gradient_x_input takes no baseline="),
        ({"method": "saliency", "site": "mlp"}, "saliency takes no site="),
        ({"steps": 3}, "takes no steps=: it takes .*n_steps"),
        ({"method": "gradient_x_activation", "layers": [9]}, "L9.mlp"),
        ({"method": "gradient_x_activation", "layers": []}, "layers"),
        ({"target": "MAYBE"}, "'NEG', 'NEU', 'POS'"),
    ],
)
def test_what_cannot_be_done_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        nw.attribute(families.model("bert"), TEXT, **options)


@pytest.mark.parametrize("method", ["gradient_x_input", "gradient_x_activation"])
def test_nan_names_the_method(method):
    model = families.build("bert")
    with torch.no_grad():
        model.module.classifier.bias[1] = float("nan")
    with pytest.raises(ValueError, match=f"{method}: .* NaN"):
        nw.attribute(model, TEXT, method, target=targets.log_odds("NEG"))
