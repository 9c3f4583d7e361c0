"""Interventions do what they say, at the tokens they say, in every family, and nothing else."""

from __future__ import annotations

import copy
from typing import Any

import families
import numpy as np
import pytest
import torch
from hand_model import hand_model

from neurowidget.models.interventions import (
    Ablate,
    Add,
    InterventionNeverFired,
    Patch,
    Scale,
    Set,
    active_interventions,
)
from neurowidget.neuron import LayerSite, Neuron

TEXTS = families.RAGGED_TEXTS


def sides(model: Any) -> list[str]:
    """The sides that the family may be padded on."""
    found = []
    for side in ("left", "right"):
        try:
            found.append(model.side_for(side))
        except ValueError:
            continue
    assert found
    return found


def stacks(model: Any) -> tuple[str | None, ...]:
    return model.stacks or (None,)


def encode(model: Any, rows: list[int], side: str = "right") -> Any:
    texts = [TEXTS[row] for row in rows]
    if model.kind == "seq2seq_lm":
        return model.encode(texts, targets=[families.TARGET_TEXTS[row] for row in rows], padding_side=side)
    return model.encode(texts, padding_side=side)


def logits(model: Any, batch: Any, *interventions: Any, positions: Any = None) -> torch.Tensor:
    if not interventions:
        return model.forward(batch)["logits"]
    with model.intervene(*interventions, positions=positions):
        return model.forward(batch)["logits"]


def answer(model: Any, values: torch.Tensor, batch: Any, row: int) -> torch.Tensor:
    """What belongs to the real tokens of one text."""
    if model.kind == "classifier":
        return values[row]
    return values[row, batch.decoder_real(row) if model.kind == "seq2seq_lm" else batch.real(row)]


def hand(*interventions: Any, positions: Any = None, text: str = "one two") -> list[float]:
    model = hand_model()
    return logits(model, model.encode([text]), *interventions, positions=positions)[0].tolist()


# Worked out by hand from tests/hand_model.py


@pytest.mark.parametrize(
    ("interventions", "positions", "expected"),
    [
        ([], None, [17, 14]),
        ([Ablate("L1.mlp[0]")], None, [17, 9]),
        ([Ablate("L1.mlp[0]")], [0], [17, 11]),
        ([Ablate("L1.mlp[0]")], [-1], [17, 12]),
        ([Ablate("L1.mlp[0]")], [0, -1], [17, 9]),
        ([Ablate("L0.mlp[2]")], [0], [14, 12]),
        ([Ablate("L1.mlp")], None, [7, 9]),
        ([Ablate(["L1.mlp[0]", "L1.mlp[2]"])], None, [7, 9]),
        ([Ablate(["L1.mlp[0]", "L1.mlp"])], None, [7, 9]),
        ([Ablate("L1.residual")], [0], [7, 9]),
        ([Set("L1.mlp[1]", 5)], None, [27, 14]),
        ([Set(["L1.mlp[1]", "L1.mlp[0]"], [5, 1])], None, [27, 11]),
        ([Set("L1.mlp", [1, 2, 3])], [1], [21, 13]),
        ([Scale("L1.mlp[2]", 3)], None, [37, 14]),
        ([Scale(["L1.mlp[2]", "L1.mlp[2]"], 3)], None, [37, 14]),
        ([Add([1, -1], layer=0, strength=2)], None, [29, 14]),
        ([Add(np.array([1.0, -1.0]), 0, "residual", 2)], None, [29, 14]),
        ([Patch("L0.mlp", "two one")], [0], [17, 17]),
        ([Patch("L0.mlp", "three three two")], [(0, 2)], [17, 17]),
        ([Patch("L0.mlp", "three three two")], [(-2, -1)], [17, 17]),
        ([Patch("L1.mlp[0]", torch.tensor([[7.0], [8.0]]))], None, [17, 24]),
        ([Patch("L1.mlp[0]", np.array([[7, 0, 0], [8, 0, 0]]))], None, [17, 24]),
        ([Patch(["L1.mlp[2]", "L0.mlp[0]"], torch.tensor([[0.0, 1.0], [0.0, 0.0]]))], None, [7, 14]),
        ([Set("L1.mlp[1]", 5), Scale("L1.mlp[1]", 2)], None, [37, 14]),
        ([Scale("L1.mlp[1]", 2), Set("L1.mlp[1]", 5)], None, [27, 14]),
        ([Ablate([])], None, [17, 14]),
    ],
)
def test_answers_worked_out_by_hand(interventions, positions, expected):
    assert hand(*interventions, positions=positions) == expected


def test_nested_blocks_compose_and_come_apart():
    model = hand_model()
    batch = model.encode(["one two"])
    with model.intervene(Set("L1.mlp[1]", 5)):
        with model.intervene(Scale("L1.mlp[1]", 2), positions=[0]):
            assert logits(model, batch).tolist() == [[32, 14]]
            assert active_interventions(model) == ("L1.mlp[1] set to 5", "L1.mlp[1] scaled by 2 at tokens 0")
        assert logits(model, batch).tolist() == [[27, 14]]
    assert logits(model, batch).tolist() == [[17, 14]]
    assert active_interventions(model) == ()


# Contracts over the families


@pytest.mark.parametrize("name", families.FAMILIES)
def test_a_no_op_is_exactly_zero(name):
    model = families.model(name)
    for side in sides(model):
        no_op_is_exactly_zero(model, side)


def no_op_is_exactly_zero(model: Any, side: str) -> None:
    batch = encode(model, [0, 1, 2, 3], side)
    single = encode(model, [1], side)
    clean, clean_single = logits(model, batch), logits(model, single)
    source: Any = (TEXTS[1], families.TARGET_TEXTS[1]) if model.stacks else TEXTS[1]
    with model.intervene():
        assert torch.equal(logits(model, batch), clean)
    for stack in stacks(model):
        for site in model.sites_of(stack):
            where = LayerSite(0, site, stack)
            assert torch.equal(logits(model, batch, Scale(where, 1.0)), clean), where
            assert torch.equal(logits(model, batch, Scale(Neuron(0, 3, site, stack), 1.0), positions=[0]), clean), where
            assert torch.equal(logits(model, single, Patch(where, source)), clean_single), where
            assert torch.equal(
                logits(model, single, Patch(Neuron(0, 3, site, stack), source), positions=[0]), clean_single
            )
            assert torch.equal(
                logits(model, batch, Add(torch.zeros(model.width(site, stack)), 0, site, stack=stack)), clean
            )


def without_rows(name: str, neurons: list[Neuron]) -> Any:
    """The same model with the neurons' rows of the output projections zeroed, biases as they are."""
    edited = families.build(name)
    for neuron in neurons:
        projection = edited.locate(neuron.address).module
        with torch.no_grad():
            if type(projection).__name__ == "Conv1D":
                projection.weight[neuron.index, :] = 0
            else:
                projection.weight[:, neuron.index] = 0
    return edited


@pytest.mark.parametrize("name", [name for name in families.FAMILIES if name != "albert"])
@pytest.mark.parametrize("site", ["mlp", "attention"])
def test_zero_ablation_equals_a_weight_edit(name, site):
    model = families.model(name)
    batches = [encode(model, [0, 1, 2, 3], side) for side in sides(model)]
    changed = False  # one neuron may be silent on these texts
    for stack in stacks(model):
        width, last = model.width(site, stack), model.layers(stack) - 1
        for neurons in (
            [Neuron(0, 0, site, stack)],
            [Neuron(last, width - 1, site, stack)],
            [Neuron(0, 5, site, stack), Neuron(last, 2, site, stack), Neuron(last, 7, site, stack)],
        ):
            edited = without_rows(name, neurons)
            for batch in batches:
                clean, expected = logits(model, batch), logits(edited, batch)
                found = logits(model, batch, Ablate(neurons))
                real = [answer(model, found - expected, batch, row) for row in range(len(batch))]
                worst = max(float(row.abs().max()) for row in real)  # a weight edit changes padding too
                assert worst <= 1e-5 * max(1.0, float(clean.abs().max())), (neurons, worst)
                changed = changed or not torch.equal(expected, clean)
    assert changed


def kinds_of_interventions(model: Any, stack: str | None) -> list[tuple[Any, Any]]:
    """(interventions, positions), every kind, for texts of any length."""
    neuron, whole = Neuron(1, 3, "mlp", stack), LayerSite(0, "mlp", stack)
    vector = torch.linspace(-1, 1, model.width("residual", stack))
    patch = torch.linspace(-1, 1, model.width("mlp", stack))[None].repeat(1, 1)
    texts = [" ".join(families.RAGGED_TEXTS[:2])] * 60
    return [
        ([Ablate(neuron)], None),
        ([Ablate(whole)], [0]),
        ([Ablate(whole)], [-1]),
        ([Ablate([neuron, whole], "mean", reference=texts)], None),
        ([Ablate([neuron, whole], "resample", reference=texts, seed=3)], None),
        ([Set(neuron, 2.5), Scale(whole, -2.0)], [0, -1]),
        ([Add(vector, 1, stack=stack)], [-1, 0]),
        ([Patch(whole, patch)], [(-1, 0)]),
    ]


@pytest.mark.parametrize("name", families.FAMILIES)
def test_a_batch_equals_singles(name):
    model = families.model(name)
    for side in sides(model):
        batch_equals_singles(model, side)


def batch_equals_singles(model: Any, side: str) -> None:
    rows = [0, 1, 2, 3]
    batch = encode(model, rows, side)
    clean = logits(model, batch)
    for stack in stacks(model):
        for interventions, positions in kinds_of_interventions(model, stack):
            together = logits(model, batch, *interventions, positions=positions)
            assert not torch.equal(together, clean), (stack, interventions)
            for row in rows:
                alone = logits(model, encode(model, [row]), *interventions, positions=positions)[0]
                bound = 1e-5 * max(1.0, float(clean.abs().max()))
                assert (alone - answer(model, together, batch, row)).abs().max() <= bound, (
                    stack,
                    interventions,
                    positions,
                    row,
                )


@pytest.mark.parametrize("name", families.EIGHT)
def test_padding_and_unchosen_tokens_stay_as_they_are(name):
    from neurowidget.models import hooks

    model = families.model(name)
    batch = encode(model, [0, 1, 2, 3])
    for stack in stacks(model):
        site = LayerSite(0, "mlp", stack)
        lengths = batch.decoder_lengths if stack == "decoder" else batch.lengths
        before: dict[LayerSite, torch.Tensor] = {}
        after: dict[LayerSite, torch.Tensor] = {}
        with hooks.recording(model, [site], before.__setitem__):
            model.forward(batch)
        for positions, chosen in (
            (None, lambda n: range(n)),
            ([0, -1], lambda n: {0, n - 1}),
            ([2], lambda n: {2} & set(range(n))),
        ):
            with (
                model.intervene(Set(site, 7.0), positions=positions),
                hooks.recording(model, [site], after.__setitem__),
            ):
                model.forward(batch)
            expected = before[site].clone()
            for row, length in enumerate(lengths):
                expected[row, list(chosen(length))] = 7.0
            assert torch.equal(after[site], expected), positions


@pytest.mark.parametrize("name", families.EIGHT)
def test_gradients_flow_through_edited_tensors(name):
    model = families.build(name)
    model.module.double()
    batch = encode(model, [1])
    stack = stacks(model)[0]
    vector = torch.zeros(model.width("residual", stack), dtype=torch.float64, requires_grad=True)
    with model.intervene(Add(vector, 0, stack=stack), Scale(Neuron(1, 2, "mlp", stack), 0.5)):
        value = model.forward(batch, grad=True)["logits"].flatten()[0]
    (gradient,) = torch.autograd.grad(value, vector)
    step = torch.linspace(-1, 1, len(vector), dtype=torch.float64) * 1e-4
    with model.intervene(Add(step, 0, stack=stack), Scale(Neuron(1, 2, "mlp", stack), 0.5)):
        up = model.forward(batch)["logits"].flatten()[0]
    with model.intervene(Add(-step, 0, stack=stack), Scale(Neuron(1, 2, "mlp", stack), 0.5)):
        down = model.forward(batch)["logits"].flatten()[0]
    assert float(gradient @ step) == pytest.approx(float(up - down) / 2, rel=1e-2)  # RMSNorm computes in float32
    assert float(gradient.abs().max()) > 0
    source: Any = (TEXTS[1], families.TARGET_TEXTS[1]) if model.stacks else TEXTS[1]
    with model.intervene(Patch(Neuron(1, 2, "mlp", stack), source), Ablate(Neuron(1, 3, "mlp", stack), "mean")):
        value = model.forward(batch, grad=True)["logits"].sum()
    parameter = next(p for p in model.module.parameters() if p.requires_grad)
    assert torch.autograd.grad(value, parameter)[0].abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_replaced_values_follow_the_dtype_of_the_model(dtype):
    model = families.build("llama")
    model.module.to(dtype)
    batch = encode(model, [0, 1])
    texts = [TEXTS[1]] * 60
    for intervention in (
        Set("L1.mlp[3]", 2.5),
        Set("L1.mlp[3]", [2.5]),
        Ablate("L1.mlp", "mean", reference=texts),
        Ablate("L1.mlp", "resample", reference=texts),
        Add(torch.ones(32), 1),
        Patch("L1.mlp[3]", np.ones((1, 1))),
    ):
        positions = [(0, 0)] if isinstance(intervention, Patch) else None
        assert logits(model, batch, intervention, positions=positions).dtype == dtype


# Whose thread, and what never happened


@pytest.mark.parametrize("positions", [[50], [-3], [2]])
def test_positions_that_no_text_has_raise(positions):
    with pytest.raises(InterventionNeverFired, match=r"L1\.mlp\[0\] off \(zero\) at tokens"):
        hand(Ablate("L1.mlp[0]"), positions=positions)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Ablate("L1.mlp[3]"), IndexError, r"L1\.mlp has 3 neurons, 0 to 2"),
        (lambda: Ablate("L2.mlp[0]"), ValueError, r"layers 0 to 1"),
        (lambda: Ablate("L1.nothing[0]"), ValueError, r"residual, mlp"),
        (lambda: Ablate("decoder.L1.mlp[0]"), ValueError, r"stack"),
        (lambda: Ablate("mlp"), ValueError, r"L5\.mlp"),
        (lambda: Ablate(3), TypeError, r"L5\.mlp\[131\]"),
        (lambda: Ablate([3]), TypeError, r"L5\.mlp\[131\]"),
        (lambda: Ablate("L1.mlp[0]", "half"), ValueError, r"'zero', 'mean' or 'resample'"),
        (lambda: Ablate("L1.mlp[0]", "zero", reference=["a"]), ValueError, r"mean.*resample"),
        (lambda: Ablate("L1.mlp[0]", "mean", reference="a text"), TypeError, r"list of strings"),
        (lambda: Ablate("L1.mlp[0]", "mean", reference=["one two"] * 3), ValueError, r"6 ordinary.*1,000"),
        (lambda: Set("L1.mlp[0]", float("nan")), ValueError, r"finite"),
        (lambda: Set(["L1.mlp[0]", "L1.mlp[1]"], [1, 2, 3]), ValueError, r"one per neuron \(2\), got 3"),
        (lambda: Set("L1.mlp", [1, 2]), ValueError, r"3 neurons, got 2"),
        (lambda: Set(["L1.mlp[0]", "L1.mlp[0]"], [1, 2]), ValueError, r"once"),
        (lambda: Scale("L1.mlp[0]", "much"), ValueError, r"finite number"),
        (lambda: Add([1, 2, 3], 0), ValueError, r"2 wide.*\(3,\)"),
        (lambda: Patch("L1.mlp", torch.ones(2, 5)), ValueError, r"3 wide.*\(2, 5\)"),
        (lambda: Patch("L1.mlp", "one two three"), ValueError, r"2 tokens and the source 3"),
        (lambda: "L1.mlp[0]", TypeError, r"Ablate, Set, Scale, Clamp, Add or Patch"),
    ],
)
def test_mistakes_say_what_was_given_and_expected(make, error, says):
    with pytest.raises(error, match=says):
        hand(make())


@pytest.mark.parametrize(
    ("positions", "error"),
    [
        ([], ValueError),
        ([True], TypeError),
        (["a"], TypeError),
        ([1.5], TypeError),
        ([(0, 1)], TypeError),
        ([(0, 1, 2)], TypeError),
    ],
)
def test_positions_are_checked(positions, error):
    with pytest.raises(error):
        hand(Ablate("L1.mlp[0]"), positions=positions)


def test_a_source_position_outside_the_source_is_refused():
    with pytest.raises(ValueError, match="position 3 of the source is outside its 3 tokens"):
        hand(Patch("L1.mlp", "one two three"), positions=[(0, 3)])


def test_the_source_of_a_patch_and_the_reference_are_run_clean():
    model = hand_model()
    batch = model.encode(["one two"])
    with model.intervene(Set("L0.mlp", 0.0)), model.intervene(Patch("L0.mlp", "one two")):
        assert logits(model, batch).tolist() == [[17, 14]]
    texts = ["one two"] * 600
    with model.intervene(Set("L1.mlp", 50.0)), model.intervene(Ablate("L1.mlp[0]", "mean", reference=texts)):
        mean = 50 * 2 * 2 + 1 + 1  # both tokens: neuron 2 gives (2, 0) each time, neuron 1 gives (1, 0)
        assert logits(model, batch)[0, 0] == 3 + 2 + mean + 100
        assert logits(model, batch)[0, 1] == 2 + 7 + 2 * 2.5  # the clean mean of 3 and 2


# Text on screens and on the wire


def test_interventions_are_frozen_and_keep_no_hold_on_what_was_given():
    given_neurons = ["L1.mlp[0]"]
    intervention = Ablate(given_neurons)
    given_neurons.append("L1.mlp[1]")
    assert intervention.neurons == (Neuron(1, 0),)
    assert hash(intervention) == hash(Ablate(Neuron(1, 0)))
    assert copy.copy(intervention) == intervention
    vector = np.array([1.0, -1.0], dtype=np.float32)
    add = Add(vector, 0, strength=2)
    vector[:] = 100
    assert hand(add) == [29, 14]
