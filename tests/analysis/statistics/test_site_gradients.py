"""Values and gradients of sites against numbers worked out by hand."""

from __future__ import annotations

import families
import pytest
import torch
from hand_model import hand_model

from neurowidget.analysis.statistics.site_gradients import layers_of_site, site_gradients
from neurowidget.models import targets
from neurowidget.neuron import LayerSite

SITES = [LayerSite(0), LayerSite(1)]


@pytest.mark.parametrize("frozen", [False, True])
def test_hand_numbers(frozen):
    model = hand_model()
    model.module.requires_grad_(not frozen)
    batch = model.encode(["one two", "two"])
    target = targets.resolve(model, batch, targets.logit(0))
    value, found = site_gradients(model, batch, target, SITES)
    assert value.tolist() == [17, 7]
    activation, gradient = found[SITES[1]]
    assert activation[0].tolist() == [[3, 0, 3], [2, 0, 2]]
    assert gradient[0].tolist() == [[0, 1, 2], [0, 1, 2]]
    assert gradient[1].tolist() == [[0, 1, 2], [0, 0, 0]]  # the padding has no say
    assert found[SITES[0]][1][0].tolist() == [[3, 0, 3], [3, 0, 3]]
    assert not any(t.requires_grad for pair in found.values() for t in pair)
    assert all(p.grad is None for p in model.module.parameters())


def test_a_site_that_the_target_does_not_depend_on():
    model = hand_model()
    batch = model.encode(["one two"])
    target = targets.resolve(model, batch, targets.neuron("L0.mlp[2]", token=1))
    value, found = site_gradients(model, batch, target, SITES)
    assert value.tolist() == [2]
    assert found[SITES[0]][1].tolist() == [[[0, 0, 0], [0, 0, 1]]]
    assert not found[SITES[1]][1].any()
    constant = targets.resolve(model, batch, lambda output, batch: torch.ones(len(batch)))
    assert not site_gradients(model, batch, constant, SITES)[1][SITES[0]][1].any()


def test_layers_of_a_site():
    model = families.model("bart")
    assert [str(site) for site in layers_of_site(model, "decoder.mlp")] == ["decoder.L0.mlp", "decoder.L1.mlp"]
    assert layers_of_site(model, "mlp", [2, 0, 2]) == (LayerSite(2), LayerSite(0))
    assert layers_of_site(model, "embed") == (LayerSite(0, "embed"),)
    with pytest.raises(ValueError, match=r"L5\.mlp"):
        layers_of_site(model, "mlp", [5])
