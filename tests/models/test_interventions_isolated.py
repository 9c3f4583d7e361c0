"""Interventions leave the model, other threads and other blocks as they were, and say when they never fired."""

from __future__ import annotations

import threading
from typing import Any

import families
import pytest
import torch
from hand_model import hand_model

from neurowidget.models.interventions import (
    Ablate,
    Clamp,
    InterventionNeverFired,
    Patch,
    Scale,
    Set,
    active_interventions,
    describe,
)
from neurowidget.neuron import LayerSite

TEXTS = families.RAGGED_TEXTS


def stacks(model: Any) -> tuple[str | None, ...]:
    return model.stacks or (None,)


def encode(model: Any, rows: list[int], side: str = "right") -> Any:
    texts = [TEXTS[row] for row in rows]
    if model.kind == "seq2seq_lm":
        return model.encode(texts, targets=[families.TARGET_TEXTS[row] for row in rows], padding_side=side)
    return model.encode(texts, padding_side=side)


def logits(model: Any, batch: Any, *interventions: Any, positions: Any = None) -> torch.Tensor:
    if not interventions:
        return model.forward(batch)["logits"]
    with model.intervene(*interventions, positions=positions):
        return model.forward(batch)["logits"]


@pytest.mark.parametrize("name", families.FAMILIES)
def test_the_model_is_left_as_it_was(name):
    model = families.build(name)
    module = model.module.train()
    part = next(iter(module.children()))
    part.eval()
    next(module.parameters()).requires_grad_(False)
    parameters = {key: value.clone() for key, value in module.state_dict().items()}
    grads = [p.requires_grad for p in module.parameters()]
    modes = [m.training for m in module.modules()]
    batch = encode(model, [0, 1])
    clean = logits(model, batch)
    assert torch.equal(
        logits(model, batch, Scale(LayerSite(1, "mlp", stacks(model)[0]), 1.0)), clean
    )  # no dropout drawn
    logits(model, batch, *(Ablate(LayerSite(1, "mlp", stack)) for stack in stacks(model)))
    with pytest.raises(KeyboardInterrupt), model.intervene(Ablate(LayerSite(1, "mlp", stacks(model)[0]))):
        raise KeyboardInterrupt
    assert [m.training for m in module.modules()] == modes
    assert [p.requires_grad for p in module.parameters()] == grads
    assert all(torch.equal(value, parameters[key]) for key, value in module.state_dict().items())


def test_two_threads_have_their_own_interventions():
    model = hand_model()
    batch = model.encode(["one two"])
    meet = threading.Barrier(2, timeout=60)
    found: dict[str, Any] = {}

    def work(name: str, intervention: Any) -> None:
        with model.intervene(intervention):
            meet.wait()
            found[name] = (logits(model, batch).tolist(), active_interventions(model))
            meet.wait()

    threads = [
        threading.Thread(target=work, args=("a", Ablate("L1.mlp[0]"))),
        threading.Thread(target=work, args=("b", Set("L1.mlp[1]", 5))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"a": ([[17, 9]], ("L1.mlp[0] off (zero)",)), "b": ([[27, 14]], ("L1.mlp[1] set to 5",))}
    assert logits(model, batch).tolist() == [[17, 14]]


def test_a_block_that_never_fired_raises_only_when_it_succeeded():
    model = hand_model()
    with pytest.raises(InterventionNeverFired, match=r"L1\.mlp"), model.intervene(Ablate("L1.mlp[0]")):
        pass
    with pytest.raises(ZeroDivisionError), model.intervene(Ablate("L1.mlp[0]")):
        1 / 0  # noqa: B018
    with model.intervene(), model.intervene([]), model.intervene(Ablate([]), Set([], 1)):
        pass


def test_one_silent_intervention_among_working_ones_raises():
    t5 = families.model("t5")
    encoder = t5.module.get_encoder()
    inputs = {k: v for k, v in t5.encode(["good"]).kwargs().items() if "decoder" not in k}
    block = t5.intervene(Ablate("encoder.L0.mlp[0]"), Ablate("decoder.L1.mlp[0]"))
    with pytest.raises(InterventionNeverFired, match=r"decoder\.L1\.mlp"), block:
        encoder(**inputs)


@pytest.mark.parametrize(
    "intervention",
    [
        Ablate("L1.mlp[0]"),
        Ablate("L1.mlp[0]", "mean", reference=["one two three four five"] * 400),
        Ablate("L1.mlp[0]", "resample", reference=["one two three four five"] * 400),
        Set("L1.mlp[0]", 2.0),
        Scale("L1.mlp[0]", 2.0),
        Clamp("L1.mlp[0]", 0, 1),
        Patch("L1.mlp", "The film was good"),
    ],
    ids=describe,
)
def test_gradients_also_after_a_forward_without(intervention):
    """What an intervention keeps from its first forward, in inference mode, must serve one that wants gradients."""
    model = families.model("bert")
    batch = model.encode(["The film was good"])
    with model.intervene(intervention):
        model.forward(batch)
        weight = model.module.get_input_embeddings().weight
        (gradient,) = torch.autograd.grad(model.forward(batch, grad=True).logits.sum(), weight)
    assert gradient.abs().sum() > 0
