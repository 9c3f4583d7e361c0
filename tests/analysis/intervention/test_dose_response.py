"""A neuron set to a row of values answers as `Set` does."""

from __future__ import annotations

import families
import numpy as np
import pytest
from hand_model import hand_model

import neurowidget as nw
from neurowidget.analysis.intervention.dose_response import dose_response
from neurowidget.models import targets

TEXT = families.RAGGED_TEXTS[0]


def test_hand_numbers():
    curve = dose_response(hand_model(), "one two", "L1.mlp[2]", [0, 1, 2.5], targets.logit(0))
    # 7 without the neuron, and twice its value at each of two tokens; its own values are 3 and 2
    assert curve.target_values.tolist() == [7, 11, 17]
    assert (curve.natural, curve.clean) == (2.5, 17)
    assert curve.labels == ("LABEL_0", "LABEL_1")
    assert curve.probabilities[0] == pytest.approx([1 / (1 + np.exp(7)), 1 / (1 + np.exp(-7))], rel=1e-5)
    one = dose_response(hand_model(), "one two", "L1.mlp[2]", [0], targets.logit(0), positions=[1])
    assert (one.target_values.tolist(), one.natural) == ([13], 2)


@pytest.mark.parametrize("name", families.EIGHT)
def test_it_is_what_set_gives(name, monkeypatch):
    monkeypatch.setattr("neurowidget.analysis.intervention.dose_response.ROW_TOKENS", 40)
    model = families.model(name)
    values = np.linspace(-2, 3, 9)
    curve = dose_response(model, TEXT, "L1.mlp[7]", values)
    batch = model.encode([TEXT])
    target = targets.resolve(model, batch)
    assert curve.clean == pytest.approx(float(targets.evaluate_target(model, batch, target)), abs=1e-5)
    for row, value in enumerate(values):
        with model.intervene(nw.Set("L1.mlp[7]", value)):
            assert curve.target_values[row] == pytest.approx(
                float(targets.evaluate_target(model, batch, target)), abs=1e-5
            )
            prediction = model.predict(TEXT, top=model.vocabulary_size)
        for label, probability in zip(curve.labels, curve.probabilities[row], strict=True):
            assert prediction[label] == pytest.approx(probability, abs=1e-5)
    assert len(curve.labels) == (3 if model.labels else 10)
    assert curve.labels[0] == model.predict(TEXT).label if model.labels is None else "NEG"
    natural = nw.extract(model, [TEXT], sites=["mlp"], progress=False).neuron("L1.mlp[7]").mean()
    assert curve.natural == pytest.approx(float(natural), abs=1e-5)


@pytest.mark.parametrize("values", [[], [[1.0]], [np.nan], 3.0])
def test_values_are_a_list_of_numbers(values):
    with pytest.raises(ValueError, match="list of finite numbers"):
        dose_response(families.model("bert"), TEXT, "L1.mlp[7]", values)


def test_what_is_not_there_is_named():
    model = families.model("bert")
    with pytest.raises(IndexError, match="48 neurons"):
        dose_response(model, TEXT, "L1.mlp[48]", [1.0])
    with pytest.raises(ValueError, match=r"L9\.mlp"):
        dose_response(model, TEXT, "L9.mlp[0]", [1.0])
    with pytest.raises(ValueError, match="no token there"):
        dose_response(model, TEXT, "L1.mlp[0]", [1.0], positions=[40])
