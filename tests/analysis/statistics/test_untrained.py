"""An untrained model really has other weights, and the trained one keeps its own."""

from __future__ import annotations

import copy

import pytest
import torch
from families import FAMILIES, model
from torch import nn

from neurowidget.analysis.statistics import untrained as of_untrained
from neurowidget.analysis.statistics.untrained import untrained


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_matrix_is_drawn_again(name):
    trained = model(name)
    before = copy.deepcopy(trained.module.state_dict())
    new = untrained(trained, seed=3)
    for key, weight in new.module.named_parameters():
        if weight.ndim > 1 and weight.requires_grad:
            assert not torch.equal(weight, before[key]), key
            assert float(weight.detach().std()) > 0, key
    assert all(torch.equal(weight, before[key]) for key, weight in trained.module.state_dict().items())
    assert new.sites == trained.sites
    assert new.weights_hash != trained.weights_hash
    assert new.name == f"{trained.name}, untrained, seed 3"


def test_the_seed_decides_and_the_callers_generator_goes_on():
    trained = model("bert")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (untrained(trained, seed=seed).weights_hash for seed in (0, 0, 1))
    assert first == again != other
    assert torch.equal(torch.rand(3), expected)


def test_weights_that_stayed_are_refused(monkeypatch):
    monkeypatch.setattr(of_untrained, "_from_config", lambda module: copy.deepcopy(module))
    with pytest.raises(RuntimeError, match="still has the trained weights"):
        untrained(model("bert"))


def test_weights_that_are_all_equal_are_refused(monkeypatch):
    def zeroed(module: nn.Module) -> nn.Module:
        made = copy.deepcopy(module)
        for weight in made.parameters():
            weight.zero_()
        return made

    monkeypatch.setattr(of_untrained, "_from_config", zeroed)
    with pytest.raises(RuntimeError, match=r"is 0: .* left it unset"):
        untrained(model("bert"))
