"""Cards and reports in a real Chromium: offline, under the strict policy, by keyboard, with text that means harm."""

import contextlib
import re

import pytest
from synthetic_examples import HOSTILE, SENTENCES, examples, explanations

import neurowidget as nw
from neurowidget.results.notes import Notes

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    made = examples(layers=2, width=30, texts=SENTENCES + HOSTILE)
    notes = Notes(folder / "notes.json")
    notes.set("L1.mlp[2]", "a note of mine <b>x</b>", ["negation"])
    nw.report(made, folder / "one.html", explanations=explanations(), notes=notes, progress=False)
    nw.report(made, folder / "site", explanations=explanations(), notes=notes, per_page=25, progress=False)
    nw.NeuronCard(made, "L1.mlp[2]", explanations=explanations()).to_html(folder / "card.html", neurons=["L0.mlp[3]"])
    nw.show(explanations()[1]).to_html(folder / "explanation.html")
    return folder


@pytest.fixture
def opened(written, open_page):
    @contextlib.contextmanager
    def go(name, **options):
        with open_page(offline=True, **{"width": 1280, "height": 900} | options) as watched:
            watched.page.on("dialog", lambda dialog: pytest.fail(f"a script of a text ran: {dialog.message}"))
            watched.page.goto((written / name.partition("#")[0]).as_uri() + name[len(name.partition("#")[0]) :])
            watched.page.wait_for_function("() => document.documentElement.dataset.nwReady")
            yield watched
            assert watched.errors == []
            assert all(url.startswith("file:") for url in watched.requested)

    return go


def shown(page, name):
    page.wait_for_function(
        "(name) => document.querySelector('.nw-card-name').textContent === name && "
        "!document.querySelector('.nw-evidence').hidden",
        arg=name,
    )


def find(page, query):
    box = page.get_by_role("combobox")
    box.click()
    box.fill(query)
    return page.get_by_role("option")


def test_every_neuron_of_a_report_opens_offline(opened):
    with opened("one.html") as watched:
        page = watched.page
        shown(page, "L0.mlp[0]")
        for number in range(1, 6):
            page.get_by_label("Next neuron").click()
            shown(page, f"L0.mlp[{number}]")
        assert page.locator(".nw-example-list li").count() == 5
        assert "6 of 60" in page.locator(".nw-chooser").inner_text()
        assert len(watched.requested) == 1


def test_a_report_is_searched_by_word_statement_and_tag_with_the_keyboard(opened):
    with opened("one.html") as watched:
        page = watched.page
        find(page, "negation").first.wait_for()
        assert [row.split("\n")[0] for row in page.get_by_role("option").all_inner_texts()] == ["L1.mlp[2]"]
        page.keyboard.press("Enter")
        shown(page, "L1.mlp[2]")
        assert "a note of mine <b>x</b>" in page.locator(".nw-note").inner_text()
        assert page.locator("textarea").is_hidden()
        assert "held-out correlation 0.625" in page.locator(".nw-explanations").inner_text()
        find(page, "compositional nothing")
        assert "No neuron fits" in page.locator(".nw-matches-said").inner_text()
        page.keyboard.press("Escape")
        assert page.get_by_role("combobox").input_value() == "L1.mlp[2]"


def test_the_address_opens_a_neuron_and_an_unknown_one_says_so(opened):
    with opened("one.html#L1.mlp[29]") as watched:
        shown(watched.page, "L1.mlp[29]")
        watched.page.evaluate("location.hash = '#L9.mlp[1]'")
        watched.page.get_by_text("no card of L9.mlp[1]").wait_for()


def test_a_folder_goes_from_its_index_to_the_page_of_a_neuron_and_on(opened):
    with opened("site/index.html") as watched:
        page = watched.page
        page.get_by_role("option").first.wait_for()
        assert page.get_by_role("option").count() == 60
        find(page, "L1.mlp[19]").first.click()
        page.wait_for_url("**/cards-0002.html#L1.mlp[19]")
        shown(page, "L1.mlp[19]")
        page.get_by_label("Next neuron").click()
        page.wait_for_url("**/cards-0003.html#L1.mlp[20]")
        shown(page, "L1.mlp[20]")


def test_the_line_in_the_density_follows_pointer_and_keys(opened):
    with opened("card.html") as watched:
        page = watched.page
        shown(page, "L1.mlp[2]")
        line = page.locator(".nw-density .nw-here-line")
        assert line.count() == 0
        page.locator("mark").nth(2).hover()
        assert line.count() == 1
        first = line.get_attribute("d")
        page.mouse.move(0, 0)
        page.locator("mark").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        assert line.count() == 1
        assert "percentile" in page.locator(".nw-evidence .nw-readout").inner_text()
        page.get_by_role("button", name="bottom").click()
        page.locator("mark").first.hover()
        assert line.get_attribute("d") != first


def test_short_contexts_stand_below_one_another(opened):
    with opened("card.html") as watched:
        page = watched.page
        shown(page, "L1.mlp[2]")
        boxes = [at.bounding_box() for at in page.locator(".nw-example-text > span:nth-child(2)").all()]
        middles = [box["x"] + box["width"] / 2 for box in boxes]
        assert max(middles) - min(middles) < 3
        joined = page.locator(".nw-example-text").first.inner_text()
        assert re.search(r"\w \w", joined)
        page.get_by_role("button", name="±16").click()
        boxes = [mark.bounding_box() for mark in page.locator("mark").all()]
        assert max(box["x"] for box in boxes) - min(box["x"] for box in boxes) > 20


def test_hostile_text_is_on_screen_as_text_and_right_to_left_reads_so(opened):
    with opened("one.html") as watched:
        page = watched.page
        texts = set()
        for number in range(4):
            shown(page, f"L0.mlp[{number}]")
            page.get_by_role("button", name="all groups").click()
            page.get_by_role("group", name="Tokens of context").get_by_role("button", name="all").click()
            texts |= set(page.locator(".nw-example-text").all_inner_texts())
            page.get_by_label("Next neuron").click()
        joined = " ".join(texts)
        for part in ("</script><script>alert(1)</script>", "onerror=alert(2)", "🙂", "你好", "הסרט", "202E"):
            assert part in joined
        assert "\u202e" not in joined
        hebrew = page.locator(".nw-example-text", has_text="הסרט").first
        if hebrew.count():
            boxes = [token.bounding_box() for token in hebrew.locator(".nw-example-token").all()]
            assert boxes[0]["x"] > boxes[-1]["x"]


@pytest.mark.parametrize("name", ["one.html", "site/index.html", "explanation.html"])
@pytest.mark.parametrize("width", [420, 1280])
def test_nothing_is_wider_than_the_page(opened, name, width):
    with opened(name, width=width, dark=width == 420) as watched:
        page = watched.page
        if name == "one.html":
            page.get_by_role("button", name="all groups").click()
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        assert page.locator(".nw").first.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
