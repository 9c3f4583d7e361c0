"""What an edit may return, what it sees of its forward, and clean runs inside other blocks."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import families
import pytest
import torch
from hand_model import hand_model
from hook_dicts import hook_dicts
from torch import nn
from transformers.utils.generic import ModelOutput

from neurowidget.models import hooks
from neurowidget.models.context import Context
from neurowidget.neuron import LayerSite

MLP = LayerSite(1, "mlp")


def double(value: torch.Tensor, context: Context) -> torch.Tensor:
    return 2 * value


def test_compiled_modules_are_refused():
    for compile_it in ("whole", "in place", "block", "forward"):
        model = hand_model()
        if compile_it == "whole":
            model.module = torch.compile(model.module, backend="eager")
        elif compile_it == "in place":
            model.module.compile(backend="eager")
        elif compile_it == "forward":
            model.module.forward = torch.compile(model.module.forward, backend="eager")
        else:
            model.module.blocks[1] = torch.compile(model.module.blocks[1], backend="eager")
        with pytest.raises(RuntimeError, match=r"compiled.*_orig_mod"):
            hooks.editing(model, {MLP: double})
    model = hand_model()
    model.module.blocks[0].compile(backend="eager")  # not on the way to layer 1
    with hooks.editing(model, {MLP: double}):
        assert model.forward(model.encode(["one two"]))["logits"].tolist() == [[27, 19]]


def test_suspended_runs_clean_inside_a_block():
    model = hand_model()
    batch = model.encode(["one two"])
    seen: list[LayerSite] = []
    with hooks.editing(model, {MLP: double}), hooks.recording(model, [MLP], lambda site, value: seen.append(site)):
        with hooks.suspended(model):
            assert model.forward(batch)["logits"].tolist() == [[17, 14]]
            with hooks.editing(model, {MLP: lambda value, context: value * 0}):
                assert model.forward(batch)["logits"].tolist() == [[7, 9]]
        assert seen == []
        assert model.forward(batch)["logits"].tolist() == [[27, 19]]


@pytest.mark.parametrize("name", families.EIGHT)
def test_recorded_values_are_clean_and_end_the_forward_early(name):
    model = families.build(name)
    batch = model.encode(families.RAGGED_TEXTS)
    stack = model.stacks[0] if model.stacks else None
    sites = [LayerSite(1, "mlp", stack), LayerSite(0, "residual", stack)]
    expected: dict[LayerSite, torch.Tensor] = {}
    with hooks.recording(model, sites, expected.__setitem__):
        model.forward(batch)
    before = hook_dicts(model.module)
    found = hooks.record_values(model, batch, sites)
    assert hook_dicts(model.module) == before
    assert list(found) == sites
    assert all(torch.equal(found[site], expected[site]) for site in sites)
    with hooks.editing(model, {sites[1]: double}):
        assert torch.equal(hooks.record_values(model, batch, sites)[sites[0]], expected[sites[0]])
        model.forward(batch)
    last = model.locate(LayerSite(2, "residual", stack)).module
    calls: list[int] = []
    plain = last.forward
    last.forward = lambda *args, **kwargs: calls.append(1) or plain(*args, **kwargs)
    hooks.record_values(model, batch, sites)
    assert calls == []
    handle = model.module.register_forward_hook(lambda *args: None)
    hooks.record_values(model, batch, sites)  # a hook of the user must see the end
    handle.remove()
    assert calls == [1]


def test_an_edit_of_another_shape_is_refused():
    model = hand_model()
    block = hooks.editing(model, {MLP: lambda value, context: value[:, :, :1]})
    with pytest.raises(ValueError, match=r"L1\.mlp.*returned \(1, 1, 1\)"), block:
        model.forward(model.encode(["one"]))


Pair = namedtuple("Pair", ["hidden", "rest"])


class Wrapped(nn.Module):
    """A block that answers in another form."""

    def __init__(self, inner: nn.Module, form: str) -> None:
        super().__init__()
        self.inner, self.form, self.given = inner, form, None

    def forward(self, x: Any) -> Any:
        forms = {
            "tuple": lambda v: (v, "rest"),
            "list": lambda v: [v, "rest"],
            "namedtuple": lambda v: Pair(v, "rest"),
            "ModelOutput": lambda v: ModelOutput(hidden=v, rest="rest"),
            "dict": lambda v: {"hidden": v, "rest": "rest"},
        }
        return forms[self.form](self.inner(x))


class Unwrap(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.given: Any = None

    def forward(self, x: Any) -> torch.Tensor:
        self.given = x
        return x["hidden"] if isinstance(x, dict) else x[0]


@pytest.mark.parametrize("form", ["tuple", "list", "namedtuple", "ModelOutput", "dict"])
def test_outputs_keep_their_type_and_their_other_parts(form):
    model = hand_model()
    place = model.locate(LayerSite(1, "residual"))
    wrapped, unwrap = Wrapped(place.module, form), Unwrap()
    model.module.blocks[1] = nn.Sequential(wrapped, unwrap)
    object.__setattr__(place, "module", wrapped)
    with hooks.editing(model, {LayerSite(1, "residual"): double}):
        assert model.forward(model.encode(["one two"]))["logits"].tolist() == [[34, 28]]
    kinds = {"namedtuple": Pair, "ModelOutput": ModelOutput, "tuple": tuple, "list": list, "dict": dict}
    assert type(unwrap.given) is kinds[form]
    assert (unwrap.given["rest"] if isinstance(unwrap.given, dict) else unwrap.given[1]) == "rest"


def test_the_edit_must_not_write_and_the_users_tensor_stays():
    model = hand_model()
    batch = model.encode(["one two"])
    ids = batch.input_ids.clone()
    with hooks.editing(model, {LayerSite(0, "mlp"): double}):
        model.forward(batch)
    assert torch.equal(batch.input_ids, ids)
    assert model.forward(batch)["logits"].tolist() == [[17, 14]]


@pytest.mark.parametrize("side", ["left", "right"])
def test_context_knows_padding_and_own_positions(side):
    model = families.model("llama")
    batch = model.encode(families.RAGGED_TEXTS, padding_side=side)
    contexts: list[Context] = []
    with hooks.editing(model, {LayerSite(0): lambda value, context: contexts.append(context) or value}):
        model.forward(batch)
    (context,) = contexts
    assert torch.equal(context.attention_mask, batch.attention_mask)
    assert torch.equal(context.input_ids, batch.input_ids)
    assert context.offset == 0
    for row, length in enumerate(batch.lengths):
        assert context.positions()[row, batch.real(row)].tolist() == list(range(length))
        assert int((context.positions()[row] == -1).sum()) == batch.input_ids.shape[1] - length
        chosen = context.selected([-1])[row].nonzero().flatten().tolist()
        assert chosen == [range(batch.input_ids.shape[1])[batch.real(row)][-1]]


def test_positions_before_a_text_choose_nothing_not_its_padding():
    context = Context(torch.tensor([[1, 1, 0], [1, 1, 1]]))
    assert context.selected([-3]).tolist() == [[False, False, False], [True, False, False]]
    assert context.selected([-1]).tolist() == [[False, True, False], [False, False, True]]


def test_lengths_of_prompts_follow_their_beams():
    from neurowidget.models.context import read_context

    model = families.model("llama")
    ids = torch.zeros(4, 5).long()
    context = read_context(model.module, (ids,), {"attention_mask": torch.ones_like(ids)}, torch.tensor([2, 4]))
    assert context is not None
    assert context.lengths.tolist() == [2, 2, 4, 4]


def test_context_of_a_part_that_is_called_by_itself():
    model = hand_model()
    contexts: list[Context] = []
    with hooks.editing(model, {MLP: lambda value, context: contexts.append(context) or value}):
        model.module.blocks[1](torch.ones(2, 3, 2))
    assert contexts[0].attention_mask.tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("form", ["bool", "additive", "dict"])
def test_context_reads_masks_of_four_axes(form):
    from neurowidget.models.context import read_context

    own = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]]).bool()
    allowed = own[:, None, None, :] & torch.ones(4, 4).tril().bool()
    mask = {
        "bool": allowed,
        "additive": torch.where(allowed, 0.0, -1e9),
        "dict": {"sliding": None, "full_attention": allowed},
    }
    model = families.model("llama")
    context = read_context(model.module, (torch.zeros(2, 4).long(),), {"attention_mask": mask[form]})
    assert context is not None
    assert context.positions().tolist() == [[-1, -1, 0, 1], [0, 1, 2, 3]]
