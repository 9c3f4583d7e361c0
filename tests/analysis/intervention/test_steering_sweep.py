"""What steering costs: nothing at strength 0, and what a naive computation says elsewhere."""

from __future__ import annotations

import families
import numpy as np
import pytest
import torch

import neurowidget as nw
from neurowidget.analysis.intervention.steering_sweep import _rate, _repetition, steering_sweep
from neurowidget.analysis.intervention.steering_vector import steering_vector
from neurowidget.analysis.intervention.typical_values import typical_values
from neurowidget.models.progress import Cancelled
from neurowidget.results.from_array import activations_from_array

PROMPTS = ["The plot", "one two three"]
NEUTRAL = ["The plot was not good.", "I loved this film! It is warm.", "one two three four five"]


@pytest.fixture(scope="module")
def vector():
    model = families.model("gpt2")
    return steering_vector(model, ["good film", "warm film"], ["old house", "no house"], 1, progress=False)


def sweep(vector, strengths=(0, 1.0), **more):
    options = {"neutral": NEUTRAL, "max_new_tokens": 5, "progress": False, **more}
    return steering_sweep(families.model("gpt2"), vector, strengths, PROMPTS, "a", **options)


def test_strength_zero_changes_nothing_and_costs_are_those_of_a_naive_loop(vector):
    model = families.model("gpt2")
    found = sweep(vector)
    assert found.kl[0] == 0
    assert found.written[0] == tuple(model.generate(p, max_new_tokens=5).removeprefix(p) for p in PROMPTS)
    losses, distances = [], []
    for text in NEUTRAL:
        batch = model.encode([text])
        clean = model.forward(batch)["logits"][0, :-1].log_softmax(-1)
        with model.intervene(nw.Add(vector)):
            steered = model.forward(batch)["logits"][0, :-1].log_softmax(-1)
        ids = batch.input_ids[0, 1:]
        losses += (-steered[torch.arange(len(ids)), ids]).tolist()
        distances += torch.nn.functional.kl_div(steered, clean, log_target=True, reduction="none").sum(-1).tolist()
    assert found.perplexity[1] == pytest.approx(np.exp(np.mean(losses)), rel=1e-4)
    assert found.kl[1] == pytest.approx(np.mean(distances), rel=1e-3)
    assert found.kl[1] > 0
    with model.intervene(nw.Add(vector)):
        written = tuple(model.generate(p, max_new_tokens=5).removeprefix(p) for p in PROMPTS)
    assert found.written[1] == written
    assert found.intervention.endswith("added to L1.residual")


def test_any_intervention_can_be_swept_and_concepts_are_counted(vector):
    found = sweep(lambda s: nw.Scale("L1.mlp", s), (1.0, -3.0), concepts={"letters": set("abcdefg")})
    assert found.kl[0] == pytest.approx(0, abs=1e-9)
    assert found.rates["letters"].shape == (2,)
    assert "rate of letters" in found.to_columns()
    half = sweep(nw.Add(vector, strength=0.5), (2.0,))
    np.testing.assert_allclose(half.perplexity, sweep(vector, (1.0,)).perplexity, rtol=1e-6)


def test_steering_only_what_is_generated_leaves_the_answer_to_the_prompt_alone(vector):
    found = sweep(vector, (0.0, 3.0), positions="generated")
    assert (found.target_values[0] == found.target_values[1]).all()
    assert found.kl[1] > 0
    assert (sweep(vector, (0.0, 3.0), positions="prompt").target_values[1] != found.target_values[0]).all()


def test_repetition_and_rates_by_hand():
    model = families.model("gpt2")
    ids = model.tokenizer.encode("abab", add_special_tokens=False)
    assert _repetition(model, "ab") == 0
    text = "a a a a a a"  # six tokens, three 4-grams; those after the first repeat it
    grams = len(model.tokenizer.encode(text, add_special_tokens=False)) - 3
    assert 0 < _repetition(model, text) < 1
    assert grams >= 3
    assert ids
    assert _rate(["A good day", "GOOD"], {"good", "bad"}) == 0.5
    assert _rate([""], {"good"}) == 0


def test_mistakes_and_stops(vector):
    with pytest.raises(ValueError, match="takes a causal language model"):
        steering_sweep(families.model("bert"), vector, [0], PROMPTS)
    with pytest.raises(ValueError, match="finite strengths"):
        sweep(vector, [])
    with pytest.raises(TypeError, match="a SteeringVector, an Add, or a function"):
        sweep("L0.mlp[0]")
    with pytest.raises(Cancelled):
        sweep(vector, should_stop=lambda: True)


def test_typical_values_are_means_and_medians_of_the_labelled_rows():
    values = np.array([[[1.0, 10.0], [2.0, 20.0], [6.0, 60.0], [9.0, 90.0]]])
    acts = activations_from_array(values, labels=["NOUN", "NOUN", "NOUN", "VERB"], tokens=list("abcd"), site="mlp")
    assert typical_values(acts, ["L0.mlp[1]", "L0.mlp[0]"], "NOUN") == nw.Set(["L0.mlp[1]", "L0.mlp[0]"], [30, 3])
    assert typical_values(acts, "L0.mlp[0]", "NOUN", statistic="median").value == (2.0,)
    with pytest.raises(ValueError, match="no token is labelled 'ADJ': there are NOUN, VERB"):
        typical_values(acts, "L0.mlp[0]", "ADJ")
    with pytest.raises(ValueError, match="expected neurons"):
        typical_values(acts, "L0.mlp", "NOUN")
    with pytest.raises(ValueError, match="'mean' or 'median'"):
        typical_values(acts, "L0.mlp[0]", "NOUN", statistic="mode")
