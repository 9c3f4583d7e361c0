"""extract: the right values, in the right rows, of every family, and nothing left behind."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from typing import Any

import families
import numpy as np
import pytest
import torch
from torch import nn

from neurowidget.extraction.activations import extract
from neurowidget.models.interventions import Set
from neurowidget.models.loading import NeuronModel
from neurowidget.models.progress import Cancelled
from neurowidget.neuron import LayerSite
from neurowidget.results.activations import Activations

TEXTS = list(families.RAGGED_TEXTS)
TARGETS = list(families.TARGET_TEXTS)


def quiet(model: NeuronModel, texts: Any, sites: Any = ("mlp",), **options: Any) -> Activations:
    return extract(model, texts, sites, progress=False, **options)


def all_sites(model: NeuronModel) -> tuple[list[str], dict[str, Any]]:
    if not model.stacks:
        return list(model.sites), {}
    return [*model.sites, *(f"decoder.{site}" for site in model.sites_of("decoder"))], {"targets": TARGETS}


def assert_close(a: np.ndarray, b: np.ndarray) -> None:
    """Within 1e-5 of the largest value of each layer."""
    assert a.shape == b.shape
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * max(1.0, float(np.abs(other).max(initial=0))))


def hook_counts(module: nn.Module) -> list[int]:
    names = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called", "_backward_hooks")
    return [len(getattr(part, name)) for part in module.modules() for name in names]


def by_hand(model: NeuronModel, address: LayerSite, text: str, target: str | None) -> np.ndarray:
    """One site of one text with plain PyTorch: the user's tokenizer, one hook, no padding."""
    ids = torch.tensor([model.tokenizer(text)["input_ids"]])
    arguments = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if target is not None:
        wanted = model.tokenizer(text_target=target)["input_ids"]
        arguments["decoder_input_ids"] = torch.tensor([[model.decoder_start_id, *wanted[:-1]]])
    place = model.locate(address)
    seen: list[torch.Tensor] = []

    def after(module: nn.Module, args: Any, output: Any) -> None:
        seen.append(output if isinstance(output, torch.Tensor) else output[0])

    def before(module: nn.Module, args: Any, kwargs: Any) -> None:
        seen.append(args[0] if args else kwargs["hidden_states"])

    if place.side == "output":
        handle = place.module.register_forward_hook(after)
    else:
        handle = place.module.register_forward_pre_hook(before, with_kwargs=True)
    try:
        with torch.no_grad():
            model.module(**arguments)
    finally:
        handle.remove()
    value = seen[place.call or 0]
    return value.reshape(-1, value.shape[-1]).numpy()


@pytest.mark.parametrize("name", families.FAMILIES)
def test_values_are_those_of_plain_pytorch(name):
    model = families.model(name)
    sites, options = all_sites(model)
    acts = quiet(model, TEXTS, sites, batch_tokens=100, **options)
    for site in sites:
        stack, _, plain = site.rpartition(".")
        tokens = acts.tokens_for(site)
        assert acts[site].dtype == np.float32
        for row, layer in enumerate(acts.layers[site]):
            for index, text in enumerate(TEXTS):
                target = TARGETS[index] if model.stacks else None
                expected = by_hand(model, LayerSite(layer, plain, stack or None), text, target)
                assert_close(acts[site][row, tokens.sentence_index == index][None], expected[None])


@pytest.mark.parametrize("name", families.FAMILIES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_text_alone_and_in_a_ragged_batch(name, side, monkeypatch):
    model = families.model(name)
    model.side_for()
    try:
        model.side_for(side)
    except ValueError:
        assert side == "left", "padding on the right is allowed in every family"
        return
    monkeypatch.setattr(type(model), "side_for", lambda self, wanted=None: side)
    sites, options = all_sites(model)
    together = quiet(model, TEXTS, sites, **options)
    for index, text in enumerate(TEXTS):
        alone = quiet(model, [text], sites, **{key: [value[index]] for key, value in options.items()})
        for site in sites:
            rows = together.tokens_for(site).sentence_index == index
            assert_close(together[site][:, rows], alone[site])
            assert together.tokens_for(site).sentence(index).pieces == alone.tokens_for(site).pieces


@pytest.mark.parametrize("name", families.EIGHT)
def test_tokens_are_lossless_and_match_the_ids(name):
    model = families.model(name)
    acts = quiet(model, TEXTS)
    for index, text in enumerate(TEXTS):
        tokens = acts.tokens.sentence(index)
        assert tokens.ids.tolist() == model.tokenizer(text)["input_ids"]
        plain = [piece for piece, special in zip(tokens.pieces, tokens.special, strict=True) if not special]
        assert "".join(plain) == text


@pytest.mark.parametrize("name", ["t5", "bart", "marian"])
def test_decoder_tokens_join_to_the_target(name):
    model = families.model(name)
    acts = quiet(model, TEXTS, ["decoder.mlp", "encoder.residual"], targets=TARGETS)
    assert acts.decoder_tokens is not None
    for index, target in enumerate(TARGETS):
        tokens = acts.decoder_tokens.sentence(index)
        assert tokens.ids[0] == model.decoder_start_id
        assert tokens.ids[1:].tolist() == model.tokenizer(text_target=target)["input_ids"][:-1]
        plain = [piece for piece, special in zip(tokens.pieces, tokens.special, strict=True) if not special]
        assert "".join(plain) == target
    assert acts["decoder.mlp"].shape[1] == len(acts.decoder_tokens)
    np.testing.assert_array_equal(acts.neuron("L1.residual[3]"), acts["encoder.residual"][1, :, 3])


class TestOnlyWhatIsAsked:
    def test_one_layer_of_three_takes_a_third(self):
        model = families.model("bert")
        everything, one = quiet(model, TEXTS), quiet(model, TEXTS, layers=[1])
        assert one["mlp"].nbytes * 3 == everything["mlp"].nbytes
        assert one.layers == {"mlp": (1,)}
        np.testing.assert_array_equal(one["mlp"][0], everything["mlp"][1])
        assert set(one.values) == {"mlp"}

    def test_layers_in_any_order_and_from_the_end(self):
        model = families.model("gpt2")
        acts = quiet(model, TEXTS, ["residual", "embed"], layers=[-1, 0])
        assert acts.layers == {"residual": (2, 0), "embed": (0,)}
        np.testing.assert_array_equal(acts["residual"], quiet(model, TEXTS, "residual")["residual"][[2, 0]])

    @pytest.mark.parametrize("name", families.FAMILIES)
    def test_nothing_above_the_last_site_is_computed(self, name):
        model = families.build(name)
        if name == "albert":  # one module for all layers
            return
        stack, options = ("decoder", {"targets": TARGETS}) if model.stacks else (None, {})
        site = "decoder.residual" if stack else "residual"
        model.side_for()  # this runs whole forwards, once
        calls: list[str] = []
        for layer in (1, model.layers(stack) - 1):
            module = model.locate(LayerSite(layer, "residual", stack)).module
            module.register_forward_pre_hook(lambda *args: calls.append("above"))
        quiet(model, TEXTS, [site], layers=0, **options)
        assert calls == []
        quiet(model, TEXTS, [site], **options)
        assert calls

    def test_no_head_and_no_pooler(self):
        model = families.build("gpt2")
        model.side_for()
        calls: list[int] = []
        model.module.lm_head.register_forward_pre_hook(lambda *args: calls.append(1))
        quiet(model, TEXTS, ["residual"])
        assert calls == []

    def test_the_values_are_no_tensors(self):
        acts = quiet(families.model("bert"), TEXTS)
        assert type(acts["mlp"]) is np.ndarray
        assert not acts["mlp"].flags.writeable


class TestNothingIsLeft:
    @pytest.mark.parametrize("name", families.FAMILIES)
    def test_the_model_answers_as_before(self, name):
        model = families.build(name)
        model.module.train()
        modes = [part.training for part in model.module.modules()]
        batch = model.encode(TEXTS, **({"targets": TARGETS} if model.stacks else {}))
        before, hooks = first_tensor(model.forward(batch)), hook_counts(model.module)
        quiet(model, TEXTS, ["residual"], layers=0)
        assert hook_counts(model.module) == hooks
        assert [part.training for part in model.module.modules()] == modes
        assert torch.equal(first_tensor(model.forward(batch)), before)
        if name != "plain_module":
            with torch.no_grad():
                output = model.module.eval()(**batch.kwargs(), output_hidden_states=True)
            kept = output.get("hidden_states", output.get("encoder_hidden_states"))
            assert len(kept) == model.num_layers + 1

    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
    def test_after_an_interrupt_and_an_error(self, error):
        model = families.build("gpt2")
        hooks = hook_counts(model.module)
        expected = quiet(model, TEXTS)["mlp"]

        def fail(*args: Any) -> None:
            raise error("in the middle")

        handle = model.module.transformer.h[1].register_forward_pre_hook(fail)
        with pytest.raises(error):
            quiet(model, TEXTS, batch_tokens=20)
        handle.remove()
        assert hook_counts(model.module) == hooks
        assert not model.lock._is_owned()
        np.testing.assert_array_equal(quiet(model, TEXTS)["mlp"], expected)

    def test_a_real_interrupt(self):
        """SIGINT while a forward runs, as from the stop button of a notebook; a shell's background job ignores it."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self.interrupted_by_a_signal()
        finally:
            signal.signal(signal.SIGINT, before)

    def interrupted_by_a_signal(self) -> None:
        model = families.build("bert")
        hooks = hook_counts(model.module)
        model.side_for()
        calls = itertools.count()

        def interrupt(*args: Any) -> None:
            if next(calls) == 1:
                os.kill(os.getpid(), signal.SIGINT)

        handle = model.module.bert.encoder.layer[1].register_forward_pre_hook(interrupt)
        with pytest.raises(KeyboardInterrupt):
            quiet(model, TEXTS * 3, batch_tokens=20)
        handle.remove()
        assert hook_counts(model.module) == hooks

    def test_should_stop_is_asked_between_batches(self):
        model = families.build("bert")
        hooks = hook_counts(model.module)
        asked = itertools.count()
        with pytest.raises(Cancelled):
            quiet(model, TEXTS, batch_tokens=20, should_stop=lambda: next(asked) == 2)
        assert next(asked) == 3
        assert hook_counts(model.module) == hooks

    def test_the_hooks_of_the_user_stay_and_run(self):
        model = families.build("llama")
        calls: list[int] = []
        handle = model.module.model.layers[0].register_forward_hook(lambda *args: calls.append(1))
        quiet(model, TEXTS)
        assert calls
        assert handle.id in model.module.model.layers[0]._forward_hooks


class TestInterventions:
    def test_those_of_this_thread_apply_and_are_named(self):
        model = families.model("gpt2")
        plain = quiet(model, TEXTS, ["mlp", "residual"])
        with model.intervene(Set("L1.mlp[3]", 5.0)):
            edited = quiet(model, TEXTS, ["mlp", "residual"])
        assert (edited.neuron("L1.mlp[3]") == 5.0).all()
        np.testing.assert_array_equal(edited["mlp"][0], plain["mlp"][0])
        assert not np.array_equal(edited["residual"][1], plain["residual"][1])
        assert edited.provenance.parameters["interventions"] == ("L1.mlp[3] set to 5",)
        assert plain.provenance.parameters["interventions"] == ()

    def test_one_above_the_last_site_still_fires(self):
        """Else the block of the user would say that it never did."""
        model = families.model("gpt2")
        with model.intervene(Set("L2.mlp[0]", 1.0)):
            acts = quiet(model, TEXTS, layers=0)
        np.testing.assert_array_equal(acts["mlp"], quiet(model, TEXTS, layers=0)["mlp"])

    def test_those_of_other_threads_do_not_apply(self):
        model = families.model("gpt2")
        expected = quiet(model, TEXTS)["mlp"]
        found: list[np.ndarray] = []
        with model.intervene(Set("L0.mlp[0]", 9.0)):
            thread = threading.Thread(target=lambda: found.append(quiet(model, TEXTS)["mlp"]))
            thread.start()
            thread.join()
            quiet(model, ["good"])
        np.testing.assert_array_equal(found[0], expected)


class TestWindows:
    LONG = "The old house near the river was not good and the film was great. " * 12

    @pytest.mark.parametrize("name", ["bert", "gpt2", "roberta"])
    def test_each_token_has_the_value_of_its_window(self, name):
        model = families.model(name)
        longest = model.max_length
        assert longest is not None
        texts = ["good", self.LONG, "film"]
        acts = quiet(model, texts, ["mlp", "residual"], window="overlap")
        tokens = acts.tokens.sentence(1)
        assert tokens.ids.tolist() == model.tokenizer(self.LONG)["input_ids"]
        assert len(tokens) > 2 * longest
        plain = [piece for piece, special in zip(tokens.pieces, tokens.special, strict=True) if not special]
        assert "".join(plain) == self.LONG
        before = int(tokens.special[0])
        size = longest - int(tokens.special.sum())
        body = tokens.ids[~tokens.special].tolist()
        specials = tokens.ids[tokens.special].tolist()
        start = size // 2
        window = [*specials[:before], *body[start : start + size], *specials[before:]]
        by_window = quiet(model, [window])["mlp"]
        token = start + (size - 1 if model.kind == "causal_lm" else size // 2)  # in this window for sure
        row = int(np.flatnonzero(acts.sentence_index == 1)[before + token])
        assert_close(acts["mlp"][:, [row]], by_window[:, [before + token - start]])
        assert_close(acts["mlp"][:, acts.sentence_index != 1], quiet(model, ["good", "film"])["mlp"])
        assert np.isfinite(acts["mlp"]).all()

    def test_words_of_windows(self):
        model = families.model("bert")
        tokens = quiet(model, [self.LONG], window="overlap", batch_tokens=64)
        words = quiet(model, [self.LONG], window="overlap", words="mean", batch_tokens=200)
        first = tokens.tokens.word == 40
        np.testing.assert_allclose(words["mlp"][:, 40], tokens["mlp"][:, first].mean(axis=1), rtol=0, atol=1e-5)

    def test_refused_with_the_count(self):
        model = families.model("bert")
        with pytest.raises(ValueError, match=r"2 of 3 texts have more tokens than the 64 .*text 1 \(\d+\), text 2"):
            quiet(model, ["good", self.LONG, self.LONG])
        with pytest.raises(ValueError, match="shorten them \\("):
            quiet(families.model("bart"), [self.LONG], ["decoder.mlp"], targets=["a"], window="overlap")

    def test_a_tokenizer_without_a_limit(self, monkeypatch):
        model = families.build("bert")
        model.tokenizer.model_max_length = int(1e30)
        with pytest.raises(ValueError, match="more tokens than the 64"):
            quiet(NeuronModel(model.module, model.tokenizer), [self.LONG])


def first_tensor(output: Any) -> torch.Tensor:
    return next(value for value in output.values() if isinstance(value, torch.Tensor))
