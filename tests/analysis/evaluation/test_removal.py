"""comprehensiveness, sufficiency, deletion and insertion: by hand on the additive model, random orders, options, mistakes.

With the zero vector as the baseline the first logit of the hand model is 10 + 7 + 25 for "one two three", and 1 for each
token that is gone: without them the target falls by 9, 6 and 24.
"""

import numpy as np
import pytest
from families import model as family_model
from hand_model import hand_model

import neurowidget as nw
from neurowidget.results.storage import load

TEXT = "one two three"
THIRDS = (0, 1 / 3, 2 / 3, 1)


def ablated(**options):
    model = hand_model()
    target = nw.targets.logit("LABEL_0") if "LABEL_0" in model.labels else nw.targets.logit(0)
    return model, target, nw.attribute(model, TEXT, "feature_ablation", target=target, baseline="zero", **options)


def judged(method, **options):
    model, target, attribution = ablated()
    return nw.evaluate(attribution, method, model, target=target, baseline="zero", shares=THIRDS, **options)


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("comprehensiveness", [0, 24, 33, 39]),
        ("sufficiency", [39, 15, 6, 0]),
        ("deletion", [42, 18, 9, 3]),
        ("insertion", [3, 27, 36, 42]),
    ],
)
def test_worked_out_by_hand(method, values, tmp_path) -> None:
    found = judged(method)
    assert found.values.tolist() == [values]
    assert found.score == pytest.approx(np.mean(values))
    assert (found.better_than_random >= 0.5).all(), "no order is better than that of the effects in an additive model"
    best = max if found.larger_is_better else min
    assert best(found.scores[0], *found.control[0]) == found.scores[0]
    assert load(found.save(tmp_path / "f")).values.tolist() == [values]
    assert found.to_columns()[method] == values


@pytest.mark.parametrize("method", ["comprehensiveness", "sufficiency", "deletion", "insertion"])
def test_the_opposite_order_is_the_worst(method) -> None:
    from dataclasses import replace

    model, target, attribution = ablated()
    worst = replace(attribution, scores=-attribution.scores)
    found = nw.evaluate(worst, method, model, target=target, baseline="zero", shares=THIRDS)
    assert (found.better_than_random <= 0.5).all()


def test_the_control_is_seeded_and_random() -> None:
    one, again, other = judged("deletion"), judged("deletion"), judged("deletion", seed=1)
    assert one.control.tolist() == again.control.tolist() != other.control.tolist()
    assert len(set(one.control[0].tolist())) > 1


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_real_families_against_texts_changed_by_hand(name) -> None:
    """A removed token is a mask or pad token: the same as feeding those ids."""
    model = family_model(name)
    text = "The old house was not good"
    attribution = nw.attribute(model, text, "saliency")
    found = nw.evaluate(attribution, "comprehensiveness", model, shares=[1e-9, 1.0])
    ordinary = np.flatnonzero(~attribution.tokens.special)
    first = ordinary[np.argsort(-attribution.scores[ordinary], kind="stable")[0]]
    alone = nw.attribute(model, text, "feature_ablation")
    assert found.values[0, 0] == pytest.approx(alone.scores[first], abs=1e-5)
    assert found.values[0, 1] == pytest.approx(alone.value - alone.baseline_value, abs=1e-5)


def test_several_texts_words_and_magnitude() -> None:
    model = family_model("bert")
    texts = ["The old house was not good", "the film", "good", "a river", "not the house", "the old film was good"]
    attributions = nw.attribute(model, texts, "gradient_x_input", target=0)
    found = nw.evaluate(attributions, "sufficiency", model, target=0, group="words", by="magnitude", draws=3)
    assert found.values.shape == (6, 5)
    assert found.control.shape == (6, 3)
    low, high = found.interval
    assert low <= found.score <= high


def test_mistakes() -> None:
    model, target, attribution = ablated()
    with pytest.raises(ValueError, match=r"explains logit.*pass the same target="):
        nw.evaluate(attribution, "deletion", model, target=nw.targets.logit(1), baseline="zero")
    with pytest.raises(ValueError, match="no option 'baselin'"):
        nw.evaluate(attribution, "deletion", model, target=target, baselin="zero")
    with pytest.raises(ValueError, match="shares from 0 to 1"):
        nw.evaluate(attribution, "deletion", model, target=target, baseline="zero", shares=[50])
    with pytest.raises(ValueError, match="expected one of 'comprehensiveness'"):
        nw.evaluate(attribution, "faithful", model)
    with pytest.raises(ValueError, match="0 attributions"):
        nw.evaluate([], "deletion", model)
    neurons = nw.attribute(family_model("bert"), "good", "gradient_x_activation", site="mlp")
    with pytest.raises(ValueError, match="scores of neurons"):
        nw.evaluate(neurons, "deletion", family_model("bert"))
