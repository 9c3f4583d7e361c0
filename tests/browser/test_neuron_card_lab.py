"""NeuronCard in a real JupyterLab: chosen in Python and by keyboard, a note that reaches the file, an error that is seen."""

import jupyterlab_server
import pytest

pytestmark = pytest.mark.browser

CELL = """
import sys
sys.path[:0] = {paths!r}
from synthetic_examples import examples, explanations
import neurowidget as nw
card = nw.NeuronCard(examples(layers=2, width=30), "L1.mlp[2]", explanations=explanations(), notes="notes.json")
card
"""


@pytest.fixture(scope="module")
def page(lab, open_page, request):
    address, notebooks = lab
    paths = [str(request.config.rootpath / "tests" / "widgets")]
    jupyterlab_server.notebook(notebooks / "card.ipynb", [CELL.format(paths=paths)])
    with open_page(width=1400, height=1300) as watched:
        jupyterlab_server.open_notebook(watched.page, address, "card.ipynb")
        jupyterlab_server.command(watched.page, "notebook:run-all-cells")
        watched.page.wait_for_selector(".nw-neuron-card .nw-example-list li", timeout=120_000)
        yield watched.page


def run(page, code):
    return jupyterlab_server.run_code(page, code).strip()


def shown(page, name):
    page.wait_for_function(
        "(name) => document.querySelector('.nw-card-name').textContent === name && "
        "!document.querySelector('.nw-neuron-card .nw-state-body[data-dim]')",
        arg=name,
    )


def test_a_neuron_set_in_python_is_shown_and_one_chosen_by_keyboard_is_a_trait(page):
    run(page, "card.selected_neuron = 'L0.mlp[7]'")
    shown(page, "L0.mlp[7]")
    box = page.get_by_role("combobox", name="Neuron, or a word that it fires on")
    box.focus()
    box.fill("L1.mlp[29]")
    page.locator(".nw-match").first.wait_for()
    page.keyboard.press("Enter")
    shown(page, "L1.mlp[29]")
    assert run(page, "print(card.selected_neuron)") == "L1.mlp[29]"


def test_a_note_reaches_the_file(page):
    run(page, "card.selected_neuron = 'L1.mlp[2]'")
    shown(page, "L1.mlp[2]")
    page.get_by_role("textbox", name="Note").fill("fires on “not”")
    page.get_by_role("textbox", name="Tags").fill("negation, check")
    page.get_by_role("textbox", name="Tags").press("Enter")
    page.get_by_text("Saved.").wait_for()
    assert run(page, "print(nw.Notes('notes.json').of('L1.mlp[2]'))") == (
        "{'text': 'fires on “not”', 'tags': ['negation', 'check']}"
    )


def test_an_error_of_the_kernel_is_on_screen_and_the_next_neuron_clears_it(page):
    run(page, "card.show_error(OSError('No space left on device'))")
    page.get_by_text("No space left on device").wait_for()
    page.get_by_label("Next neuron").click()
    shown(page, "L1.mlp[3]")
    assert page.get_by_text("No space left on device").count() == 0
