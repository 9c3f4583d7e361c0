"""Real tokens, texts that stay what they are, gradients as by hand, and a climb that finds the best text there is."""

from __future__ import annotations

import threading

import families
import numpy as np
import pytest
import torch
from hook_dicts import hook_dicts
from planted import MONTHS, planted_model

from neurowidget.analysis.examples.token_search import _RESERVED, TokenSearch, real_tokens, windows_around
from neurowidget.models import hooks
from neurowidget.models.decoding import decode
from neurowidget.models.progress import Cancelled
from neurowidget.neuron import Neuron


def test_real_tokens_are_text():
    for name in ("bert", "gpt2", "llama", "t5", "roberta"):
        model = families.model(name)
        ids = real_tokens(model)
        assert not set(ids.tolist()) & set(model.tokenizer.all_special_ids)
        texts = [decode(model.tokenizer, [i]) for i in ids.tolist()]
        assert all(text.strip() and "\ufffd" not in text for text in texts)
        assert len(ids) > 50


def test_reserved_tokens_are_not_real():
    assert all(
        _RESERVED.fullmatch(t) for t in ("[unused12]", "<unused3>", "<|reserved_special_token_5|>", "<extra_id_0>")
    )
    assert not any(_RESERVED.fullmatch(t) for t in ("unused", "<b>", "[x]", "reserved"))


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "t5", "distilbert", "bloom", "opt", "albert"])
def test_random_texts_survive_and_climb(name):
    model = families.model(name)
    search = TokenSearch(model, Neuron(1, 3), 1, 5)
    rng = np.random.default_rng(0)
    rows = search.random(6, rng)
    assert rows.shape == (6, 5)
    assert search.survives(rows).all()
    before = search.values(rows)
    found, values = search.climb(rows, 3, 16, rng)
    assert search.survives(found).all()
    assert (values >= before).all()
    assert values.max() > before.max()
    # a text on its own gives the same number, read from its string
    best = int(values.argmax())
    batch = model.encode([decode(model.tokenizer, found[best].tolist())])
    value = hooks.record_values(model, batch, [Neuron(1, 3).address])[Neuron(1, 3).address][0, :, 3]
    start = len(search.frame.before) + search.frame.skipped
    inside = value[start : len(search.frame.before) + 5]
    assert float(inside.max()) == pytest.approx(float(values[best]), abs=1e-5)


def test_gains_are_those_of_a_linear_neuron():
    """Neuron 1 is 2 on its words: an exchange changes the sum before the relu by exactly its gain."""
    model = planted_model([MONTHS, ("film", "plot")])
    search = TokenSearch(model, Neuron(0, 1), 1, 4)
    ids = [model.tokenizer.convert_tokens_to_ids(word) for word in ("film", "the", "the", "a")]
    gains = search.gains(np.array([ids]))[0]
    names = [model.tokenizer.convert_ids_to_tokens(int(i)) for i in search.real]
    assert gains.shape == (4, len(names))
    # the neuron is highest at "film": only there anything changes, and any other word but "plot" takes 2 away
    np.testing.assert_allclose(gains[0], [0 if name in ("film", "plot") else -2 for name in names], atol=1e-6)
    np.testing.assert_allclose(gains[1:], 0, atol=1e-6)


def test_gains_against_differences():
    """A small step of one embedding towards another changes the neuron as its gain says."""
    model = families.model("bert")
    neuron = Neuron(2, 7, "residual")
    search = TokenSearch(model, neuron, -1, 4)
    row = search.random(1, np.random.default_rng(1))
    gains = search.gains(row)[0]
    embedding = model.architecture.embeddings
    at, other = search.peak(row[0]), 11
    step = 1e-2

    def value(share: float) -> float:
        table = embedding.weight.detach()
        moved = torch.lerp(table[row[0, at]], table[int(search.real[other])], share)

        def hook(module, args, output):
            output = output.clone()
            output[0, at + len(search.frame.before)] = moved
            return output

        handle = embedding.register_forward_hook(hook)
        try:
            return float(search.values(row)[0])
        finally:
            handle.remove()

    assert (value(step) - value(-step)) / (2 * step) == pytest.approx(gains[at, other], rel=2e-2, abs=1e-3)


def test_the_best_text_of_all_is_found():
    """Neuron 0 is 1 on months and 2 on a month after "old": no exchange of one token alone leads from nothing to 2."""
    model = planted_model([MONTHS, ("film",)], after="old")
    search = TokenSearch(model, Neuron(0, 0), 1, 3)
    rng = np.random.default_rng(0)
    start = np.array([[model.tokenizer.convert_tokens_to_ids(word) for word in ("the", "a", "May")]])
    found, values = search.climb(start, 10, 40, rng)
    words = decode(model.tokenizer, found[0].tolist()).split()
    assert values[0] == 2.0
    assert words[1] == "old"
    assert words[2] in MONTHS


def test_nothing_stays_behind():
    model = families.build("bert")
    before, weights = hook_dicts(model.module), model.weights_hash
    stop = iter([False] * 4 + [True] * 100)
    search = TokenSearch(model, Neuron(1, 3), 1, 4, lambda: next(stop))
    rows = search.random(4, np.random.default_rng(0))
    with pytest.raises(Cancelled):
        search.climb(rows, 50, 8, np.random.default_rng(0))
    assert hook_dicts(model.module) == before
    assert model.weights_hash == weights
    assert all(parameter.grad is None for parameter in model.module.parameters())


def test_another_thread_is_left_alone():
    model = families.model("bert")
    search = TokenSearch(model, Neuron(1, 3), 1, 4)
    rows = search.random(2, np.random.default_rng(0))
    expected, found = model.predict("The plot was not good.").all_logits, []
    running = threading.Thread(target=lambda: found.extend(model.predict("The plot was not good.") for _ in range(5)))
    running.start()
    for _ in range(5):
        search.gains(rows)
    running.join()
    for prediction in found:
        np.testing.assert_array_equal(prediction.all_logits, expected)


def test_windows_hold_the_token():
    model = families.model("gpt2")
    text = "one two three four five"
    ids = model.encode([text]).ids(0)
    windows = windows_around(model, text, len(text) - 1, 3)
    assert windows.tolist() == [ids[-3:]]
    assert windows_around(model, text, 0, 3).tolist() == [ids[:3]]
    middle = next(i for i, (_, end) in enumerate(model.encode([text]).offsets[0]) if end > 9)
    assert windows_around(model, text, 9, 3).tolist() == [ids[i : i + 3] for i in range(middle - 2, middle + 1)]
    assert windows_around(model, text, 0, 99).shape == (0, 99)
    bert = families.model("bert")
    content = bert.encode([text]).ids(0)[1:-1]
    assert windows_around(bert, text, 0, len(content)).tolist() == [content]


def test_what_cannot_be_searched():
    model = families.model("t5")
    with pytest.raises(ValueError, match="decoder"):
        TokenSearch(model, Neuron(0, 1, stack="decoder"), 1, 4)
    with pytest.raises(ValueError, match="takes 64 tokens"):
        TokenSearch(families.model("bert"), Neuron(0, 1), 1, 63)
