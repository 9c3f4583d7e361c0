"""Knowledge neurons: completeness, an independent implementation, the refinement by hand, a planted fact."""

from __future__ import annotations

import families
import numpy as np
import pytest
import torch
from masked_model import masked_model

import neurowidget as nw
from neurowidget.analysis.intervention.knowledge_neurons import _first_token, _random, _refined, knowledge_neurons
from neurowidget.models import targets
from neurowidget.models.progress import Cancelled

PROMPTS = ["The plot was", "I loved this film", "one two three"]


def probability(model, text, answer):
    batch = model.encode([text])
    return float(targets.evaluate_target(model, batch, targets.resolve(model, batch, targets.probability(answer))))


@pytest.mark.parametrize(
    ("name", "site"), [("gpt2", "mlp"), ("llama", "mlp"), ("gpt_neox", "mlp"), ("t5", "decoder.mlp")]
)
def test_attributions_of_a_layer_add_up_to_what_the_whole_layer_does(name, site):
    """As the steps go to infinity: P with the layer less P without it, at the prediction position."""
    model = families.model(name)
    found = knowledge_neurons(model, PROMPTS[:2], "a", site, layers=[1], steps=200, progress=False)
    for row, text in enumerate(PROMPTS[:2]):
        with model.intervene(nw.Ablate("decoder.L1.mlp" if model.stacks else "L1.mlp"), positions=[-1]):
            without = probability(model, text, "a")
        expected = float(found.probability[row]) - without
        assert found.scores[row, 0].sum() == pytest.approx(expected, abs=2e-2 * abs(expected) + 1e-7)


def test_twenty_steps_are_those_of_the_authors():
    """k / 20 of the layer for k = 0 .. 19, by a hook of PyTorch on the module itself."""
    model = families.model("gpt2")
    found = knowledge_neurons(model, PROMPTS[0], "a", layers=[1], progress=False)
    ids = model.encode([PROMPTS[0]]).input_ids
    module = model.module.transformer.h[1].mlp.c_proj
    kept = []
    handle = module.register_forward_pre_hook(lambda _, args: kept.append(args[0].detach()))
    model.module(ids)
    handle.remove()
    value, total = kept[0][0, -1], 0
    for step in range(20):
        path = (value * step / 20).requires_grad_()

        def replace(_, args, path=path):
            new = args[0].clone()
            new[0, -1] = path
            return (new,)

        handle = module.register_forward_pre_hook(replace)
        p = model.module(ids).logits[0, -1].softmax(-1)[model.tokenizer.encode("a")[0]]
        handle.remove()
        total = total + torch.autograd.grad(p, path)[0]
    np.testing.assert_allclose(found.scores[0, 0], (value * total / 20).numpy(), rtol=1e-3, atol=1e-9)


def test_a_planted_neuron_is_found_and_carries_the_answer():
    """L1.mlp[7] writes what the head reads as the answer; nothing else does as much."""
    model = families.build("gpt2")
    number = model.tokenizer.encode("a")[0]
    with torch.no_grad():
        model.module.transformer.h[1].mlp.c_fc.bias[7] = 3.0
        direction = model.module.lm_head.weight[number]
        model.module.transformer.h[1].mlp.c_proj.weight[7] = 4 * direction / direction.norm()
    found = knowledge_neurons(model, PROMPTS, "a", progress=False, share=1.0, refine=False)
    assert found.neurons == (nw.Neuron(1, 7),)
    assert found.shared[1, 7] == 1
    assert found.suppression_effect < -0.2
    assert found.amplification_effect > 0.2
    assert len(found.control_neurons) == 1
    assert abs((found.control_suppressed / found.probability - 1).mean()) < 0.2
    with model.intervene(nw.Set("L1.mlp[7]", 0), positions=[-1]):
        assert found.suppressed[0] == pytest.approx(probability(model, PROMPTS[0], "a"), rel=1e-5)
    assert found.to_columns()["neuron"] == ["L1.mlp[7]"]


def test_the_share_is_moved_until_two_to_five_are_left():
    counts = np.zeros((2, 10))
    counts[0, :4] = 0.5
    assert _refined(counts, 0.7, True) == ([(0, 0), (0, 1), (0, 2), (0, 3)], 0.5)
    assert _refined(counts, 0.7, False) == ([], 0.7)
    counts[1, :8] = 0.8
    counts[1, :3] = 0.9
    kept, share = _refined(counts, 0.7, True)
    assert (kept, share) == ([(1, 0), (1, 1), (1, 2)], 0.85)
    all_alike = np.full((1, 9), 1.0)
    assert len(_refined(all_alike, 0.7, True)[0]) == 9
    assert _refined(np.zeros((1, 9)), 0.7, True)[0] == []


def test_controls_are_other_neurons_of_the_same_layers():
    chosen = [(0, 1), (0, 2), (1, 3)]
    drawn = _random(chosen, 6, 0)
    assert [layer for layer, _ in drawn] == [0, 0, 1]
    assert not set(drawn) & set(chosen)
    assert drawn == _random(chosen, 6, 0)


def test_masked_models_read_the_mask_and_long_answers_their_first_token():
    model = masked_model()
    mask = model.tokenizer.mask_token
    found = knowledge_neurons(model, [f"the {mask} film", f"{mask} plot"], "a", layers=[1], steps=5, progress=False)
    assert np.isfinite(found.scores).all()
    number, warnings = _first_token(families.model("gpt2"), "Mary and John")
    assert isinstance(number, int)
    assert "the first one" in warnings[0]


def test_mistakes_and_stops():
    with pytest.raises(ValueError, match="need a language-model head"):
        knowledge_neurons(families.model("bert"), PROMPTS, "POS")
    with pytest.raises(ValueError, match="predicts in its decoder"):
        knowledge_neurons(families.model("t5"), PROMPTS, "a")
    with pytest.raises(ValueError, match="threshold and share"):
        knowledge_neurons(families.model("gpt2"), PROMPTS, "a", threshold=0)
    with pytest.raises(Cancelled):
        knowledge_neurons(families.model("gpt2"), PROMPTS, "a", should_stop=lambda: True)
