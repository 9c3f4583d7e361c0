"""The runs themselves: which row is changed how, and that nothing changed is nothing."""

from __future__ import annotations

import families
import pytest
import torch

import neurowidget as nw
from neurowidget.analysis.intervention.exact_effects import Job, exact_effects
from neurowidget.models import hooks, targets
from neurowidget.models.batching import Side
from neurowidget.models.loading import NeuronModel
from neurowidget.models.readout import stack_context
from neurowidget.neuron import LayerSite

TEXTS = list(families.RAGGED_TEXTS)


def sides(model: NeuronModel) -> list[Side]:
    """Where this family may be padded: a classifier that reads the first token may not be padded before it."""
    return ["left", "right"] if model.kind.endswith("lm") and model.family != "bart" else ["right"]


@pytest.mark.parametrize("name", families.EIGHT)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_replacement_by_the_value_itself_is_exactly_nothing(name, side, monkeypatch):
    """The values are those of the very forward that is edited: nothing may be left of another shape or row."""
    model = families.model(name)
    side = side if side in sides(model) else "right"
    monkeypatch.setattr("neurowidget.analysis.intervention.exact_effects.CPU_TOKENS", 400)
    batch = model.encode(TEXTS, padding_side=side)
    target = targets.resolve(model, batch)
    site = LayerSite(1, "mlp")
    copies = 400 // batch.input_ids.numel()
    seen: dict[LayerSite, torch.Tensor] = {}
    with hooks.recording(model, [site], seen.__setitem__):
        model.forward(batch.take(list(range(len(batch))) * copies))
    chosen = stack_context(batch, None).selected(None)
    jobs = [
        Job(nw.Neuron(1, index), seen[site][copy * len(batch) : (copy + 1) * len(batch), :, index], chosen)
        for copy, index in enumerate(range(copies))
    ]
    clean, effects = exact_effects(model, batch, target, jobs)
    assert copies > 1
    assert (effects == 0).all()
    expected = targets.evaluate_target(model, batch, target)
    torch.testing.assert_close(clean, expected.double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", families.EIGHT)
def test_sides_of_padding_agree_and_jobs_of_several_layers_share_a_forward(name):
    model = families.model(name)
    found = []
    for side in sides(model):
        batch = model.encode(TEXTS, padding_side=side)
        target = targets.resolve(model, batch)
        chosen = stack_context(batch, None).selected([0, -1])
        jobs = [Job(nw.Neuron(layer, i), torch.full(chosen.shape, 2.0), chosen) for layer in (1, 0) for i in (5, 9)]
        _, effects = exact_effects(model, batch, target, jobs)
        found.append(effects)
        for column, job in enumerate(jobs):
            with model.intervene(nw.Set(job.neuron, 2.0), positions=[0, -1]):
                changed = targets.evaluate_target(model, batch, target).double()
            clean = targets.evaluate_target(model, batch, target).double()
            torch.testing.assert_close(effects[:, column], clean - changed, rtol=0, atol=1e-5)
    torch.testing.assert_close(found[0], found[-1], rtol=0, atol=1e-5)


def test_no_jobs_give_the_clean_value():
    model = families.model("bert")
    batch = model.encode(TEXTS)
    clean, effects = exact_effects(model, batch, targets.resolve(model, batch), [])
    assert clean.shape == (4,)
    assert effects.shape == (4, 0)
