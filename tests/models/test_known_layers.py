"""Layers that are not computed again: the same answer, and nothing left behind."""

from __future__ import annotations

import threading

import families
import pytest
import torch

import neurowidget as nw
from neurowidget.models import hooks
from neurowidget.models.known_layers import known_layers
from neurowidget.neuron import LayerSite

TEXTS = list(families.RAGGED_TEXTS)
OTHERS = ("albert", "gpt_neo", "bloom")  # one module is every layer, or a block gives its attention weights too
SKIPPING = [name for name in (*families.ENCODERS, *families.CAUSAL) if name not in OTHERS]


def forwards(model):
    return ["forward" in part.__dict__ for part in model.module.modules()]


@pytest.mark.parametrize("name", SKIPPING)
def test_the_answer_is_that_of_a_whole_forward(name):
    model = families.model(name)
    batch = model.encode(TEXTS)
    known = known_layers(model, batch)
    assert known is not None
    rows = [2, 0, 0, 3]
    expected = model.forward(batch)["logits"][rows]
    for layer in range(model.num_layers + 1):
        with known.up_to(layer, rows):
            logits = model.forward(batch.take(rows))["logits"]
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=2e-5)
    if model.labels is None:
        columns = torch.tensor([3, 0, 5, 2])
        with known.up_to(1, rows, columns):
            logits = model.forward(batch.take(rows))["logits"]
        at = (torch.arange(4), columns)
        torch.testing.assert_close(logits[at], expected[at], rtol=1e-5, atol=2e-5)
        assert torch.equal(logits[:, 0], logits[:, 1])  # the logits elsewhere are these too
    assert not any(forwards(model))


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_skipped_blocks_do_not_compute_and_others_do(name):
    model = families.model(name)
    batch = model.encode(TEXTS)
    known = known_layers(model, batch)
    fired = []
    sites = [LayerSite(layer) for layer in range(model.num_layers)]
    never = pytest.raises(hooks.InterventionNeverFired)  # so the recording says of the layers that are skipped
    with never, hooks.recording(model, sites, lambda site, _: fired.append(site.layer)), known.up_to(2, range(4)):
        model.forward(batch)
    assert fired == [2]


def test_other_threads_compute_everything_meanwhile():
    model = families.model("gpt2")
    batch = model.encode(["one two"])
    known = known_layers(model, batch)
    expected = model.forward(batch)["logits"]
    other = model.encode(["film"])
    alone = model.forward(other)["logits"]
    found = []
    with known.up_to(2, [0]):
        thread = threading.Thread(target=lambda: found.append(model.forward(other)["logits"]))
        thread.start()
        thread.join()
        assert torch.equal(model.forward(batch)["logits"], expected)
    assert torch.equal(found[0], alone)


def test_an_error_leaves_the_model_as_it_was():
    model = families.model("gpt2")
    known = known_layers(model, model.encode(["one two"]))
    with pytest.raises(KeyboardInterrupt), known.up_to(2, [0]):
        raise KeyboardInterrupt
    assert not any(forwards(model))


def test_layers_are_not_skipped_where_that_could_be_noticed():
    for name in (*OTHERS, "t5"):
        other = families.model(name)
        assert known_layers(other, other.encode(["one"])) is None
    model = families.build("gpt2")
    batch = model.encode(["one"])
    with model.intervene(nw.Add(torch.ones(32), 0)):
        assert known_layers(model, batch) is None  # it would be added twice
        model.forward(batch)
    handle = model.module.transformer.h[0].register_forward_hook(lambda *_: None)
    assert known_layers(model, batch) is None
    handle.remove()
    model.module.transformer.h[0].forward = model.module.transformer.h[0].forward
    assert known_layers(model, batch) is None  # somebody else's
    del model.module.transformer.h[0].forward
    assert known_layers(model, batch) is not None


def test_hooks_that_transformers_leaves_behind_do_not_matter():
    """After one call with output_hidden_states its modules keep hooks that only collect in another such call."""
    model = families.build("gpt2")
    batch = model.encode(TEXTS)
    with torch.no_grad():
        asked = model.module(**batch.kwargs(), output_hidden_states=True)
    assert any(part._forward_hooks for part in model.module.modules())
    known = known_layers(model, batch)
    assert known is not None
    with known.up_to(1, range(len(TEXTS))):
        logits = model.forward(batch)["logits"]
    torch.testing.assert_close(logits, asked["logits"], rtol=1e-5, atol=2e-5)
