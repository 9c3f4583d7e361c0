"""Where a neuron matters: exact effects are those of ablation_effects, estimates those of the gradient, by hand and by oracle."""

from __future__ import annotations

from typing import Any

import families
import numpy as np
import pytest
import torch
from hand_model import hand_model
from hook_dicts import hook_dicts

from neurowidget.analysis.examples.top_examples import top_examples
from neurowidget.analysis.intervention.ablation_effects import ablation_effects
from neurowidget.extraction.activations import extract
from neurowidget.models.progress import Cancelled

REFERENCE = ["one one three two"] * 300
WORDS = ("the", "plot", "was", "not", "good", "film", "water", "old", "two", "Mary")
QUIET: dict[str, Any] = {"progress": False}


def texts_of(count: int) -> list[str]:
    rng = np.random.default_rng(3)
    return [" ".join(rng.choice(WORDS, rng.integers(2, 9))) for _ in range(count)]


def test_effects_worked_out_by_hand():
    # L1.mlp[0] = relu(x0) of L0.residual reaches the logits with (0, 1), so removing it moves logit 1 alone, by
    # value - mean, where the mean is over the reference (one, one, three, two), whose L0.residual has x0 = 3, 3, 8, 2.
    model, texts = hand_model(), ["one two", "three", "two two"]
    examples = top_examples(
        model, texts, neurons=["L1.mlp[0]"], by="effect", target=lambda output, batch: output["logits"][:, 1],
        reference=REFERENCE, k=1, groups=("top",), **QUIET,
    )  # fmt: skip
    values = {text: extract(model, [text], "mlp", **QUIET)["mlp"][1, :, 0].tolist() for text in texts}
    assert (values["one two"], values["two two"]) == ([3, 2], [2, 2])
    mean = float(np.mean(extract(model, REFERENCE[:1], "mlp", **QUIET)["mlp"][1, :, 0]))
    down = 1.0  # DOWN[1][1][0]
    one = examples.for_neuron("L1.mlp[0]")
    assert list(one.groups) == ["top", "supports", "opposes"]
    (top,), (supports,), (opposes,) = one.groups.values()
    assert (supports.text_index, supports.value) == (top.text_index, top.value) == (1, values["three"][0])
    assert supports.effect == pytest.approx(down * (supports.value - mean))
    assert (opposes.text_index, opposes.position, opposes.value) == (0, 1, 2)
    assert opposes.effect == pytest.approx(down * (2 - mean))
    assert opposes.estimate == pytest.approx(opposes.effect)  # this target is linear
    assert one.correlation == pytest.approx(1)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_every_effect_is_that_of_ablating_the_neuron_at_its_token(family: str):
    model, texts = families.model(family), texts_of(12)
    neurons = ["L0.mlp[3]", "L1.mlp[20]", "L1.mlp[4]"]
    examples = top_examples(model, texts, neurons=neurons, by="effect", k=2, special_tokens="include", **QUIET)
    assert examples.effects is not None
    assert examples.estimates is not None
    for row, neuron in enumerate(examples.neurons):
        for slot in range(examples.text.shape[1]):
            text, token = int(examples.text[row, slot]), int(examples.token[row, slot])
            if slot % 3 == 0:
                oracle = ablation_effects(model, [texts[text]], neurons=[neuron], positions=[token], **QUIET)
                assert examples.effects[row, slot] == pytest.approx(oracle.for_neuron(neuron), abs=2e-5)
                oracle = ablation_effects(
                    model, [texts[text]], neurons=[neuron], positions=[token], method="gradient", verify=0, **QUIET
                )
                assert examples.estimates[row, slot] == pytest.approx(oracle.estimates[0, neuron.index], abs=1e-4)
        own = examples.for_neuron(neuron)
        supports = [e.effect for e in own.groups["supports"]]
        opposes = [e.effect for e in own.groups["opposes"]]
        assert supports == sorted(supports, reverse=True)
        assert opposes == sorted(opposes)
        assert len(supports) == len(opposes) == 2
    assert examples.target
    assert examples.provenance.parameters["by"] == "effect"


def test_the_correlation_is_that_of_all_tokens():
    model, texts, neuron = families.model("bert"), texts_of(10), "L1.mlp[20]"
    count = len(extract(model, texts, "mlp", special_tokens="drop", **QUIET).tokens)
    examples = top_examples(
        model, texts, neurons=[neuron], by="effect", k=count, per_sentence=False, groups=("top",), **QUIET
    )
    assert examples.token_count == count
    assert examples.estimates is not None
    assert examples.correlation is not None
    value, estimate = examples.value[0, :count], examples.estimates[0, :count]  # "top" holds every token
    assert examples.correlation[0] == pytest.approx(np.corrcoef(value, estimate)[0, 1], abs=1e-5)


def test_a_dead_neuron_has_effects_of_exactly_zero():
    model = families.build("bert")
    with torch.no_grad():
        dense = model.module.bert.encoder.layer[1].intermediate.dense
        dense.weight[7], dense.bias[7] = 0, 0
    examples = top_examples(model, texts_of(6), neurons=["L1.mlp[7]"], by="effect", k=2, **QUIET)
    assert examples.effects is not None
    assert (examples.effects[examples.text >= 0] == 0).all()
    assert examples.correlation is not None
    assert np.isnan(examples.correlation[0])
    assert examples.for_neuron("L1.mlp[7]").groups["top"][0].effect == 0


@pytest.mark.parametrize("forwards", [0, 1, 2])  # of the sample, with gradients, of the changed model
def test_stopping_leaves_nothing_behind(forwards: int):
    model = families.build("bert")
    before = hook_dicts(model.module)
    calls = iter([False] * forwards + [True])
    options = {"neurons": ["L1.mlp[7]"], "by": "effect", "k": 6, "should_stop": lambda: next(calls)}
    with pytest.raises(Cancelled):
        top_examples(model, texts_of(8), **options, **QUIET)
    assert hook_dicts(model.module) == before
    assert all(parameter.grad is None for parameter in model.module.parameters())
