"""Neurons kept or changed within a range, vectors with a unit, and tokens told apart by who wrote them."""

from __future__ import annotations

import families
import numpy as np
import pytest
import torch
from hand_model import hand_model
from hook_dicts import hook_dicts

import neurowidget as nw
from neurowidget.models import hooks
from neurowidget.models.hooks import InterventionNeverFired
from neurowidget.models.interventions import Ablate, Add, Clamp, Patch, Set, describe, to_json
from neurowidget.neuron import LayerSite
from neurowidget.results.base import Provenance
from neurowidget.results.steering import SteeringVector

STEPS = 50


def vector(width: int, unit: float = 4.0) -> SteeringVector:
    direction = np.random.default_rng(0).normal(size=width)
    return SteeringVector(
        vector=unit * direction / np.linalg.norm(direction), layer=1, site="residual", unit=unit, distance=1.0,
        held_out_auc=1.0, method="difference_of_means", tokens="mean", positive_texts=("a",), negative_texts=("b",),
        provenance=Provenance(method="steering_vector", model="tiny"),
    )  # fmt: skip


def logits(model, *interventions, positions=None):
    with model.intervene(*interventions, positions=positions):
        return model.forward(model.encode(["one two"]))["logits"][0].tolist()


def test_a_clamp_keeps_neurons_within_its_range():
    """L0.mlp is (1, 0, 1) for "one" and (0, 2, 2) for "two"."""
    model = hand_model()
    clean = [17, 14]
    assert logits(model, Clamp("L0.mlp", 0, 2)) == clean
    assert logits(model, Clamp("L0.mlp[2]", high=0)) == logits(model, Set("L0.mlp[2]", 0))
    assert logits(model, Clamp("L0.mlp[0]", low=1)) == logits(model, Set("L0.mlp[0]", 1))
    assert logits(model, Clamp("L0.mlp[0]", low=1), positions=[0]) == clean


def test_an_ablation_within_a_range_leaves_other_values_alone():
    model = hand_model()
    only_two = Ablate("L0.mlp[2]", within=(1.5, 9))  # it is 1 at "one" and 2 at "two"
    assert logits(model, only_two) == logits(model, Ablate("L0.mlp[2]"), positions=[1])
    assert logits(model, Ablate("L0.mlp[2]", within=(0, 9))) == logits(model, Ablate("L0.mlp[2]"))
    assert logits(model, Ablate("L0.mlp[2]", within=(3, 9))) == [17, 14]


def test_a_steering_vector_brings_its_place_along():
    made = vector(32)
    assert Add(made, strength=0.5).address == LayerSite(1, "residual")
    assert Add(made, layer=2).address == LayerSite(2, "residual")
    model = families.model("gpt2")
    batch = model.encode(["The plot"])
    with hooks.recording(model, [LayerSite(1, "residual")], lambda _, value: seen.append(value.clone())):
        seen: list[torch.Tensor] = []
        model.forward(batch)
        with model.intervene(Add(made, strength=0.5)):
            model.forward(batch)
    norms = (seen[1] - seen[0]).norm(dim=-1)
    torch.testing.assert_close(norms, torch.full_like(norms, 2.0), rtol=1e-4, atol=1e-4)
    assert describe(Add(made, strength=0.5)) == "a vector of norm 2 added to L1.residual"


def test_descriptions_and_mistakes():
    assert describe(Clamp("L0.mlp[1]", 0)) == "L0.mlp[1] kept within 0 to inf"
    assert describe(Ablate("L0.mlp[1]", within=(0, 1))) == "L0.mlp[1] off (zero) within 0 to 1"
    with pytest.raises(ValueError, match="wire form"):
        to_json(Ablate("L0.mlp[1]", within=(0, 1)))
    with pytest.raises(ValueError, match="low <= high, got 2 and 1"):
        Clamp("L0.mlp[1]", 2, 1)
    with pytest.raises(ValueError, match="give low, high or both"):
        Clamp("L0.mlp[1]")
    with pytest.raises(ValueError, match="which layer"):
        Add([1.0, 2.0])
    model = families.model("gpt2")
    with pytest.raises(ValueError, match="'prompt' or 'generated', got 'written'"):
        model.intervene(Set("L0.mlp", 1), positions="written")
    with pytest.raises(TypeError, match="no generated tokens"):
        model.intervene(Patch("L0.mlp", "one"), positions="generated")


def test_prompt_and_generated_tokens_are_told_apart_with_and_without_cache():
    model = families.model("gpt2")
    site = LayerSite(1, "mlp")
    length = model.encode(["The plot"]).lengths[0]
    for positions, expected in (("prompt", range(length)), ("generated", range(length, length + 5))):
        for cache in (True, False):
            touched: set[int] = set()
            before = 0

            def record(where: LayerSite, value: torch.Tensor) -> None:
                nonlocal before
                first = before if cache else 0  # noqa: B023
                touched.update(first + i for i in (value == 7).all(dim=-1)[0].nonzero().flatten().tolist())  # noqa: B023
                before += value.shape[1]

            with model.intervene(Set(site, 7.0), positions=positions), hooks.recording(model, [site], record):
                model.generate("The plot", max_new_tokens=6, min_new_tokens=6, use_cache=cache)
            assert touched == set(expected), (positions, cache)
    with pytest.raises(InterventionNeverFired), model.intervene(Set(site, 7.0), positions="generated"):
        model.forward(model.encode(["The plot"]))  # nothing is generated here


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("positions", [None, "prompt", "generated", [-1]])
def test_steered_text_is_the_same_with_and_without_cache_over_fifty_steps(name, positions):
    model = families.model(name)
    before = hook_dicts(model.module)
    steps = min(STEPS, (model.max_length or STEPS + 10) - 10)
    options = {"max_new_tokens": steps, "min_new_tokens": steps}
    texts = []
    for cache in (True, False):
        with model.intervene(Add(vector(32), strength=2.0), Clamp("L0.mlp", -1, 1), positions=positions):
            texts.append(model.generate("The plot", use_cache=cache, **options))
    assert texts[0] == texts[1]
    assert texts[0] != model.generate("The plot", **options)
    assert hook_dicts(model.module) == before


@pytest.mark.parametrize("beams", [1, 3])
def test_steered_beams_and_batches_equal_prompts_alone(beams):
    model = families.model("gpt2")
    prompts = ["The plot", "one two three", "good"]
    options = {"max_new_tokens": 12, "min_new_tokens": 12, "num_beams": beams}
    for positions in (None, "prompt", "generated"):
        with model.intervene(Add(vector(32), strength=2.0), positions=positions):
            assert model.generate(prompts, **options) == [model.generate(prompt, **options) for prompt in prompts]


def test_the_public_names():
    assert nw.Clamp is Clamp
