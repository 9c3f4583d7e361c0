"""The card of a neuron: chosen from Python and from the browser, noted, exported, and never silent about an error."""

import json

import pytest
import traitlets
from synthetic_examples import HOSTILE, examples, explanations

import neurowidget as nw
from neurowidget.results.notes import Notes
from neurowidget.widgets import neuron_card
from neurowidget.widgets.neuron_card import NeuronCard


class Browser:
    """What a view is told and what it answers."""

    def __init__(self, view, monkeypatch):
        self.view, self.replies = view, []
        monkeypatch.setattr(view, "send", self.replies.append)

    def ask(self, kind, **payload):
        self.view._on_message(None, {"id": "1", "kind": kind, **payload}, [])
        return self.replies[-1]


def test_it_opens_on_the_asked_neuron_or_on_the_first_that_is_explained():
    made = examples()
    assert NeuronCard(made).selected_neuron == "L0.mlp[0]"
    assert NeuronCard(made, nw.Neuron(1, 1))._card["neuron"] == "L1.mlp[1]"
    explained = NeuronCard(made, explanations=explanations())
    assert explained.selected_neuron == "L1.mlp[2]"
    assert [e["method"] for e in explained._card["explanations"]] == ["top words", "compositional"]


def test_show_knows_examples_and_explanations():
    assert isinstance(nw.show(examples()), NeuronCard)
    alone = nw.show(explanations()[0])
    assert alone.selected_neuron == "L1.mlp[2]"
    assert alone._card["explanations"][0]["score"] == 0.625
    assert alone._card["missing"]["examples"].startswith("give the Examples")


def test_a_neuron_that_is_not_there_is_refused_and_the_card_stays():
    card = NeuronCard(examples(), "L1.mlp[2]")
    with pytest.raises(traitlets.TraitError, match="L9"):
        card.selected_neuron = "L9.mlp[0]"
    with pytest.raises(traitlets.TraitError, match="expected a neuron"):
        card.selected_neuron = "nonsense"
    assert card._card["neuron"] == "L1.mlp[2]"
    with pytest.raises(traitlets.TraitError, match="is not here"):
        NeuronCard(examples(), "L7.mlp[0]")


def test_a_browser_that_asks_for_what_is_not_there_sees_the_error(monkeypatch):
    card = NeuronCard(examples())
    browser = Browser(card, monkeypatch)
    assert browser.ask("card", neuron="L9.mlp[0]")["error"]["type"] == "IndexError"
    assert "L9.mlp[0]" in card.last_error
    assert card._status["state"] == "error"
    card.selected_neuron = "L1.mlp[0]"
    assert (card.last_error, card._status["state"]) == (None, "ready")


def test_the_index_is_answered_once_it_is_asked_for(monkeypatch):
    browser = Browser(NeuronCard(examples()), monkeypatch)
    answer = browser.ask("index")
    assert answer["ok"]
    assert len(answer["result"]["neurons"]) == 6
    json.dumps(answer, allow_nan=False)


def test_notes_from_the_browser_reach_the_file_and_python(tmp_path, monkeypatch):
    path = tmp_path / "notes.json"
    card = NeuronCard(examples(), notes=path)
    browser = Browser(card, monkeypatch)
    assert browser.ask("note", neuron="L1.mlp[2]", text="negation", tags=["a"])["ok"]
    assert card.notes == {"L1.mlp[2]": {"text": "negation", "tags": ["a"]}}
    assert Notes(path).of("L1.mlp[2]")["text"] == "negation"
    card.notes = {"L0.mlp[0]": {"text": "from Python", "tags": []}}
    assert Notes(path).read() == card.notes
    assert card._notes_file == "notes.json"


def test_a_note_that_cannot_be_kept_is_an_error_on_screen(tmp_path, monkeypatch):
    card = NeuronCard(examples(), notes=tmp_path / "notes.json")
    browser = Browser(card, monkeypatch)
    answer = browser.ask("note", neuron="L1.mlp[2]", text="x" * 5000)
    assert "4,000" in answer["error"]["message"]
    assert card.notes == {}
    with pytest.raises(traitlets.TraitError, match="a note is"):
        card.notes = {"L1.mlp[2]": "text"}


def test_without_a_file_notes_stay_in_the_view(monkeypatch):
    card = NeuronCard(examples())
    browser = Browser(card, monkeypatch)
    browser.ask("note", neuron="L1.mlp[2]", text="a")
    assert card.notes["L1.mlp[2]"]["text"] == "a"
    browser.ask("note", neuron="L1.mlp[2]")
    assert card.notes == {}


def test_a_page_has_what_was_looked_at_and_what_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(neuron_card, "SAVED_CARDS", 2)
    card = NeuronCard(examples(layers=2, width=30), "L0.mlp[0]")
    for name in ("L0.mlp[1]", "L1.mlp[2]"):
        card.selected_neuron = name
    state = card.snapshot().state
    assert state["_neurons"] == ["L0.mlp[1]", "L1.mlp[2]"]
    assert "2 of 60 neurons" in state["_notes"][-1]
    page = card.to_html(tmp_path / "x.html", neurons=["L1.mlp[29]"]).read_text(encoding="utf-8")
    assert '"_neurons":["L0.mlp[1]","L1.mlp[2]","L1.mlp[29]"]' in page
    assert card.snapshot().state["_neurons"] == ["L0.mlp[1]", "L1.mlp[2]"]


def test_some_neurons_are_listed_and_all_need_no_list():
    assert NeuronCard(examples())._neurons is None
    assert NeuronCard(None, explanations=explanations())._neurons == ["L1.mlp[2]"]


def test_nothing_to_show_is_a_state_and_other_things_are_refused():
    assert NeuronCard(None)._status["state"] == "empty"
    with pytest.raises(TypeError, match="top_examples"):
        NeuronCard("examples")
    with pytest.raises(TypeError, match="explain_neuron"):
        NeuronCard(examples(), explanations=["text"])


def test_the_static_copy_has_the_strongest_examples_as_inert_text():
    fallback = NeuronCard(examples(texts=HOSTILE)).fallback_html()
    assert "&lt;script&gt;alert(1)" in fallback
    assert "<script" not in fallback
