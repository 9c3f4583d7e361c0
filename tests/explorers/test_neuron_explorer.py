"""The explorer without a browser: traits in, payload out, latest wins, errors seen, work stopped."""

import threading

import numpy as np
import pytest
import traitlets
from families import build
from families import model as family_model

import neurowidget as nw
from neurowidget.explorers import neuron_explorer
from neurowidget.export import arrays

TEXT = "the cat sat on the mat"
CORPUS = [
    f"the {animal} {verb} on the {place}"
    for animal in ("dog", "cat")
    for verb in ("sat", "ran")
    for place in ("mat", "hill")
]
REFERENCE = CORPUS * 40


@pytest.fixture(scope="module")
def bert():
    return family_model("bert")


@pytest.fixture
def explorer(bert):
    made = nw.NeuronExplorer(bert, TEXT, corpus=CORPUS, reference=REFERENCE)
    assert made.wait(120)
    yield made
    made.close()
    assert made.wait(60)


def test_everything_about_a_text_arrives(explorer, bert):
    assert explorer.last_error is None
    assert explorer._status["state"] == "ready"
    assert explorer._text_answered == TEXT
    pieces = [p for p, s in zip(explorer._tokens["pieces"], explorer._tokens["special"], strict=True) if not s]
    assert "".join(pieces) == TEXT
    shape = [bert.num_layers, len(explorer._tokens["pieces"]), bert.width("mlp")]
    assert explorer._activations["shape"] == shape
    assert explorer._before["target"]["name"]
    assert sum(explorer._before["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert len(explorer._attribution["scores"]) == shape[1]
    assert explorer._spread["values"]["shape"] == [shape[0], shape[2]]
    assert len(explorer._effects["top"]) == min(100, shape[0] * shape[2])


def test_what_is_drawn_is_what_extract_says(explorer, bert):
    drawn = arrays.decode(explorer._activations)
    expected = nw.extract(bert, [TEXT], sites=["mlp"], progress=False)["mlp"]
    assert np.abs(drawn - expected).max() <= 2e-3 * max(1, np.abs(expected).max())


def test_a_selected_neuron_gets_its_card(explorer):
    name = explorer.strongest(1)[0]
    explorer.selected_neuron = name
    assert explorer.wait(120)
    card = explorer._card
    assert card["neuron"] == name
    assert card["effect"]["value"] == pytest.approx(explorer.effect_of(name), rel=1e-4, abs=1e-6)
    assert len(card["effect"]["at_token"]) == len(card["activation"])
    assert card["held_out"]["texts"] == len([t for t in CORPUS if t != TEXT])
    assert card["held_out"]["low"] <= card["held_out"]["mean"] <= card["held_out"]["high"]
    assert card["dose"]["x"] == sorted(card["dose"]["x"])
    assert sum(card["corpus"]["counts"]) == card["corpus"]["tokens"]
    assert card["missing"] == {}


def test_an_intervention_changes_the_prediction_and_undoing_it_restores_it(explorer, bert):
    name = explorer.strongest(1)[0]
    explorer.interventions = [{"kind": "set", "neuron": name, "value": 50.0}]
    assert explorer.wait(60)
    with bert.intervene(nw.Set(name, 50.0)):
        expected = bert.predict(TEXT)
    shown = dict(zip(explorer._after["labels"], explorer._after["probabilities"], strict=True))
    assert shown[expected.label] == pytest.approx(expected.probability, abs=1e-6)
    assert explorer._after["asked"] == explorer.interventions
    explorer.interventions = []
    assert explorer.wait(60)
    assert explorer._after is None


def test_fifty_slider_moves_cost_a_handful_of_forwards(explorer, bert, monkeypatch):
    name, gate, calls = explorer.strongest(1)[0], threading.Event(), []
    plain = bert.predict

    def slow(*args, **kwargs):
        calls.append(1)
        gate.wait(10)
        return plain(*args, **kwargs)

    monkeypatch.setattr(bert, "predict", slow)
    for step in range(50):
        explorer.interventions = [{"kind": "set", "neuron": name, "value": float(step)}]
    gate.set()
    assert explorer.wait(60)
    assert len(calls) <= 3
    assert explorer._after["asked"][0]["value"] == 49.0


def test_setting_another_text_replaces_everything(explorer):
    explorer.selected_token = 3
    explorer.text = "a dog"
    assert explorer.wait(120)
    assert explorer._text_answered == "a dog"
    assert explorer._tokens["text"] == "a dog"
    assert explorer._activations["shape"][1] == len(explorer._tokens["pieces"])


def test_an_error_in_the_work_is_on_screen_and_the_next_text_works(explorer, bert, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("broken on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(neuron_explorer, "analyse", broken)
        explorer.text = "a dog"
        explorer.wait(60)
    assert "broken on purpose" in explorer.last_error
    assert explorer._status["state"] == "error"
    explorer.text = "the cat"
    assert explorer.wait(120)
    assert explorer.last_error is None


def test_an_unknown_command_is_answered_with_an_error(explorer, monkeypatch):
    sent = []
    monkeypatch.setattr(explorer, "send", sent.append)
    explorer._on_message(explorer, {"id": "1", "kind": "format disk"}, [])
    explorer._on_message(explorer, {"id": "2", "kind": "ping"}, [])
    explorer._on_message(explorer, "nonsense", [])
    assert sent[0]["ok"] is False
    assert "known" in sent[0]["error"]["message"]
    assert sent[1] == {"id": "2", "ok": True, "result": None}
    assert len(sent) == 2


@pytest.mark.parametrize(
    ("trait", "value"),
    [
        ("selected_neuron", "L99.mlp[0]"),
        ("selected_neuron", "<script>"),
        ("selected_neuron", "L0.attention[0]"),
        ("selected_token", 999),
        ("text", "x" * 200_000),
        ("interventions", [{"kind": "set", "neuron": "L0.mlp[0]", "value": "inf"}]),
        ("interventions", [{"kind": "delete", "neuron": "L0.mlp[0]"}]),
        ("interventions", [{"kind": "set", "neuron": "L0.mlp[99999]", "value": 1.0}]),
    ],
)
def test_what_cannot_be_is_refused(explorer, trait, value):
    before = getattr(explorer, trait)
    with pytest.raises(traitlets.TraitError):
        setattr(explorer, trait, value)
    assert getattr(explorer, trait) == before


def test_bad_state_from_a_browser_is_shown_not_swallowed(explorer):
    explorer.set_state({"selected_neuron": "L99.mlp[0]"})
    assert "L99.mlp[0]" in explorer.last_error
    assert explorer.selected_neuron is None


def test_no_text_is_the_empty_state(bert):
    made = nw.NeuronExplorer(bert, corpus=CORPUS, reference=REFERENCE)
    assert made.wait(60)
    assert made._status["state"] == "empty"
    assert made._tokens == {}


def test_cancel_leaves_the_model_whole():
    bert = build("bert")  # of its own: another explorer may be ending its last step on the shared one
    made = nw.NeuronExplorer(bert, TEXT, corpus=CORPUS, reference=REFERENCE)
    made.cancel()
    assert made.wait(60)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in bert.module.modules())


def test_a_finished_explorer_becomes_a_page_with_its_cards(explorer, tmp_path):
    path = explorer.to_html(tmp_path / "page.html", cards=2)
    text = path.read_text()
    assert len(explorer._cards) == 2
    for name in explorer._cards:
        assert name in text
    assert '"_live":false' in text


def test_copied_code_runs_and_gives_the_same_prediction(explorer, bert, capsys):
    explorer.interventions = [{"kind": "ablate", "neuron": explorer.strongest(1)[0], "how": "zero"}]
    assert explorer.wait(60)
    lines = explorer._code.splitlines()
    assert any("nw.Ablate" in line for line in lines)
    start = lines.index("# the same numbers without the view")
    exec("\n".join(lines[start:]), {"nw": nw, "model": bert, "text": TEXT})
    assert explorer._after["labels"][0] in capsys.readouterr().out


def test_a_model_without_a_head_still_shows_its_neurons():
    whole = family_model("bert")
    made = nw.NeuronExplorer(nw.load_model(whole.module.bert, whole.tokenizer), TEXT, corpus=CORPUS)
    assert made.wait(60)
    assert made.last_error is None
    assert made._effects is None
    made.selected_neuron = "L0.mlp[1]"
    assert made.wait(60)
    assert "head" in made._card["missing"]["effect"]
