"""group_neurons: every method by its name, a callable like one, real activations, mistakes."""

import numpy as np
import pytest
from made_activations import activations

import neurowidget as nw
from neurowidget.analysis.grouping import METHODS
from neurowidget.analysis.grouping.pca_map import pca_map
from neurowidget.results.neuron_axis import OverNeurons
from neurowidget.results.storage import load

VALUES = np.abs(np.random.default_rng(0).normal(size=(2, 60, 16)))


@pytest.mark.parametrize("method", METHODS)
def test_every_method(method, tmp_path) -> None:
    acts = activations(VALUES)
    found = nw.group_neurons(acts, method)
    assert isinstance(found, OverNeurons)
    assert found.sites == ("L0.mlp", "L1.mlp")
    assert found.place_of("L1.mlp[3]") == 19
    assert str(found.neuron_at(19)) == "L1.mlp[3]"
    assert found.provenance.method == method
    assert nw.group_neurons(acts, METHODS[method]).to_columns() == found.to_columns()
    assert load(found.save(tmp_path / method)).to_columns() == found.to_columns()
    assert nw.group_neurons(acts, method, layers=1).sites == ("L1.mlp",)
    with pytest.raises(IndexError, match="is not here"):
        found.place_of("L2.mlp[0]")


def test_neurons_that_fire_together_are_near_on_the_map() -> None:
    signal = np.random.default_rng(1).normal(size=(80, 2))
    values = np.repeat(signal, 6, axis=1) + 0.1 * np.random.default_rng(2).normal(size=(80, 12))
    found = pca_map(activations(values))
    one, other = found.places[:6], found.places[6:]
    assert np.ptp(one, axis=0).max() < 0.3 < np.abs(one.mean(axis=0) - other.mean(axis=0)).max()
    assert found.explained[0] > 0.9


def test_an_unknown_method_names_the_known() -> None:
    with pytest.raises(ValueError, match="expected one of 'correlation_clusters', 'nmf', 'pca_map', or a callable"):
        nw.group_neurons(activations(VALUES), "kmeans")


@pytest.mark.real
def test_a_real_layer_is_partly_redundant() -> None:
    model = nw.load_model("demo:sentiment")
    from neurowidget.models.bundled import sample_texts

    acts = nw.extract(model, sample_texts("movies")[:60], sites=["residual"], layers=[0, 5], progress=False)
    groups = nw.group_neurons(acts, threshold=0.5)
    assert groups.count == 2 * 384
    assert 0 < groups.redundancy < 0.5
