"""The explorer with Examples: their density and contexts on the card at once, their statistics, and notes beside."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from families import model as family_model

import neurowidget as nw
from neurowidget.analysis.examples.firing_neurons import firing_neurons
from neurowidget.analysis.examples.top_examples import top_examples
from neurowidget.export import arrays
from neurowidget.results.notes import Notes

TEXT = "the cat sat on the mat"
CORPUS = [f"the {a} {v} on the {p}" for a in ("dog", "cat", "man") for v in ("sat", "ran") for p in ("mat", "hill")]
REFERENCE = CORPUS * 40


@pytest.fixture(scope="module")
def bert():
    return family_model("bert")


@pytest.fixture(scope="module")
def examples(bert):
    return top_examples(bert, nw.Corpus(CORPUS), k=4, progress=False)


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    return tmp_path_factory.mktemp("notes") / "notes.json"


@pytest.fixture(scope="module")
def explorer(bert, examples, notes):
    made = nw.NeuronExplorer(bert, TEXT, corpus=CORPUS, examples=examples, reference=REFERENCE, notes=notes)
    assert made.wait(120)
    assert made.last_error is None
    yield made
    made.close()
    assert made.wait(60)


def test_the_card_shows_the_examples_that_were_given(explorer, examples):
    explorer.selected_neuron = "L1.mlp[3]"
    assert explorer.wait(120)
    card, found = explorer._card, examples.for_neuron("L1.mlp[3]")
    assert card["corpus"]["counts"] == found.counts.tolist()
    assert card["corpus"]["percentile"] == pytest.approx(found.percentile(card["activation"]).tolist(), abs=0.01)
    top = [row["values"][row["focus"]] for row in card["examples"] if row["quantile"] == "top"]
    assert top == pytest.approx([one.value for one in found.groups["top"]], rel=1e-4)
    assert card["effect"]["value"] is not None
    assert card["held_out"]["texts"] > 0
    assert card["dose"]["low"] <= min(found.minimum, min(card["activation"]))


def test_the_card_is_there_while_the_worker_is_in_the_middle_of_a_forward(explorer):
    held, go = threading.Event(), threading.Event()

    def steps(stop):
        held.set()
        assert go.wait(60)
        yield 1, 1

    explorer._worker.submit("busy", "a long forward", steps, priority=0)
    try:
        assert held.wait(60)
        explorer.selected_neuron = "L0.mlp[5]"
        assert explorer._card["neuron"] == "L0.mlp[5]"
        assert explorer._card["examples"]
        assert explorer._card["effect"] is None
    finally:
        go.set()
    assert explorer.wait(120)
    assert explorer._card["effect"] is not None


def test_the_statistics_are_those_of_the_examples_and_no_sample_is_read(explorer, examples, bert):
    assert not explorer._sample.ready
    shape = (bert.num_layers, bert.width("mlp"))
    np.testing.assert_allclose(arrays.decode(explorer._spread["mean"]), examples.mean.reshape(shape), rtol=1e-6)
    np.testing.assert_allclose(
        arrays.decode(explorer._spread["values"]) ** 2, examples.variance.reshape(shape), rtol=1e-5
    )
    assert explorer._spread["corpus"] == examples.corpus
    z = (explorer.activations["mlp"][:, 3] - examples.mean.reshape(shape)) / examples.variance.reshape(shape) ** 0.5
    layer, index = np.unravel_index(z.argmax(), shape)
    assert firing_neurons(examples, explorer.activations, token=3).neurons[0] == f"L{layer}.mlp[{index}]"


def test_a_few_neurons_have_examples_and_the_others_the_sample(bert):
    some = top_examples(bert, nw.Corpus(CORPUS), neurons=["L1.mlp[3]"], k=4, progress=False)
    made = nw.NeuronExplorer(bert, TEXT, corpus=CORPUS[:6], examples=some, reference=REFERENCE)
    assert made.wait(120)
    assert made._sample.ready
    assert made.card("L1.mlp[3]")["corpus"]["name"] == some.corpus
    assert made.card("L1.mlp[4]")["corpus"]["name"] == "6 texts of yours"
    assert made.last_error is None
    made.close()


def test_examples_of_another_site_or_model_are_refused(bert, examples):
    with pytest.raises(ValueError, match="site='mlp'"):
        nw.NeuronExplorer(bert, TEXT, site="residual", examples=examples)
    other = replace(examples, provenance=replace(examples.provenance, weights_hash="f" * 64))
    with pytest.raises(ValueError, match="other weights"):
        nw.NeuronExplorer(bert, TEXT, examples=other)
    with pytest.raises(TypeError, match="top_examples"):
        nw.NeuronExplorer(bert, TEXT, examples=CORPUS)


def test_a_note_written_on_the_card_is_in_the_file_and_on_the_page(explorer, notes, monkeypatch):
    replies = []
    monkeypatch.setattr(explorer, "send", replies.append)
    explorer._on_message(None, {"id": "1", "kind": "note", "neuron": "L1.mlp[3]", "text": "places", "tags": ["x"]}, [])
    assert replies[-1]["ok"]
    assert Notes(notes).of("L1.mlp[3]") == {"text": "places", "tags": ["x"]}
    assert explorer.snapshot().state["notes"] == {"L1.mlp[3]": {"text": "places", "tags": ["x"]}}
    assert "examples=examples" in explorer._code
