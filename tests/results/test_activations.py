"""Activations: the axes they claim, the neuron they are asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest


def test_neurons_of_stacks(made):
    acts = made["Activations"]()
    np.testing.assert_array_equal(acts.neuron("encoder.L4.mlp[2]"), acts["encoder.mlp"][1, :, 2])
    np.testing.assert_array_equal(acts.neuron("L4.mlp[2]"), acts["encoder.mlp"][1, :, 2])
    assert np.isnan(acts.neuron("decoder.L1.mlp[0]")).all()
    plain = replace(acts, values={"mlp": acts["encoder.mlp"]}, layers={"mlp": (0, 4)}, decoder_tokens=None)
    np.testing.assert_array_equal(plain.neuron("encoder.L0.mlp[1]"), acts["encoder.mlp"][0, :, 1])


def test_what_is_not_there_is_named(made):
    acts = made["Activations"]()
    with pytest.raises(KeyError, match=r"no site 'residual' here; these were extracted: encoder\.mlp, decoder\.mlp"):
        acts["residual"]
    with pytest.raises(KeyError, match=r"decoder\.residual"):
        acts.neuron("decoder.L0.residual[0]")
    with pytest.raises(IndexError, match=r"layer 3 was not extracted; here are layers \(0, 4\)"):
        acts.neuron("L3.mlp[0]")
    with pytest.raises(IndexError, match="3 neurons, 0 to 2"):
        acts.neuron("L4.mlp[3]")


def test_half_precision_stays(made):
    acts = made["Activations"]()
    assert acts["decoder.mlp"].dtype == np.float16
    assert acts["encoder.mlp"].dtype == np.float32


def test_table(made):
    acts = made["Activations"]()
    table = acts.to_pandas()
    assert list(table["stack"]) == ["encoder"] * 6 + ["decoder"] * 6
    assert list(table["encoder.L4.mlp[1]"][:6]) == acts["encoder.mlp"][1, :, 1].tolist()
    assert table["encoder.L4.mlp[1]"][6:].isna().all()
    assert list(table["label"][:4]) == ["DET", None, 3, 1.5]
    assert table.shape == (12, 7 + 2 * 3 + 1 * 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": {"encoder.mlp": np.zeros((1, 6, 3))}}, r"\(2, 6, width\), got \(1, 6, 3\)"),
        ({"values": {"encoder.mlp": np.zeros((2, 6))}}, r"got \(2, 6\)"),
        ({"values": {"mlp": np.zeros((2, 6, 3))}}, "layers says nothing about the site 'mlp'"),
        ({"decoder_tokens": None}, "needs decoder_tokens"),
        ({"labels": (1, 2)}, "2 labels fit neither 6 rows nor 1 texts"),
    ],
)
def test_axes_must_fit(made, change, message):
    with pytest.raises(ValueError, match=message):
        replace(made["Activations"](), **change)


def test_tokens_belong_to_a_text(made):
    tokens = made["Activations"]().tokens
    with pytest.raises(ValueError, match="sentence_index should be 0 to 0, for 1 texts"):
        replace(tokens, sentence_index=np.array([0, 0, 0, 0, 0, 1]))
