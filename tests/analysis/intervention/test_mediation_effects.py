"""Mediation: by hand, the identity that always holds, and single runs with neurons exchanged."""

from __future__ import annotations

import families
import numpy as np
import pytest
from hand_model import hand_model

import neurowidget as nw
from neurowidget.analysis.intervention.mediation_effects import mediation_effects
from neurowidget.models import targets
from neurowidget.models.progress import Cancelled

# Words change places, so that any tokenizer gives both prompts of a pair the same number of tokens.
PROMPTS = ["one two three four", "film two one"]
SWAPPED = ["one three two four", "film one two"]


def answer(model, text, target, neurons=None, source=None, positions=None):
    batch = model.encode([text])
    if neurons is None:
        return float(targets.evaluate_target(model, batch, target))
    with model.intervene(nw.Patch(neurons, source), positions=positions):
        return float(targets.evaluate_target(model, batch, target))


def test_worked_out_by_hand():
    """ "one" to "three": layer 0 has (1, 0, 1) and (3, 0, 2), so class 0 goes from 17 to 32.

    With L0.mlp[0] = 3 "one" gets the residual (5, 2), then (5 + 2 * 5 + 1, ...): class 0 is 16 + 7 = 23. With the other
    neurons of "three" and L0.mlp[0] = 1 the residual is (6, 2): class 0 is 6 + 2 * 6 + 1 + 7 = 26.
    """
    found = mediation_effects(hand_model(), "one two", "three two", targets.logit(0), progress=False)
    assert found.total.tolist() == [15]
    assert found.indirect[0, 0] == 23 - 17
    assert found.direct[0, 0] == 26 - 17
    assert found.reverse_indirect[0, 0] == 26 - 32
    assert (found.indirect[:, 1] == [0, 0]).all()  # no neuron 1 fires at a token that differs
    assert found.top(1)[0][:2] == (1, 2)


@pytest.mark.parametrize("name", [*families.EIGHT, "albert"])
def test_total_is_direct_less_the_indirect_effect_of_the_swap_back(name):
    model = families.model(name)
    prefix = "encoder." if model.stacks else ""
    for site in ("neurons", "residual") if name not in ("gpt2", "bert") else ("neurons", "heads", "mlp"):
        there = mediation_effects(model, PROMPTS, SWAPPED, site=prefix + site, layers=[0, 1], progress=False)
        total = np.broadcast_to(there.total[:, None, None], there.direct_by_prompt.shape)
        np.testing.assert_allclose(there.direct_by_prompt - there.reverse_indirect_by_prompt, total, atol=1e-6)
        if site == "residual" and model.kind == "causal_lm":
            last = mediation_effects(model, PROMPTS, SWAPPED, site=site, layers=[model.num_layers - 1], progress=False)
            np.testing.assert_allclose(last.indirect_by_prompt[:, 0, 0], last.total, atol=2e-5)
            np.testing.assert_allclose(last.direct_by_prompt, 0, atol=2e-5)


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
def test_effects_equal_runs_with_the_neuron_exchanged(name):
    model = families.model(name)
    asked = "POS" if model.labels else "a"
    found = mediation_effects(
        model, PROMPTS, SWAPPED, neurons=["L1.mlp[3]", "L1.mlp[7]", "L0.mlp[5]"], target=asked, progress=False
    )
    assert found.layers == (0, 1)
    assert np.isnan(found.indirect[0, 3])
    for row, (text, other) in enumerate(zip(PROMPTS, SWAPPED, strict=True)):
        target = targets.resolve(model, model.encode([text]), asked)
        before, after = answer(model, text, target), answer(model, other, target)
        for neuron in (nw.Neuron(1, 3), nw.Neuron(0, 5)):
            at = (row, found.layers.index(neuron.layer), neuron.index)
            carried = answer(model, text, target, neuron, other) - before
            left = answer(model, other, target, neuron, text) - before
            assert found.indirect_by_prompt[at] == pytest.approx(carried, abs=1e-5)
            assert found.direct_by_prompt[at] == pytest.approx(left, abs=1e-5)
        assert found.total[row] == pytest.approx(after - before, abs=1e-5)


def test_the_scale_of_vig_is_relative_and_at_the_swapped_word():
    model = families.model("gpt2")
    pair = ("a", "o")
    found = mediation_effects(model, PROMPTS[0], SWAPPED[0], pair, "mlp", "vig", progress=False)
    target = targets.resolve(model, model.encode([PROMPTS[0]]), pair)
    ids = [model.encode([text]).input_ids[0] for text in (PROMPTS[0], SWAPPED[0])]
    differ = (ids[0] != ids[1]).nonzero().flatten().tolist()
    assert 0 < len(differ) < len(ids[0])

    def odds(*more):
        return np.exp(answer(model, PROMPTS[0] if not more else more[0], target, *more[1:]))

    base = odds()
    assert found.total[0] == pytest.approx(odds(SWAPPED[0]) / base - 1, abs=1e-5)
    moved = odds(PROMPTS[0], "L1.mlp", SWAPPED[0], differ)
    assert found.indirect[1, 0] == pytest.approx(moved / base - 1, abs=1e-5)
    kept = odds(SWAPPED[0], "L1.mlp", PROMPTS[0], differ)
    assert found.direct[1, 0] == pytest.approx(kept / base - 1, abs=1e-5)
    assert found.reverse_indirect is None
    with pytest.raises(ValueError, match="a target that is a logarithm"):
        mediation_effects(model, PROMPTS[0], SWAPPED[0], targets.probability("a"), scale="vig")


def test_prompts_that_do_not_differ_have_no_effects():
    model = families.model("bert")
    found = mediation_effects(model, PROMPTS, PROMPTS, layers=[1], progress=False)
    for values in (found.total, found.direct, found.indirect):
        assert (values == 0).all()


def test_intervals_come_with_six_prompts():
    model = families.model("gpt2")
    texts = [f"{a} gave a drink" for a in ("Mary", "John", "film", "warm", "good", "plot")]
    others = [f"{a} gave a drink" for a in ("John", "Mary", "plot", "good", "warm", "film")]
    found = mediation_effects(model, texts, others, site="mlp", positions=[-1], progress=False)
    assert found.indirect_interval.shape == (2, 3, 1)
    assert (found.indirect_interval[0] <= found.indirect).all()


def test_mistakes_and_stops():
    model = families.model("gpt2")
    with pytest.raises(ValueError, match="no scale 'loud'"):
        mediation_effects(model, PROMPTS, SWAPPED, scale="loud")
    with pytest.raises(ValueError, match="neurons of the mlp"):
        mediation_effects(model, PROMPTS, SWAPPED, neurons="L0.attention[1]")
    with pytest.raises(Cancelled):
        mediation_effects(model, PROMPTS, SWAPPED, should_stop=lambda: True)
