"""The exported page: one file, opened from file:// with the network off, everything that was computed still opens."""

import re

import pytest

import neurowidget as nw
from neurowidget.models.bundled import sample_texts

pytestmark = [pytest.mark.browser, pytest.mark.real]
HOSTILE = "</script><script>alert(1)</script> <img src=x onerror=alert(2)> 🙂 你好 \u2028 שלום"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = nw.load_model("demo:sentiment")
    explorer = nw.NeuronExplorer(
        model, f"The film was not bad at all. {HOSTILE}", corpus=sample_texts("movies")[:24], held_out=8
    )
    explorer.wait()
    explorer.precompute(4)
    top = explorer.strongest(2)
    explorer.interventions = [{"kind": "ablate", "neuron": name, "how": "mean"} for name in top]
    explorer.wait()
    assert explorer.last_error is None
    return explorer, explorer.to_html(tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture
def opened(exported, open_page):
    with open_page(width=1300, height=1100, offline=True) as watched:
        watched.page.on("dialog", lambda dialog: pytest.fail(f"a script of the text ran: {dialog.message}"))
        watched.page.goto(exported[1].as_uri())
        watched.page.wait_for_function("() => document.documentElement.dataset.nwReady")
        yield watched


def search(page, name):
    box = page.get_by_role("searchbox").first
    box.fill(name)
    box.press("Enter")
    page.wait_for_function("(name) => document.querySelector('.nw-card-name').textContent.includes(name)", arg=name)


def test_no_request_and_no_error(opened, exported):
    opened.page.wait_for_timeout(500)
    assert opened.requested == [exported[1].as_uri()]
    assert opened.errors == []


def test_hostile_text_is_on_screen_as_text(opened):
    joined = opened.page.evaluate(
        "() => [...document.querySelectorAll('.nw-token')].map((t) => t.textContent).join('')"
    )
    for part in ("<script>", "onerror", "🙂", "你好", "שלום"):
        assert part in joined


def test_every_precomputed_neuron_opens_its_card(opened, exported):
    explorer, _ = exported
    assert len(explorer._cards) >= 4
    for name, card in explorer._cards.items():
        search(opened.page, name)
        shown = opened.page.locator(".nw-card").first.inner_text()
        assert "held-out" in shown
        assert f"{abs(card['effect']['value']):.3g}"[:4] in shown


def test_a_neuron_without_a_card_still_shows_its_activation(opened, exported):
    explorer, _ = exported
    name = next(f"L0.mlp[{i}]" for i in range(1536) if f"L0.mlp[{i}]" not in explorer._cards)
    search(opened.page, name)
    assert "kernel" in opened.page.locator(".nw-card").first.inner_text()


def test_the_saved_interventions_show_their_prediction(opened, exported):
    explorer, _ = exported
    after = explorer.changed_prediction
    table = opened.page.locator(".nw-outcome").inner_text()
    assert "after" in table
    assert f"{after['target']['value']:.2f}".lstrip("-")[:4] in table.replace("\u2212", "-")


def test_every_token_can_be_selected_by_keyboard(opened):
    page = opened.page
    page.locator(".nw-token").first.focus()
    count = page.locator(".nw-token").count()
    for _ in range(count - 1):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator(".nw-token").last.get_attribute("aria-selected") == "true"
    page.keyboard.press("Escape")
    assert page.locator(".nw-token[aria-selected=true]").count() == 0


def test_what_needs_a_kernel_is_disabled_and_says_so(opened):
    run = opened.page.locator(".nw-run")
    assert run.is_disabled()
    assert re.search("kernel", f"{run.get_attribute('title')} {run.get_attribute('aria-label')}")
    assert opened.page.get_by_role("button", name=re.compile("Export")).is_disabled()


def test_without_javascript_the_page_says_so(exported, open_page):
    with open_page(offline=True, java_script_enabled=False) as watched:
        watched.page.goto(exported[1].as_uri())
        assert "JavaScript" in watched.page.locator("noscript").inner_text()
