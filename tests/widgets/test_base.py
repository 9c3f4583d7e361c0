"""What all views share: unknown names refused, errors seen, a fallback beside each display, frozen pages."""

import pytest
import traitlets
from synthetic import activations, attribution, effects, prediction

import neurowidget as nw
from neurowidget.results import Result
from neurowidget.widgets.base import View
from neurowidget.widgets.effect_panel import EffectPanel
from neurowidget.widgets.neuron_heatmap import NeuronHeatmap
from neurowidget.widgets.token_strip import TokenStrip


@pytest.fixture
def strip():
    return TokenStrip(attribution())


def test_a_misspelt_name_is_an_error():
    with pytest.raises(TypeError, match="no selected_tokn"):
        View(selected_tokn=3)


@pytest.mark.parametrize(
    ("result", "widget"),
    [
        (attribution(), TokenStrip),
        (activations(), NeuronHeatmap),
        (effects(), NeuronHeatmap),
        (prediction(), EffectPanel),
    ],
)
def test_every_result_has_its_view(result, widget):
    assert isinstance(nw.show(result), widget)


def test_what_has_no_view_is_refused_with_the_list():
    with pytest.raises(TypeError, match="Activations, Attribution, Effects, Examples, Explanation, Prediction"):
        nw.show("text")


def test_results_are_shown_by_the_hook_that_the_package_fills():
    assert Result.show_hook is not None
    bundle = attribution()._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"].startswith("TokenStrip")


def test_display_is_the_view_and_then_its_static_copy(strip, monkeypatch):
    shown = []

    def display(data, **options):
        shown.append((data, options))

    monkeypatch.setattr("IPython.display.display", display)
    strip._ipython_display_()
    assert len(shown) == 2
    assert "application/vnd.jupyter.widget-view+json" in shown[0][0]
    assert all(isinstance(data, dict) and options["raw"] for data, options in shown)
    assert "+6.0000" in shown[1][0]["text/html"]


def test_selection_is_checked(strip):
    strip.selected_token = 4
    with pytest.raises(traitlets.TraitError, match="tokens 0 to 11"):
        strip.selected_token = 12
    assert strip.selected_token == 4


def test_heatmap_names_what_it_shows():
    heat = NeuronHeatmap(activations())
    heat.selected_neuron = "L2.mlp[39]"
    with pytest.raises(traitlets.TraitError, match="mlp neurons 0 to 39 of layers 0 to 2"):
        heat.selected_neuron = "L2.mlp[40]"


def test_a_handler_that_fails_is_seen(strip, monkeypatch):
    sent = []
    monkeypatch.setattr(strip, "send", sent.append)
    strip._handlers["fail"] = lambda _: 1 / 0
    strip._on_message(strip, {"id": "a", "kind": "fail"}, [])
    assert sent == [{"id": "a", "ok": False, "error": {"type": "ZeroDivisionError", "message": "division by zero"}}]
    assert "division by zero" in strip.last_error
    assert strip._status["state"] == "error"


def test_page_and_frozen_output_hold_the_view(strip, tmp_path):
    path = strip.to_html(tmp_path / "strip.html")
    assert 'data-nw-kind="token-strip"' in path.read_text()
    assert strip.freeze().data.startswith("<iframe sandbox=")


def test_the_state_is_whole_without_buffers():
    heat = NeuronHeatmap(activations())
    assert isinstance(heat._preview["data"], str)
    assert heat._preview["shape"] == [3, 40]
