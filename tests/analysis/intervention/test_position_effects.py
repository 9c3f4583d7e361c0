"""The effect at one token: equal to an intervention at that position, 0 where nothing is changed."""

import families
import numpy as np
import pytest
from hand_model import hand_model

import neurowidget as nw
from neurowidget.analysis.intervention.position_effects import position_effects
from neurowidget.models import targets

TEXT = "Mary gave a drink to John"


@pytest.mark.parametrize("family", families.EIGHT)
def test_equals_an_intervention_at_that_position(family):
    model = families.model(family)
    batch = model.encode([TEXT])
    target = targets.resolve(model, batch, None)
    stack = "encoder" if family in families.SEQ2SEQ else None
    neuron = nw.Neuron(1, 5, "mlp", stack)
    found = position_effects(model, TEXT, neuron, "zero")
    clean = float(targets.evaluate_target(model, batch, target)[0])
    for token in (0, 2, len(found) - 1):
        with model.intervene(nw.Ablate(neuron, "zero"), positions=[token]):
            ablated = float(targets.evaluate_target(model, batch, target)[0])
        assert found[token] == pytest.approx(clean - ablated, abs=1e-5)
    assert np.abs(found).max() > 0


def test_one_token_is_the_whole_effect_of_a_text_of_one_token():
    model = families.model("gpt2")
    ids = [7]
    whole = nw.ablation_effects(model, [ids], neurons=["L0.mlp[3]"], ablation="zero", progress=False)
    assert position_effects(model, ids, "L0.mlp[3]", "zero").tolist() == pytest.approx(
        [whole.for_neuron("L0.mlp[3]")], abs=1e-6
    )


def test_hand_numbers():
    assert position_effects(hand_model(), "one two", "L0.mlp[2]", "zero", targets.logit(0)).tolist() == [3, 6]


@pytest.mark.parametrize("ablation", ["mean", "resample"])
@pytest.mark.parametrize("name", ["bert", "gpt2", "bart"])
def test_means_and_draws_are_those_of_ablation_effects(name, ablation):
    model, reference = families.model(name), list(families.RAGGED_TEXTS) * 40
    found = position_effects(model, TEXT, "L1.mlp[7]", ablation, reference=reference)
    for token in (0, 3):
        alone = nw.ablation_effects(
            model, TEXT, neurons=["L1.mlp[7]"], ablation=ablation, reference=reference, positions=token, progress=False
        )
        assert found[token] == pytest.approx(alone.for_neuron("L1.mlp[7]"), abs=1e-5)


def test_what_is_not_there_is_named():
    with pytest.raises(IndexError, match="48 neurons"):
        position_effects(families.model("bert"), TEXT, "L1.mlp[48]", "zero")
