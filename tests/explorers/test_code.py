"""The copied Python reproduces the state and is safe for any text."""

import ast

from neurowidget.explorers import code

HOSTILE = 'quote " and \' and """ and \\ and \n new line'
ITEMS = [
    {"kind": "ablate", "neuron": "L3.mlp[2]", "how": "mean"},
    {"kind": "set", "neuron": "L4.mlp[7]", "value": 2.5},
    {"kind": "scale", "neuron": "L4.mlp[8]", "value": 0.0},
]


def test_code_of_a_plain_state():
    assert code.reproduce("demo:sentiment", "A film.", "mlp", "auto", [], None, None) == (
        "import neurowidget as nw\n\nmodel = nw.load_model('demo:sentiment')\ntext = 'A film.'\n\n"
        "explorer = nw.NeuronExplorer(model, text)\nexplorer\n\n"
        "# the same numbers without the view\nprint(model.predict(text))\n"
    )


def test_code_names_every_part_of_the_state():
    made = code.reproduce("gpt2", "A film.", "attention", "POS - NEG", ITEMS, "L3.mlp[2]", 4)
    ast.parse(made)
    for part in (
        "site='attention'",
        "target='POS - NEG'",
        "explorer.selected_neuron = 'L3.mlp[2]'",
        "explorer.selected_token = 4",
        "nw.Ablate('L3.mlp[2]', 'mean'), nw.Set('L4.mlp[7]', 2.5), nw.Scale('L4.mlp[8]', 0.0)",
    ):
        assert part in made


def test_hostile_text_stays_one_string():
    tree = ast.parse(code.reproduce(None, HOSTILE, "mlp", "auto", [], None, None))
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert HOSTILE in strings
