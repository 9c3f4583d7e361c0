"""How an extraction runs: copies shared among threads, models that cannot pad, progress."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import families
import numpy as np
import pytest
import torch
from torch import nn

import neurowidget.extraction.forwards as forwards
from neurowidget.extraction.activations import extract
from neurowidget.models.interventions import Set
from neurowidget.models.loading import NeuronModel
from neurowidget.neuron import LayerSite
from neurowidget.results.activations import Activations

TEXTS = list(families.RAGGED_TEXTS)
LONG = "The old house near the river was not good and the film was great. " * 12


def quiet(model: NeuronModel, texts: Any, sites: Any = ("mlp",), **options: Any) -> Activations:
    return extract(model, texts, sites, progress=False, **options)


def assert_close(a: np.ndarray, b: np.ndarray) -> None:
    """Within 1e-5 of the largest value of each layer."""
    assert a.shape == b.shape
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * max(1.0, float(np.abs(other).max(initial=0))))


def hook_counts(module: nn.Module) -> list[int]:
    names = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called", "_backward_hooks")
    return [len(getattr(part, name)) for part in module.modules() for name in names]


class TestSharedCopying:
    """Large sites are copied by several threads, here all of them."""

    @pytest.fixture(autouse=True)
    def shared(self, monkeypatch) -> None:
        monkeypatch.setattr(forwards, "WORTH_SHARING", 0)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)

    def test_the_same_values(self, monkeypatch):
        model, texts = families.model("bert"), [*TEXTS, LONG, *TEXTS]
        for options in ({}, {"words": "mean"}, {"special_tokens": "drop"}):
            shared = quiet(model, texts, ["mlp", "residual"], window="overlap", **options)
            with monkeypatch.context() as alone:
                alone.setattr(forwards, "MOST_THREADS", 1)
                expected = quiet(model, texts, ["mlp", "residual"], window="overlap", **options)
            np.testing.assert_array_equal(shared["mlp"], expected["mlp"])
            np.testing.assert_array_equal(shared["residual"], expected["residual"])

    def test_an_error_in_a_thread_is_raised_and_no_thread_stays(self):
        model = families.build("bert")
        hooks, threads = hook_counts(model.module), threading.active_count()
        with model.intervene(Set("L1.mlp[3]", 70_000.0)), pytest.raises(ValueError, match="past 65,504"):
            quiet(model, ["good", "film", "old"], dtype="float16")
        assert hook_counts(model.module) == hooks
        assert threading.active_count() == threads


class TestMemoryRunsOut:
    """A forward of more than so many tokens fails, after its first layer was already taken."""

    def run_with_room_for(self, tokens: int, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Activations:
        model = families.model("bert")
        last = model.locate(LayerSite(model.num_layers - 1, "mlp")).module
        sizes: list[int] = []

        def full(part: nn.Module, args: tuple[Any, ...]) -> None:
            sizes.append(args[0].shape[0] * args[0].shape[1])
            if sizes[-1] > tokens:
                raise torch.OutOfMemoryError("made up")

        handle = last.register_forward_pre_hook(full)
        try:
            before = hook_counts(model.module)
            found = quiet(model, [*TEXTS, LONG, *TEXTS], ["residual", "mlp"], window="overlap", **options)
            assert hook_counts(model.module) == before
        finally:
            handle.remove()
        assert sizes.count(max(sizes)) == 1, "a batch that was too large is not tried twice"
        return found

    def test_the_texts_of_the_batch_run_again_in_smaller_ones(self, monkeypatch):
        plain = quiet(families.model("bert"), [*TEXTS, LONG, *TEXTS], ["residual", "mlp"], window="overlap")
        longest = int(families.model("bert").max_length or 0)
        tight = self.run_with_room_for(2 * longest, monkeypatch, batch_tokens=100 * longest)
        for site in ("residual", "mlp"):
            assert_close(tight[site], plain[site])

    def test_one_text_that_is_too_much_is_the_users_error(self, monkeypatch):
        with pytest.raises(torch.OutOfMemoryError, match="made up"):
            self.run_with_room_for(3, monkeypatch)


class TestModelsThatCannotPad:
    def test_one_length_at_a_time(self, monkeypatch):
        """A module without an attention mask: texts of one length share a forward, and the numbers are right."""
        model = families.build("plain_module")
        model.arguments = model.arguments - {"attention_mask"}
        sizes: list[tuple[int, ...]] = []
        monkeypatch.setattr(forwards, "assemble", counting(forwards.assemble, sizes))
        acts = quiet(model, [*TEXTS, "good"])
        assert sorted(len(lengths) for lengths in sizes) == [1, 1, 1, 2]
        assert all(len(set(lengths)) == 1 for lengths in sizes)
        assert_close(acts["mlp"], quiet(families.model("plain_module"), [*TEXTS, "good"])["mlp"])

    def test_one_text_at_a_time(self, monkeypatch):
        model = families.build("gpt2")

        def refuse(self: NeuronModel, wanted: Any = None) -> str:
            raise ValueError("Cannot handle batch sizes > 1 if no padding token is defined.")

        monkeypatch.setattr(NeuronModel, "side_for", refuse)
        assert_close(quiet(model, TEXTS)["mlp"], quiet(families.model("gpt2"), TEXTS)["mlp"])


def counting(assemble: Any, sizes: list[tuple[int, ...]]) -> Any:
    def counted(*args: Any) -> Any:
        batch = assemble(*args)
        sizes.append(batch.lengths)
        return batch

    return counted


@contextmanager
def bar_shown(capsys: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    capsys.readouterr()
    found: list[str] = []
    yield found
    found.append(capsys.readouterr().err)


def test_progress_counts_tokens(capsys):
    model = families.model("bert")
    total = len(quiet(model, TEXTS).tokens)
    with bar_shown(capsys) as shown:
        extract(model, TEXTS, ["mlp", "residual"])
    assert "extract mlp, residual" in shown[0]
    assert f"{total}/{total}" in shown[0]
    with bar_shown(capsys) as shown:
        quiet(model, TEXTS)
    assert shown == [""]
