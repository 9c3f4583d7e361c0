"""What the built scripts draw in a real Chromium, from exported pages under their strict policy: pixels, text, keys."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import Watched

from neurowidget.export import arrays, html
from neurowidget.export.snapshot import Snapshot

pytestmark = pytest.mark.browser

ORANGE, BLUE, WHITE, PANEL = (140, 55, 16), (24, 68, 140), (255, 255, 255), (30, 30, 32)
ACCENT = (194, 0, 107)
LEFT, TOP, CELL = 44, 4, 20  # of a map with few neurons: the label gutter, the margin, the side of a cell
READY = {"state": "ready", "what": "", "done": 0, "total": 0, "error": ""}

Opened = contextlib.AbstractContextManager[Watched]
Show = Callable[..., Opened]


def tokens(pieces: Sequence[str], special: Sequence[int] = ()) -> dict[str, Any]:
    """The tokens of one text; an empty piece shares the character before it."""
    return {
        "text": "".join(piece for i, piece in enumerate(pieces) if i not in special),
        "pieces": list(pieces),
        "raw": list(pieces),
        "ids": list(range(len(pieces))),
        "special": [i in special for i in range(len(pieces))],
        "shares": [piece == "" for piece in pieces],
        "word": list(range(len(pieces))),
    }


def strip(text: dict[str, Any], values: Sequence[float | None], **more: Any) -> Snapshot:
    """A strip of scored tokens."""
    scores = {
        "values": list(values),
        "name": "attribution",
        "of": "POS",
        "signed": True,
        "unit": "",
        "exclude_special": True,
    }
    state = {
        "_kind": "token-strip",
        "_live": False,
        "_notes": [],
        "_status": READY,
        "last_error": None,
        "selected_token": None,
        "_tokens": text,
        "_scores": scores,
        "_underline": {},
        "_detail": [],
        "_warnings": [],
    }
    return Snapshot("token-strip", state | more)


def heatmap(values: np.ndarray, tab: str = "model", **more: Any) -> Snapshot:
    """A heatmap of (layer, token, neuron) or (layer, neuron) values, bit for bit."""
    layers = list(range(values.shape[0]))
    view = {"tab": tab, "layer": layers[-1], "sort": "index", "color": "activation", "range": "text"}
    state = {
        "_kind": "neuron-heatmap",
        "_live": False,
        "_notes": [],
        "_status": READY,
        "last_error": None,
        "selected_neuron": None,
        "selected_token": None,
        "view": view,
        "_model": {"name": "m", "hash": "", "site": "mlp", "stack": None, "layers": layers, "width": values.shape[-1]},
        "_tokens": {},
        "_matrix": arrays.encode(values, "float32"),
        "_preview": {},
        "_matrix_info": {"name": "activation", "of": "", "signed": True, "unit": ""},
    }
    return Snapshot("neuron-heatmap", state | more)


@pytest.fixture
def show(open_page: Callable[..., Opened], tmp_path: Path) -> Show:
    """`with show(snapshot, ..., hash="", dark=False) as watched:` opens them on one exported page, offline."""

    @contextlib.contextmanager
    def shown(*parts: Any, hash: str = "", errors: Sequence[str] = (), **options: Any) -> Iterator[Watched]:
        path = tmp_path / "page.html"
        path.write_text(html.page(parts, title="drawing"), encoding="utf-8")
        with open_page(offline=True, **{"width": 900, "height": 700} | options) as watched:
            watched.page.goto(path.as_uri() + hash)
            watched.page.wait_for_selector("html[data-nw-ready]")
            frames(watched)
            yield watched
            unexpected = [text for text in watched.errors if not any(part in text for part in errors)]
            assert unexpected == []
            assert watched.refused == []

    return shown


def frames(watched: Watched, count: int = 3) -> None:
    """Wait until what was asked for has been drawn."""
    watched.page.evaluate(
        "async n => { for (let i = 0; i < n; i++) await new Promise(r => requestAnimationFrame(r)) }", count
    )


def pixels(watched: Watched) -> np.ndarray:
    """The first canvas as (y, x, red green blue alpha)."""
    data, height, width = watched.page.evaluate(
        """() => {
            const c = document.querySelector("canvas");
            const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
            return [Array.from(new Uint32Array(d.buffer)), c.height, c.width];
        }"""
    )
    return np.array(data, dtype="<u4").view(np.uint8).reshape(height, width, 4)


def colour(picture: np.ndarray, x: float, y: float) -> tuple[int, ...]:
    return tuple(int(v) for v in picture[int(y), int(x), :3])


def cell(column: int, row: int) -> tuple[float, float]:
    """The middle of a cell of a map with few neurons, in pixels of the canvas."""
    return LEFT + CELL * (column + 0.5), TOP + CELL * (row + 0.5)


def said(watched: Watched) -> str:
    """What the canvas told screen readers last."""
    return watched.page.locator(".nw-surface-box [aria-live]").inner_text()


@pytest.mark.parametrize(("dark", "zero"), [(False, WHITE), (True, PANEL)])
def test_a_cell_has_the_colour_of_its_value_and_layers_go_up(show: Show, dark: bool, zero: tuple[int, ...]) -> None:
    values = np.array([[-4, 0, 4, 0], [4, 4, 0, -4]], dtype=np.float32)
    with show(heatmap(values), dark=dark) as watched:
        picture = pixels(watched)
    upper = [colour(picture, *cell(i, 0)) for i in range(4)]
    lower = [colour(picture, *cell(i, 2)) for i in range(4)]
    high, low = upper[0], upper[3]
    assert upper == [high, high, zero, low]
    assert lower == [low, zero, high, zero]
    if not dark:
        assert (high, low) == (ORANGE, BLUE)


def test_a_value_that_is_not_a_number_is_hatched(show: Show) -> None:
    values = np.array([[1, np.nan, 0]], dtype=np.float32)
    with show(heatmap(values)) as watched:
        picture = pixels(watched)
        legend = watched.page.locator(".nw-legend").inner_text()

    def shades(column: int) -> int:
        left, top = LEFT + CELL * column, TOP
        inner = picture[top + 3 : top + CELL - 3, left + 3 : left + CELL - 3, :3]
        return len(np.unique(inner.reshape(-1, 3), axis=0))

    assert shades(0) == 1
    assert shades(1) > 3
    assert shades(2) == 1
    assert "not a number" in legend


def test_values_beyond_the_range_are_counted(show: Show) -> None:
    values = np.ones((1, 4000), dtype=np.float32)
    values[0, 7] = -900
    with show(heatmap(values)) as watched:
        legend = watched.page.locator(".nw-legend").inner_text()
    assert "1 value beyond the ends, up to −900" in legend
    assert "◂" in legend
    assert "▸" not in legend


def test_one_strong_cell_among_a_million_is_seen(show: Show) -> None:
    values = np.zeros((1, 1000, 1200), dtype=np.float32)
    values[0, 617, 1011] = 5
    with show(heatmap(values, tab="layer")) as watched:
        picture = pixels(watched)
    assert int((picture[..., :3] == ORANGE).all(axis=-1).sum()) >= 1


def test_a_click_selects_and_the_ring_is_around_the_cell(show: Show) -> None:
    values = np.zeros((2, 6), dtype=np.float32)
    values[0, 0] = 1
    with show(heatmap(values)) as watched:
        box = watched.page.locator("canvas").bounding_box()
        x, y = cell(4, 2)
        watched.page.mouse.click(box["x"] + x, box["y"] + y)
        watched.page.mouse.move(0, 0)
        frames(watched)
        picture = pixels(watched)
        row = picture[int(y), :, :3]
        ringed = np.flatnonzero((row == ACCENT).all(axis=-1))
        assert ringed.min() < LEFT + 4 * CELL <= ringed.min() + 4
        assert ringed.max() - 4 <= LEFT + 5 * CELL < ringed.max() + 4
        watched.page.get_by_role("tab", name="Ranked").click()
        chosen = watched.page.locator(".nw-ranked-row[aria-selected=true]")
        assert "L0.mlp[4]" in chosen.inner_text()


def test_the_address_selects_a_neuron(show: Show) -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 6)
    state = heatmap(values, tab="ranked")
    with show(state, state, hash="#L1.mlp[3]") as watched:
        for view in watched.page.locator(".nw-page-view").all():
            assert view.get_by_role("option", name="L1.mlp[3] activation 9", selected=True).count() == 1
        watched.page.evaluate("location.hash = '#L0.mlp[5]'")
        watched.page.locator(".nw-ranked-row[aria-selected=true]", has_text="L0.mlp[5]").first.wait_for()


def test_keys_move_the_cursor_and_say_where_it_is(show: Show) -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 6)
    with show(heatmap(values)) as watched:
        watched.page.locator("canvas").focus()
        watched.page.keyboard.press("ArrowRight")
        watched.page.keyboard.press("ArrowRight")
        assert said(watched).startswith("L1.mlp[1], activation 7")
        watched.page.keyboard.press("PageDown")
        assert said(watched).startswith("L0.mlp[1], activation 1")
        watched.page.keyboard.press("Enter")
        watched.page.get_by_role("tab", name="Ranked").click()
        chosen = watched.page.locator(".nw-ranked-row[aria-selected=true]")
        assert "L0.mlp[1]" in chosen.inner_text()


def test_the_wheel_belongs_to_the_page_until_it_zooms(show: Show) -> None:
    values = np.random.default_rng(0).integers(-9, 10, (1, 40, 400)).astype(np.float32)
    tall = html.Paragraph("below " * 3000)
    with show(heatmap(values, tab="layer"), tall) as watched:
        before = pixels(watched)
        box = watched.page.locator("canvas").bounding_box()
        on = (box["x"] + 300, box["y"] + 100)
        watched.page.mouse.move(*on)
        watched.page.mouse.wheel(0, 200)
        watched.page.evaluate("async () => { while (!scrollY) await new Promise(r => requestAnimationFrame(r)) }")
        watched.page.evaluate("scrollTo(0, 0)")
        watched.page.mouse.move(0, 0)
        frames(watched)
        assert (pixels(watched) == before).all()
        watched.page.mouse.move(*on)
        watched.page.keyboard.down("Control")
        watched.page.mouse.wheel(0, -200)
        watched.page.keyboard.up("Control")
        watched.page.mouse.move(0, 0)
        frames(watched)
        assert (pixels(watched) != before).any()
        assert watched.page.evaluate("scrollY") == 0
        watched.page.locator("canvas").focus()
        watched.page.keyboard.press("0")
        watched.page.locator("canvas").blur()
        frames(watched)
        assert (pixels(watched) == before).all()


def test_the_picture_follows_the_theme(show: Show) -> None:
    values = np.array([[0, 1]], dtype=np.float32)
    with show(heatmap(values)) as watched:
        assert colour(pixels(watched), *cell(0, 0)) == WHITE
        watched.page.emulate_media(color_scheme="dark")
        watched.page.wait_for_selector(".nw[data-nw-theme=dark]")
        frames(watched, 5)
        assert colour(pixels(watched), *cell(0, 0)) == PANEL


def test_a_view_that_fails_says_so_and_the_others_are_drawn(show: Show) -> None:
    broken = heatmap(np.zeros((2, 6), dtype=np.float32))
    broken.state["_matrix"]["shape"] = [2, 7]
    good = strip(tokens(["a", " b"]), [1, -1])
    with show(broken, good, errors=["needs 56 bytes"]) as watched:
        alert = watched.page.locator("[role=alert]")
        assert "needs 56 bytes, got 48" in alert.inner_text()
        assert alert.count() == 1
        assert watched.page.locator(".nw-token").count() == 2


def test_tokens_carry_their_colour_their_text_and_their_number(show: Show) -> None:
    text = tokens(["[CLS]", "<script>alert(1)</script>", " not", "\n", " bad"], special=[0])
    with show(strip(text, [9, 2, -2, None, 0])) as watched:
        cells = watched.page.locator(".nw-token")
        assert cells.all_inner_texts()[1] == "<script>alert(1)</script>"
        assert watched.page.evaluate("document.querySelectorAll('.nw script').length") == 0
        look = "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]"
        assert cells.nth(1).evaluate(look) == ["rgb(140, 55, 16)", "rgb(255, 255, 255)"]
        assert cells.nth(2).evaluate(look) == ["rgb(24, 68, 140)", "rgb(255, 255, 255)"]
        assert cells.nth(0).evaluate(look)[0] == "rgba(0, 0, 0, 0)"
        assert cells.nth(4).evaluate(look)[0] == "rgba(0, 0, 0, 0)"
        assert cells.nth(2).get_attribute("aria-label") == "not, −2"
        cells.nth(2).hover()
        card = watched.page.locator(".nw-tooltip:popover-open")
        assert "−2" in card.inner_text()
        copied = "() => { getSelection().selectAllChildren(document.querySelector('.nw-tokens')); return String(getSelection()) }"
        assert "<script>alert(1)</script> not" in watched.page.evaluate(copied)


def test_right_to_left_text_starts_at_the_right(show: Show) -> None:
    text = tokens(["[CLS]", "הסרט", " לא", " רע", "[SEP]"], special=[0, 4])
    with show(strip(text, [0, 1, 2, -1, 0])) as watched:
        boxes = [cell.bounding_box() for cell in watched.page.locator(".nw-token").all()]
        watched.page.locator(".nw-token").nth(1).focus()
        watched.page.keyboard.press("ArrowLeft")
        assert "לא" in watched.page.evaluate("document.activeElement.textContent")
    assert [box["x"] for box in boxes] == sorted((box["x"] for box in boxes), reverse=True)


def test_shift_arrows_choose_a_range_and_escape_lets_go(show: Show) -> None:
    with show(strip(tokens(["a", " b", " c", " d"]), [1, 2, 4, 8])) as watched:
        watched.page.locator(".nw-token").nth(1).click()
        watched.page.keyboard.press("Shift+ArrowRight")
        watched.page.keyboard.press("Shift+ArrowRight")
        assert watched.page.locator(".nw-token[aria-selected=true]").count() == 3
        assert "sum 14" in watched.page.locator(".nw-readout").inner_text()
        watched.page.keyboard.press("Escape")
        assert watched.page.locator(".nw-token[aria-selected=true]").count() == 0


@pytest.mark.parametrize("width", [420, 900, 1600])
def test_nothing_is_wider_than_the_page(show: Show, width: int) -> None:
    text = tokens([f" word{i}" for i in range(60)] + [" " + "x" * 300])
    values = np.random.default_rng(0).integers(-9, 10, (6, 61, 300)).astype(np.float32)
    parts = [strip(text, list(range(61)))]
    parts += [heatmap(values, tab=tab, _tokens=text) for tab in ("model", "layer", "ranked")]
    with show(*parts, width=width) as watched:
        overflow = watched.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow == 0
        for view in watched.page.locator(".nw").all():
            assert view.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
