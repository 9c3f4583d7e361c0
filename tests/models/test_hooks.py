"""Hooks read and edit what they should, and leave no trace."""

from __future__ import annotations

import threading
from typing import Any

import families
import pytest
import torch
from hand_model import hand_model
from hook_dicts import hook_dicts

from neurowidget.models import hooks
from neurowidget.models.context import Context
from neurowidget.models.hooks import InterventionNeverFired
from neurowidget.neuron import LayerSite

MLP = LayerSite(1, "mlp")


def first_site(model: Any, site: str = "mlp", layer: int = 1) -> LayerSite:
    return LayerSite(layer, site, model.stacks[-1] if model.stacks else None)


def double(value: torch.Tensor, context: Context) -> torch.Tensor:
    return 2 * value


def values_of(model: Any, sites: list[LayerSite], text: str = "one two") -> dict[LayerSite, torch.Tensor]:
    seen: dict[LayerSite, torch.Tensor] = {}
    with hooks.recording(model, sites, seen.__setitem__):
        model.forward(model.encode([text]))
    return seen


def test_recording_gives_the_values_worked_out_by_hand():
    sites = [LayerSite(layer, site) for layer in (0, 1) for site in ("mlp", "residual")]
    seen = values_of(hand_model(), sites)
    assert seen[LayerSite(0, "mlp")].tolist() == [[[1, 0, 1], [0, 2, 2]]]
    assert seen[LayerSite(0, "residual")].tolist() == [[[3, 2], [2, 7]]]
    assert seen[LayerSite(1, "mlp")].tolist() == [[[3, 0, 3], [2, 0, 2]]]
    assert seen[LayerSite(1, "residual")].tolist() == [[[10, 5], [7, 9]]]


@pytest.mark.parametrize("recording_first", [True, False])
def test_recordings_see_edited_values_in_whatever_order_blocks_open(recording_first):
    model, seen = hand_model(), {}
    record, edit = hooks.recording(model, [MLP], seen.__setitem__), hooks.editing(model, {MLP: double})
    outer, inner = (record, edit) if recording_first else (edit, record)
    with outer, inner:
        model.forward(model.encode(["one two"]))
    assert seen[MLP].tolist() == [[[6, 0, 6], [4, 0, 4]]]


def test_edits_of_one_site_follow_one_another_also_across_blocks():
    model = hand_model()
    batch = model.encode(["one"])
    seen = {}
    with (
        hooks.editing(model, {MLP: [double, lambda value, context: value + 1]}),
        hooks.editing(model, {MLP: lambda value, context: value * 10}),
        hooks.recording(model, [MLP], seen.__setitem__),
    ):
        model.forward(batch)
    assert seen[MLP].tolist() == [[[70, 10, 70]]]


@pytest.mark.parametrize("name", families.FAMILIES)
def test_recording_leaves_the_forward_bit_equal(name):
    model = families.model(name)
    batch = model.encode(families.RAGGED_TEXTS)
    clean = model.forward(batch)["logits"]
    sites = [
        LayerSite(layer, site, stack)
        for stack in (model.stacks or (None,))
        for layer in range(model.layers(stack))
        for site in model.sites_of(stack)
        if site != "embed" or layer == 0
    ]
    seen: dict[LayerSite, torch.Tensor] = {}
    with hooks.recording(model, sites, seen.__setitem__):
        assert torch.equal(model.forward(batch)["logits"], clean)
    assert set(seen) == set(sites)
    for site, value in seen.items():
        tokens = batch.decoder_input_ids if site.stack == "decoder" else batch.input_ids
        assert value.shape[:2] == tokens.shape, site
    with hooks.editing(model, {site: lambda value, context: value for site in sites}):
        assert torch.equal(model.forward(batch)["logits"], clean)


@pytest.mark.parametrize("name", families.FAMILIES)
@pytest.mark.parametrize("ending", ["success", "error", "interrupt", "interrupted forward"])
def test_hooks_are_gone_and_the_users_own_survive(name, ending):
    model = families.model(name)
    batch = model.encode(["good film"])
    place = model.locate(first_site(model))
    calls: list[str] = []
    raising: list[BaseException] = []

    def user_hook(*args: Any) -> None:
        calls.append("user")
        if raising:
            raise raising[0]

    handles = [place.module.register_forward_hook(user_hook), place.module.register_forward_pre_hook(lambda *_: None)]
    before = hook_dicts(model.module)
    training = [part.training for part in model.module.modules()]
    expected: Any = {"success": None, "error": RuntimeError("mine")}.get(ending, KeyboardInterrupt())

    def work() -> None:
        with (
            hooks.editing(model, {first_site(model): double}),
            hooks.recording(model, [first_site(model)], lambda *_: None),
        ):
            model.forward(batch)
            assert hook_dicts(model.module) != before
            if ending == "interrupted forward":
                raising.append(expected)
                model.forward(batch)
            if expected is not None:
                raise expected

    try:
        if expected is None:
            work()
        else:
            with pytest.raises(type(expected)) as caught:
                work()
            assert caught.value is expected
        assert hook_dicts(model.module) == before
        assert [part.training for part in model.module.modules()] == training
        assert calls
        raising.clear()
        count = len(calls)
        model.forward(batch)
        assert len(calls) > count
    finally:
        for handle in handles:
            handle.remove()


def test_blocks_may_close_in_the_wrong_order():
    model = hand_model()
    before = hook_dicts(model.module)
    first, second = hooks.editing(model, {MLP: double}), hooks.editing(model, {MLP: lambda value, context: value + 100})
    first.__enter__()
    second.__enter__()
    model.forward(model.encode(["one"]))
    first.__exit__(None, None, None)
    seen: dict[LayerSite, torch.Tensor] = {}
    with hooks.recording(model, [MLP], seen.__setitem__):
        model.forward(model.encode(["one"]))
    assert seen[MLP].tolist() == [[[103, 100, 103]]]
    second.__exit__(None, None, None)
    assert hook_dicts(model.module) == before


def test_a_block_that_cannot_be_opened_leaves_nothing(monkeypatch):
    model = hand_model()
    before = hook_dicts(model.module)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model.module.blocks[1].down, "register_forward_pre_hook", refuse)
    with pytest.raises(KeyboardInterrupt), hooks.editing(model, {LayerSite(0, "mlp"): double, MLP: double}):
        pass
    monkeypatch.undo()
    assert hook_dicts(model.module) == before
    assert model.forward(model.encode(["one two"]))["logits"].tolist() == [[17, 14]]


def test_after_an_interrupted_forward_calls_are_counted_anew():
    model = families.model("albert")
    batch = model.encode(["good film"])
    stop = [True]

    def interrupt(*args: Any) -> None:
        if stop:
            raise KeyboardInterrupt

    clean = values_of(model, [LayerSite(1)], "good film")[LayerSite(1)]
    handle = model.locate(LayerSite(1)).module.register_forward_hook(interrupt)
    seen: list[torch.Tensor] = []
    try:
        with hooks.recording(model, [LayerSite(1)], lambda site, value: seen.append(value)):
            with pytest.raises(KeyboardInterrupt):
                model.forward(batch)
            stop.clear()
            model.forward(batch)
    finally:
        handle.remove()
    assert len(seen) == 1
    assert torch.equal(seen[0], clean)


def test_a_shared_module_is_addressed_by_call():
    model = families.model("albert")
    batch = model.encode(families.RAGGED_TEXTS)
    sites = [LayerSite(layer) for layer in range(3)]
    clean = {}
    with hooks.recording(model, sites, clean.__setitem__):
        model.forward(batch)
    assert not torch.equal(clean[sites[0]], clean[sites[1]])
    for layer in range(3):
        given, seen = {}, {}

        def edit(value: torch.Tensor, context: Context, given: Any = given) -> torch.Tensor:
            given["value"] = value
            return torch.zeros_like(value)

        with hooks.editing(model, {sites[layer]: edit}), hooks.recording(model, sites, seen.__setitem__):
            model.forward(batch)
        assert torch.equal(given["value"], clean[sites[layer]])
        for other in range(3):
            expected = torch.zeros_like(clean[sites[layer]]) if other == layer else clean[sites[other]]
            assert torch.equal(seen[sites[other]], expected) == (other <= layer)


def test_another_thread_neither_sees_the_edit_nor_is_recorded():
    model = hand_model()
    batch = model.encode(["one two"])
    seen: list[LayerSite] = []
    answers: list[Any] = []

    def elsewhere() -> None:
        answers.append(model.forward(batch)["logits"].tolist())
        with hooks.editing(model, {MLP: lambda value, context: value * 0}):
            answers.append(model.forward(batch)["logits"].tolist())

    with hooks.editing(model, {MLP: double}), hooks.recording(model, [MLP], lambda site, value: seen.append(site)):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert answers == [[[17, 14]], [[7, 9]]]
        assert seen == []
        assert model.forward(batch)["logits"].tolist() == [[27, 19]]
    assert seen == [MLP]


def test_a_thread_that_only_looks_on_counts_as_never_fired():
    model = hand_model()
    batch = model.encode(["one"])
    thread = threading.Thread(target=model.forward, args=(batch,))
    block = hooks.editing(model, {MLP: double})
    block.__enter__()
    thread.start()
    thread.join()
    with pytest.raises(InterventionNeverFired, match=r"L1\.mlp"):
        block.__exit__(None, None, None)


def test_a_block_without_a_forward_raises_but_never_hides_another_error():
    model = hand_model()
    with pytest.raises(InterventionNeverFired), hooks.recording(model, [MLP], lambda *_: None):
        pass
    with pytest.raises(ZeroDivisionError), hooks.editing(model, {MLP: double}):
        1 / 0  # noqa: B018
    t5 = families.model("t5")
    encoder_inputs = {k: v for k, v in t5.encode(["good"]).kwargs().items() if "decoder" not in k}
    block = hooks.recording(t5, [LayerSite(0, "mlp", "decoder")], lambda *_: None)
    with pytest.raises(InterventionNeverFired, match=r"decoder"), block:
        t5.module.get_encoder()(**encoder_inputs)


def test_a_block_is_entered_once():
    model = hand_model()
    block = hooks.editing(model, {MLP: double})
    with block:
        model.forward(model.encode(["one"]))
    with pytest.raises(RuntimeError, match="entered before"), block:
        pass
