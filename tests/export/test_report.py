"""Reports: every card in its place, one card in memory at a time, nothing left behind, one script for many views."""

import base64
import json
import re
import weakref
import zlib

import pytest
from synthetic import attribution, prediction
from synthetic_examples import HOSTILE, examples, explanations

import neurowidget as nw
from neurowidget.export import neuron_cards
from neurowidget.export.html import Heading
from neurowidget.export.report import report
from neurowidget.results.notes import Notes


def answers(page):
    """The packed answers of a page by command."""
    blocks = re.findall(r'<script type="application/octet-stream" id="nw-answer report ([^"]*)">([^<]*)<', page)
    return {name: json.loads(zlib.decompress(base64.b64decode(text))) for name, text in blocks}


def state(page):
    return json.loads(re.search(r'id="nw-state">(.*?)</script>', page, re.S).group(1))["report"]["state"]


def test_a_file_has_every_card_the_list_and_the_notes(tmp_path):
    made = examples(layers=2, width=3)
    notes = Notes(tmp_path / "notes.json")
    notes.set("L1.mlp[2]", "negation", ["a"])
    notes.set("L7.mlp[7]", "of another model")
    path = report(made, tmp_path / "r.html", explanations=explanations(), notes=notes, progress=False)
    page = path.read_text(encoding="utf-8")
    found = answers(page)
    assert set(found) == {"index", *(f"card {n}" for n in made.neurons)}
    assert found["card L1.mlp[2]"] == json.loads(json.dumps(neuron_cards.card_of(made, "L1.mlp[2]", explanations())))
    assert state(page)["_neurons"] == found["index"]["neurons"] == [str(n) for n in made.neurons]
    assert list(state(page)["notes"]) == ["L1.mlp[2]"]
    assert state(page)["_live"] is False
    assert "connect-src" not in page
    assert "default-src 'none'" in page


def test_some_neurons_in_the_order_they_were_named(tmp_path):
    page = report(examples(), tmp_path / "r.html", neurons=["L1.mlp[2]", "L0.mlp[1]"], progress=False).read_text()
    assert state(page)["_neurons"] == ["L1.mlp[2]", "L0.mlp[1]"]
    assert set(answers(page)) == {"index", "card L1.mlp[2]", "card L0.mlp[1]"}
    with pytest.raises(IndexError, match="L9"):
        report(examples(), tmp_path / "x.html", neurons=["L9.mlp[0]"], progress=False)
    assert not (tmp_path / "x.html").exists()


def test_a_folder_has_pages_and_an_index_and_may_be_written_again(tmp_path):
    made = examples(layers=2, width=5)
    for _ in range(2):
        folder = report(made, tmp_path / "site", per_page=4, progress=False)
    assert sorted(p.name for p in folder.iterdir()) == [
        "cards-0001.html", "cards-0002.html", "cards-0003.html", "index.html",
    ]  # fmt: skip
    second = (folder / "cards-0002.html").read_text()
    assert [name for name in answers(second) if name.startswith("card")] == [f"card {n}" for n in made.neurons[4:8]]
    assert state(second)["selected_neuron"] == str(made.neurons[4])
    index = (folder / "index.html").read_text()
    assert list(answers(index)) == ["index"]
    assert state(index)["selected_neuron"] is None
    assert state(index)["_pages"]["size"] == 4
    (folder / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match=r"mine\.txt"):
        report(made, folder, progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["site"]


@pytest.mark.parametrize("name", ["r.html", "site"])
def test_what_is_interrupted_leaves_nothing(tmp_path, monkeypatch, name):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(neuron_cards, "card_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        report(examples(), tmp_path / name, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_hostile_text_cannot_end_the_script_that_holds_it(tmp_path):
    page = report(examples(texts=HOSTILE), tmp_path / "r.html", title="</title><script>x", progress=False).read_text()
    assert "alert(1)" not in page
    assert page.count("<script>") == 1
    assert any(HOSTILE[0].split()[0] in row["pieces"] for row in answers(page)["card L0.mlp[0]"]["examples"])


def test_one_card_is_in_memory_at_a_time(tmp_path, monkeypatch):
    class Card(dict):
        pass

    alive, most, made = weakref.WeakSet(), [0], neuron_cards.card_of

    def watched(*arguments):
        most[0] = max(most[0], len(alive))
        card = Card(made(*arguments))
        alive.add(card)
        return card

    Card.__hash__ = object.__hash__
    monkeypatch.setattr(neuron_cards, "card_of", watched)
    report(examples(layers=4, width=50), tmp_path / "r.html", progress=False)
    assert most[0] <= 1


def test_a_list_of_views_and_results_is_one_page_with_each_script_once(tmp_path):
    parts = [Heading("Found"), attribution(), nw.TokenStrip(attribution()), prediction(), nw.NeuronCard(examples())]
    page = report(parts, tmp_path / "r.html").read_text(encoding="utf-8")
    assert re.findall(r'data-nw-kind="([^"]*)"', page) == ["token-strip", "token-strip", "effect-panel", "neuron-card"]
    assert page.count('NWViews["token-strip"]=NW.default') == 1
    assert nw.report(nw.TokenStrip(attribution()), tmp_path / "one.html").exists()


def test_what_is_no_part_of_a_report_is_refused(tmp_path):
    with pytest.raises(TypeError, match="Examples, or of views"):
        report([3], tmp_path / "r.html")
    with pytest.raises(ValueError, match=r"\.html"):
        report([attribution()], tmp_path / "folder")
    with pytest.raises(ValueError, match="per_page=0"):
        report(examples(), tmp_path / "folder", per_page=0)
    assert list(tmp_path.iterdir()) == []
