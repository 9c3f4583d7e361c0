"""The explorer in a real JupyterLab: type, click, switch off, read the traits, cancel, fail, reopen."""

import re

import jupyterlab_server
import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.real]

MODEL = """
import time
import neurowidget as nw
from neurowidget.models.bundled import sample_texts
model = nw.load_model("demo:sentiment")
"""
SHOW = """
explorer = nw.NeuronExplorer(model, "The film was not bad at all.", corpus=sample_texts("movies")[:24], held_out=8)
explorer.wait()
explorer
"""
SLOW = """
plain = model.forward
def slow(batch, grad=False):
    time.sleep(0.3)
    return plain(batch, grad)
model.forward = slow
"""
READY = "() => document.querySelectorAll('.nw-token').length > 3"


@pytest.fixture(scope="module")
def shown(lab, open_page):
    """A page with a notebook whose explorer is drawn."""
    address, notebooks = lab
    jupyterlab_server.notebook(notebooks / "explorer.ipynb", [MODEL, SHOW, "1 + 1", "1 + 2"])
    with open_page(width=1400, height=1300) as watched:
        jupyterlab_server.open_notebook(watched.page, address, "explorer.ipynb")
        jupyterlab_server.command(watched.page, "notebook:run-all-cells")
        watched.page.wait_for_function(READY, timeout=120_000)
        yield watched


def ask(page, expression, until=None, timeout=60_000):
    """What an expression is in the kernel, asked again until it matches."""
    found = ""
    for _ in range(timeout // 250):
        found = jupyterlab_server.run_code(page, f"print({expression})").strip()
        if until is None or re.search(until, found):
            return found
        page.wait_for_timeout(250)
    pytest.fail(f"{expression} is {found!r}, expected {until!r}")


def type_text(page, text):
    box = page.locator(".nw-ask-text")
    box.fill(text)
    page.locator(".nw-run").click()


def test_typing_a_text_runs_it_and_python_has_it(shown):
    page = shown.page
    type_text(page, "A dull, lifeless mess.")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.nw-token')].some((t) => t.textContent.includes('dull'))"
    )
    assert ask(page, "explorer.text", "dull") == "A dull, lifeless mess."
    page.wait_for_function("() => document.querySelector('.nw').textContent.includes('NEG')", timeout=60_000)


def test_a_clicked_token_is_a_trait(shown):
    page = shown.page
    page.locator(".nw-token", has_text="dull").first.click()
    position = int(ask(page, "explorer.selected_token", r"\d"))
    assert "dull" in ask(page, f"explorer._tokens['pieces'][{position}]")


def test_a_token_set_in_python_is_selected_on_screen(shown):
    page = shown.page
    jupyterlab_server.run_code(page, "explorer.selected_token = 2")
    page.wait_for_function(
        "() => document.querySelector('.nw-token[aria-selected=true]') === document.querySelectorAll('.nw-token')[2]"
    )


def test_a_clicked_neuron_is_a_trait_and_gets_its_card(shown):
    page = shown.page
    ask(page, "explorer.wait()", "True")
    canvas = page.locator(".nw canvas").first
    box = canvas.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + 60)
    name = ask(page, "explorer.selected_neuron", r"^L\d+\.mlp\[\d+\]$")
    page.wait_for_function("(name) => document.querySelector('.nw-card-name').textContent.includes(name)", arg=name)
    ask(page, "explorer._card['effect'] is not None", "True")


def test_switching_a_neuron_off_changes_the_prediction(shown):
    page = shown.page
    jupyterlab_server.run_code(page, "explorer.selected_neuron = explorer.strongest(1)[0]")
    name = ask(page, "explorer.selected_neuron")
    page.wait_for_function("(name) => document.querySelector('.nw-card-name').textContent.includes(name)", arg=name)
    page.get_by_role("button", name=re.compile("Switch off")).first.click()
    assert name in ask(page, "explorer.interventions", "ablate")
    ask(page, "explorer._after is not None", "True")
    page.get_by_role("columnheader", name="after").wait_for()
    before, after = (ask(page, f"explorer.{side}['target']['value']") for side in ("prediction", "changed_prediction"))
    assert float(before) - float(after) == pytest.approx(float(ask(page, f"explorer.effect_of({name!r})")), abs=2e-3)
    page.get_by_role("button", name="Undo").click()
    ask(page, "explorer.interventions", r"^\[\]$")


def test_an_error_is_on_screen_and_in_last_error(shown):
    page = shown.page
    type_text(page, "word " * 700)
    message = ask(page, "explorer.last_error", "512")
    assert "512" in page.locator(".nw-status").inner_text()
    assert "Error" in message
    type_text(page, "It works again.")
    ask(page, "explorer.last_error", "^None$")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.nw-token')].some((t) => t.textContent.includes('works'))"
    )


def test_work_can_be_cancelled_while_the_forward_is_slow(shown):
    page = shown.page
    ask(page, "explorer.wait()", "True")
    jupyterlab_server.run_code(page, SLOW)
    type_text(page, "This takes a while to read.")
    cancel = page.get_by_role("button", name="Cancel")
    cancel.wait_for()
    cancel.click()
    ask(page, "explorer._status['state']", "ready|empty")
    assert ask(page, "explorer.last_error") == "None"
    assert ask(page, "sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.module.modules())") == "0"


def test_another_cell_can_use_the_model_during_a_run(shown):
    page = shown.page
    jupyterlab_server.run_code(
        page, "model.forward = plain; alone = model.predict('good').probability; model.forward = slow"
    )
    type_text(page, "Another slow run of the model.")
    page.get_by_role("button", name="Cancel").wait_for()
    during = jupyterlab_server.run_code(
        page, "print(model.predict('good').probability == alone, explorer._status['state'])"
    )
    assert during.split() == ["True", "running"]
    jupyterlab_server.run_code(page, "explorer.cancel(); explorer.wait(); model.forward = plain")


def test_a_busy_kernel_is_said(shown):
    page = shown.page
    page.evaluate(
        """() => { const k = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
             window.nwSlowCell = k.requestExecute({ code: 'import time; time.sleep(4)' }).done; }"""
    )
    type_text(page, "Asked while a cell is running.")
    page.wait_for_function("() => document.querySelector('.nw-status').textContent.includes('busy')", timeout=5_000)
    page.evaluate("() => window.nwSlowCell")
    ask(page, "explorer._text_answered", "while a cell is running")


def test_an_interrupted_cell_stops_what_it_started(shown):
    page = shown.page
    jupyterlab_server.run_code(page, "explorer.wait(); model.forward = slow")
    page.evaluate(
        """async () => {
             const panel = window.jupyterapp.shell.currentWidget;
             const kernel = panel.context.sessionContext.session.kernel;
             const done = kernel.requestExecute({ code: 'explorer.text = "Interrupted work."; time.sleep(60)' }).done;
             await new Promise((resolve) => setTimeout(resolve, 1500));
             await kernel.interrupt();
             await done;
           }"""
    )
    ask(page, "explorer._status['state']", "ready|empty", timeout=10_000)
    jupyterlab_server.run_code(page, "model.forward = plain")


def test_no_request_left_the_machine_and_no_error_was_logged(shown):
    assert shown.refused == []
    assert [e for e in shown.errors if "neurowidget" in e or "anywidget" in e or "NW" in e] == []


def test_a_reopened_and_saved_again_notebook_still_shows_tokens_and_scores(shown, lab, open_page):
    address, notebooks = lab
    page = shown.page
    jupyterlab_server.command(page, "docmanager:save")
    path = notebooks / "explorer.ipynb"

    def copies():
        cells = nbformat.read(path, as_version=4).cells
        html = [o.get("data", {}).get("text/html", "") for cell in cells for o in cell.get("outputs", [])]
        return [text for text in html if "<details>" in text]

    assert copies()
    assert "Strongest neurons" in copies()[0]
    with open_page() as again:
        again.page.goto(f"{address}/lab/tree/explorer.ipynb?token={jupyterlab_server.TOKEN}&reset")
        details = again.page.locator(".jp-OutputArea details").first
        details.wait_for(timeout=60_000)
        details.locator("summary").click()
        assert details.locator("table").first.is_visible()
        again.page.locator(".jp-CodeCell").nth(2).locator(".cm-content").click()
        again.page.keyboard.type("+ 1")
        jupyterlab_server.command(again.page, "docmanager:save")
    assert copies()


def test_a_frozen_output_works_after_reopening_without_a_kernel(lab, open_page):
    address, notebooks = lab
    path = jupyterlab_server.notebook(
        notebooks / "frozen.ipynb", [MODEL, SHOW.replace("\nexplorer\n", "\nexplorer.freeze()\n"), "1"]
    )
    with open_page() as watched:
        page = watched.page
        jupyterlab_server.open_notebook(page, address, path.name)
        jupyterlab_server.command(page, "notebook:run-all-cells")
        frame = page.frame_locator("iframe[title^=neurowidget]")
        frame.locator(".nw-token").nth(3).click(timeout=120_000)
        jupyterlab_server.command(page, "docmanager:save")
        page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")
        page.goto(f"{address}/lab/tree/{path.name}?token={jupyterlab_server.TOKEN}&reset")
        token = frame.locator(".nw-token").nth(3)
        token.click(timeout=60_000)
        assert token.get_attribute("aria-selected") == "true"
        assert watched.refused == []
