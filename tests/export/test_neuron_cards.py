"""Cards as JSON: every value at its token, the whole text, sound numbers, and an index to search by."""

import json

import numpy as np
import pytest
from synthetic_examples import HOSTILE, examples, explanations

from neurowidget.export import neuron_cards
from neurowidget.export.neuron_cards import card_of, index_of


def test_a_card_is_json_with_the_neurons_own_numbers():
    made = examples(effects=True)
    card = json.loads(json.dumps(card_of(made, "L1.mlp[2]", explanations()), allow_nan=False))
    found = made.for_neuron("L1.mlp[2]")
    assert card["neuron"] == "L1.mlp[2]"
    assert card["corpus"]["counts"] == found.counts.tolist()
    assert card["corpus"]["max"] == found.maximum
    assert sum(card["corpus"]["counts"]) == card["corpus"]["tokens"] == made.token_count
    assert [row["quantile"] for row in card["examples"]] == [n for n in found.groups for _ in found.groups[n]]
    assert card["examples"][0]["effect"] == found.groups["top"][0].effect
    assert card["missing"] == {}


def test_an_example_stands_in_its_whole_text_with_the_values_that_were_kept():
    made = examples(context=2)
    for row, one in zip(
        card_of(made, "L0.mlp[1]")["examples"][:5], made.for_neuron("L0.mlp[1]").groups["top"], strict=True
    ):
        whole = made.tokens_of(one.text_index)
        assert row["pieces"] == list(whole.pieces)
        assert row["special"] == whole.special.tolist()
        assert row["focus"] == one.position
        assert row["values"][row["focus"]] == one.value
        known = [i for i, value in enumerate(row["values"]) if value is not None]
        assert known == list(range(max(0, one.position - 2), min(len(whole), one.position + 3)))
        assert [row["values"][i] for i in known] == one.values.tolist()


def test_a_long_text_is_cut_and_says_where(monkeypatch):
    monkeypatch.setattr(neuron_cards, "TOKENS_A_SIDE", 4)
    rows = card_of(examples(context=2), "L0.mlp[0]")["examples"]
    assert max(len(row["pieces"]) for row in rows) == 9
    for row in rows:
        assert row["pieces"][0] == "[CLS]" or row["cut"][0]
        assert row["pieces"][-1] == "[SEP]" or row["cut"][1]


def test_an_explanation_carries_its_held_out_score_and_the_controls():
    good, poor = card_of(None, "L1.mlp[2]", explanations())["explanations"]
    assert (good["score"], good["score_name"], good["range"]) == (0.625, "held-out correlation", [-1, 1])
    assert good["controls"] == [0, 0.125, -0.125, 0.25]
    assert good["control_mean"] == pytest.approx(0.0625)
    assert good["statements"][3]["sign"] == -1
    assert poor["warnings"]
    assert card_of(None, "L1.mlp[2]", explanations())["missing"].keys() == {"corpus", "examples"}
    assert card_of(examples(), "L0.mlp[0]", explanations())["explanations"] == []


def test_the_index_has_the_words_of_the_strongest_examples():
    made = examples(layers=2, width=30)
    index = index_of(made, range(len(made)), {"L1.mlp[2]": explanations()})
    assert index["neurons"] == [str(n) for n in made.neurons]
    for row in (0, 17, 59):
        pieces = [one.piece.strip() for one in made.for_neuron(made.neurons[row]).groups["top"]]
        assert index["words"][row] == " ".join(dict.fromkeys(pieces))
    assert index["maximum"] == made.maximum.tolist()
    assert "not" in index["about"][index["neurons"].index("L1.mlp[2]")]


def test_a_number_that_json_has_not_is_none():
    assert neuron_cards.shorts([np.nan, np.inf, 1 / 3]) == [None, None, 0.33333]


def test_hostile_text_comes_through_unchanged():
    made = examples(texts=HOSTILE)
    for row in card_of(made, "L0.mlp[0]")["examples"]:
        shown = "".join(p for p, s in zip(row["pieces"], row["special"], strict=True) if not s)
        assert shown == HOSTILE[row["text"]]


def test_all_neurons_of_all_layers_need_no_list():
    assert neuron_cards.names_of(examples(3, 5), {}) is None
    assert neuron_cards.names_of(None, {"L1.mlp[2]": ()}) == ["L1.mlp[2]"]
