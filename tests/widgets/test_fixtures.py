"""The committed fixtures are what the widgets say today.

`NEUROWIDGET_WRITE_FIXTURES=1 pytest tests/widgets/test_fixtures.py` renews them.
"""

import json
import os
from pathlib import Path

import pytest
from synthetic import activations, attribution, effects, prediction
from synthetic_examples import examples, explanations

from neurowidget.widgets.effect_panel import EffectPanel
from neurowidget.widgets.neuron_card import NeuronCard
from neurowidget.widgets.neuron_heatmap import NeuronHeatmap
from neurowidget.widgets.token_strip import TokenStrip

FIXTURES = Path(__file__).parents[2] / "js" / "fixtures"
WIDGETS = {
    "token-strip": lambda: TokenStrip(attribution()),
    "neuron-heatmap": lambda: NeuronHeatmap(activations()),
    "neuron-heatmap-effects": lambda: NeuronHeatmap(effects()),
    "neuron-card": lambda: NeuronCard(examples(effects=True), "L1.mlp[2]", explanations=explanations()),
    "effect-panel": lambda: EffectPanel(prediction(0.75), prediction(0.25, ("L3.mlp[204] off (mean)",))),
}


@pytest.mark.parametrize("name", WIDGETS)
def test_committed_fixture_is_fresh(name):
    fresh = json.dumps(WIDGETS[name]().snapshot().to_json(), indent=1, sort_keys=True) + "\n"
    path = FIXTURES / f"{name}.json"
    if os.environ.get("NEUROWIDGET_WRITE_FIXTURES"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fresh, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == fresh
