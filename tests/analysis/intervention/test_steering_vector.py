"""Directions against formulas, scikit-learn and a case where the direction is known."""

from __future__ import annotations

import families
import numpy as np
import pytest
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import neurowidget as nw
from neurowidget.analysis.intervention.steering_vector import (
    DIRECTIONS,
    difference_of_means,
    pca,
    probe,
    steering_vector,
)
from neurowidget.models import hooks
from neurowidget.models.progress import Cancelled
from neurowidget.models.readout import stack_context
from neurowidget.models.reference_texts import roles
from neurowidget.neuron import LayerSite

POSITIVE = ["good film", "I loved this warm film", "wonderfully played", "funny and good", "a good plot", "warm"]
NEGATIVE = ["The plot was not good.", "no one", "two spaces", "not the house", "old house", "three four"]


def random_classes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two classes of 12 that differ along one direction only."""
    random = np.random.default_rng(0)
    direction = np.array([2.0, -1.0, 0.5, 0.0])
    values = random.normal(size=(24, 4)) * 0.01
    values[:12] += direction
    assert DIRECTIONS.keys() == {"difference_of_means", "probe", "pca"}
    return values, np.arange(24) < 12, direction / np.linalg.norm(direction)


@pytest.mark.parametrize("method", ["difference_of_means", "pca"])
def test_a_planted_direction_is_found(method):
    values, classes, direction = random_classes()
    found = DIRECTIONS[method](values, classes)
    assert found @ direction / np.linalg.norm(found) > 0.999


def test_directions_equal_scikit_learn():
    random = np.random.default_rng(1)
    values, classes = random.normal(size=(20, 5)), np.arange(20) < 10
    values[:10] += 0.5
    scaler = StandardScaler().fit(values)
    solved = LogisticRegression(max_iter=2000).fit(scaler.transform(values), classes)
    np.testing.assert_allclose(probe(values, classes), solved.coef_[0] / scaler.scale_, rtol=1e-4)
    differences = values[:10] - values[10:]
    component = TruncatedSVD(1, algorithm="arpack").fit(differences).components_[0]
    np.testing.assert_allclose(abs(pca(values, classes) @ component), 1, rtol=1e-6)
    assert differences.mean(axis=0) @ pca(values, classes) > 0
    np.testing.assert_allclose(difference_of_means(values, classes), differences.mean(axis=0))


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama", "t5"])
@pytest.mark.parametrize("tokens", ["mean", "last"])
def test_the_difference_of_means_by_a_naive_loop(name, tokens):
    model = families.model(name)
    found = steering_vector(model, POSITIVE, NEGATIVE[:4], 1, tokens=tokens, progress=False)
    site = LayerSite(1, "residual")
    means, norms = [], []
    for texts in (POSITIVE, NEGATIVE[:4]):
        rows = []
        for text in texts:
            batch = model.encode([text])
            value = hooks.record_values(model, batch, [site])[site][0]
            own = value[(roles(model, stack_context(batch, None)) == 0)[0]]
            rows.append(own[-1] if tokens == "last" else own.mean(dim=0))
            norms.append(own.norm(dim=1).mean())
        means.append(torch.stack(rows).mean(dim=0))
    difference = (means[0] - means[1]).numpy()
    unit = float(torch.stack(norms).mean())
    assert found.unit == pytest.approx(unit, rel=1e-4)
    np.testing.assert_allclose(found.vector, unit * difference / np.linalg.norm(difference), rtol=1e-3, atol=1e-3)
    assert found.distance == pytest.approx(np.linalg.norm(difference) / unit, rel=1e-3)
    assert 0 <= found.held_out_auc <= 1


def test_interventions_that_are_open_do_not_act_and_a_decoder_has_its_own():
    model = families.model("gpt2")
    clean = steering_vector(model, POSITIVE, NEGATIVE, 1, progress=False)
    with model.intervene(nw.Set("L0.mlp", 3.0)):
        assert (steering_vector(model, POSITIVE, NEGATIVE, 1, progress=False).vector == clean.vector).all()
        model.forward(model.encode(["a"]))
    seq2seq = steering_vector(families.model("bart"), POSITIVE, NEGATIVE, 1, "encoder.mlp", "pca", progress=False)
    assert (seq2seq.stack, seq2seq.site, len(seq2seq.vector)) == ("encoder", "mlp", 48)
    assert nw.Add(seq2seq).address == LayerSite(1, "mlp", "encoder")


def test_held_out_texts_tell_a_real_direction_from_chance():
    model = families.model("gpt2")
    words = ["one", "two", "three", "four", "good", "film", "warm", "plot", "house", "funny"]
    separate = steering_vector(
        model, [f"{w} good good good" for w in words], [f"{w} house house house" for w in words], 1, progress=False
    )
    assert separate.held_out_auc > 0.95
    alone = steering_vector(model, ["good"], ["house"], 1, progress=False)
    assert np.isnan(alone.held_out_auc)


def test_mistakes_and_stops():
    model = families.model("gpt2")
    with pytest.raises(ValueError, match="no method 'magic'"):
        steering_vector(model, POSITIVE, NEGATIVE, 1, method="magic")
    with pytest.raises(ValueError, match="pairs of texts, got 6 positive and 5"):
        steering_vector(model, POSITIVE, NEGATIVE[:5], 1, method="pca")
    with pytest.raises(ValueError, match="do not differ"):
        steering_vector(model, POSITIVE, POSITIVE, 1, progress=False)
    with pytest.raises(ValueError, match="has layers 0 to 2"):
        steering_vector(model, POSITIVE, NEGATIVE, 7, progress=False)
    with pytest.raises(ValueError, match="no ordinary token"):
        steering_vector(model, ["a"], NEGATIVE, 1, progress=False)  # the first token of a causal model is its sink
    with pytest.raises(TypeError, match="list of strings"):
        steering_vector(model, "good", NEGATIVE, 1)
    with pytest.raises(Cancelled):
        steering_vector(model, POSITIVE, NEGATIVE, 1, should_stop=lambda: True)
