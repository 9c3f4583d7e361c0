"""Interventions as lines to read and as what travels to the browser and back; hostile input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurowidget.models.interventions import (
    Ablate,
    Add,
    Patch,
    Scale,
    Set,
    describe,
    from_json,
    to_json,
)


@pytest.mark.parametrize(
    ("intervention", "line"),
    [
        (Ablate("L5.mlp[131]", "mean"), "L5.mlp[131] off (mean)"),
        (Set("L5.mlp[131]", 2.4), "L5.mlp[131] set to 2.4"),
        (Set(["L5.mlp[1]", "L5.mlp[2]"], [1, 2.5]), "L5.mlp[1], L5.mlp[2] set to 1, 2.5"),
        (Scale("decoder.L2.mlp", 2), "decoder.L2.mlp scaled by 2"),
        (Ablate([f"L0.mlp[{i}]" for i in range(20)]), "L0.mlp[0], L0.mlp[1] and 18 more off (zero)"),
        (Add([3, 4], 2, strength=2), "a vector of norm 10 added to L2.residual"),
        (Patch("L5.mlp", "other text"), "L5.mlp patched from 'other text'"),
        (Patch("L5.mlp", np.ones((1, 2))), "L5.mlp patched from given values"),
    ],
)
def test_describe(intervention, line):
    assert describe(intervention) == line


@pytest.mark.parametrize(
    "intervention",
    [Ablate("L5.mlp[131]"), Ablate("decoder.L5.mlp[131]", "mean"), Set("L0.mlp[1]", -2.5), Scale("L0.mlp[1]", 0)],
)
def test_the_wire_form_goes_there_and_back(intervention):
    assert from_json(to_json(intervention)) == intervention


@pytest.mark.parametrize(
    "intervention", [Ablate("L1.mlp"), Ablate(["L1.mlp[0]", "L1.mlp[1]"]), Ablate("L1.mlp[0]", "resample"), Add([1], 0)]
)
def test_what_has_no_wire_form_says_so(intervention):
    with pytest.raises(ValueError, match="wire form"):
        to_json(intervention)


def test_the_reference_of_the_wire_form():
    item = {"kind": "ablate", "neuron": "L1.mlp[0]", "how": "mean"}
    assert from_json(item, reference=["a", "b"]) == Ablate("L1.mlp[0]", "mean", reference=["a", "b"])
    assert from_json(item | {"how": "zero"}, reference=["a"]) == Ablate("L1.mlp[0]")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["ablate", "set", "scale", "patch"]) | JSON,
        "neuron": st.sampled_from(["L1.mlp[0]", "L1.mlp", "L" + "9" * 90 + ".mlp[0]", "x"]) | JSON,
        "how": st.sampled_from(["zero", "mean", "resample"]) | JSON,
        "value": JSON,
    },
)


@settings(max_examples=300, deadline=None)
@given(JSON | ITEMS)
def test_hostile_input_is_refused_with_a_value_error(item):
    try:
        made = from_json(item)
    except ValueError as error:
        message = str(error)
    else:
        message = ""
        assert to_json(made)["neuron"] == str(made.neurons[0])
    assert len(message) < 500
