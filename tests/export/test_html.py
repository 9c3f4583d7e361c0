"""The page: one file, a strict policy whose hashes are those of what it holds, hostile text inert."""

import base64
import hashlib
import json
import re
import zlib

import pytest

from neurowidget.export import freeze, html, static_files
from neurowidget.export.snapshot import Snapshot

HOSTILE = "</script><script>alert(1)</script><!-- \u2028 \"'><img src=x onerror=alert(2)>"


def snapshot(**state):
    return Snapshot(kind="effect-panel", state={"_kind": "effect-panel", "text": HOSTILE, **state})


@pytest.fixture(scope="module")
def page():
    raw = bytes(range(256)) * 40
    parts = [
        html.Heading(HOSTILE),
        html.Paragraph(HOSTILE),
        snapshot(_array={"data": raw, "dtype": "uint8", "shape": [10_240]}),
    ]
    return html.page(parts, title=HOSTILE), raw


def test_policy_is_strict_and_its_hashes_match(page):
    text, _ = page
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    script = re.findall(r"<script>(.*?)</script>", text, flags=re.S)
    style = re.findall(r"<style>(.*?)</style>", text, flags=re.S)
    assert len(script) == len(style) == 1
    for block in (*script, *style):
        digest = base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_nothing_in_the_page_comes_from_elsewhere(page):
    text, _ = page
    outside = re.findall(r"(?:src|href|action)\s*=\s*[\"']?https?:|@import|import\(", text)
    assert outside == []


def test_hostile_text_is_only_text(page):
    text, _ = page
    assert "<img src=x" not in text
    assert "<script>alert" not in text
    states = json.loads(re.search(r'id="nw-state">(.*?)</script>', text, flags=re.S)[1])
    (view,) = states.values()
    assert view["state"]["text"] == HOSTILE


def test_buffers_come_back_bit_for_bit(page):
    text, raw = page
    states = json.loads(re.search(r'id="nw-state">(.*?)</script>', text, flags=re.S)[1])
    (entry,) = next(iter(states.values()))["buffers"]
    assert entry["path"] == ["_array", "data"]
    chunk = re.search(rf'id="{entry["id"]}">([^<]*)</script>', text)[1]
    packed = base64.b64decode(chunk)
    assert (zlib.decompress(packed) if entry["encoding"] == "deflate" else packed) == raw


def test_a_part_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="Snapshot, Heading and Paragraph, got str"):
        html.page(["text"])


def test_nan_never_reaches_the_page():
    with pytest.raises(ValueError, match="JSON"):
        html.page([snapshot(value=float("nan"))])


def test_frame_holds_the_page_escaped(page):
    frame = freeze.frame(page[0], 400)
    assert frame.count("<iframe") == 1
    assert "<script" not in frame
    assert 'sandbox="allow-scripts allow-downloads"' in frame


def test_fallback_shows_every_token_and_score_without_script():
    state = {
        "_tokens": {"pieces": ["<script>", " not", "\n"]},
        "_attribution": {
            "method": "integrated gradients",
            "target": "log-odds of POS",
            "scores": [0.5, -0.25, None],
        },
        "_before": {"labels": ["POS", "NEG"], "probabilities": [0.75, 0.25]},
        "_effects": {
            "target": "log-odds of POS",
            "ablation": "mean",
            "top": [{"neuron": "L3.mlp[204]", "value": 0.31}],
        },
    }
    shown = freeze.fallback(state)
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    for expected in ("+0.5000", "-0.2500", "not a number", "L3.mlp[204]", "+0.3100", "0.750", "⏎"):
        assert expected in shown


def test_fallback_of_nothing_says_so():
    assert "Nothing was computed" in freeze.fallback({})


@pytest.mark.parametrize(
    ("stem", "limit"), [("token-strip", 60), ("effect-panel", 60), ("neuron-heatmap", 60), ("neuron-explorer", 90)]
)
def test_what_a_view_carries_is_small_and_unpacks_to_the_built_file(stem, limit):
    module = static_files.notebook_module(stem)
    assert len(module) <= limit * 1000
    packed = re.search(r'const packed = "([^"]+)"', module)[1]
    assert zlib.decompress(base64.b64decode(packed)).decode() == static_files.static_text(f"{stem}.js")
