"""Indirect object identification on SmolLM2 (Wang et al. 2023): where the name that is repeated is kept, and when."""

from __future__ import annotations

import pytest

import neurowidget as nw

CLEAN = "When Mary and John went to the store, John gave a drink to"
CORRUPT = "When Mary and John went to the store, Mary gave a drink to"


@pytest.mark.real
def test_the_answer_moves_from_the_repeated_name_to_the_end():
    model = nw.load_model("demo:lm")
    options = {
        "target": (" Mary", " John"),
        "how": "denoise",
        "layers": [5, 28],
        "positions": [9, -1],
        "progress": False,
    }
    found = nw.patching_effects(model, CLEAN, CORRUPT, **options)
    assert found.labels == (" John", " to")
    assert found.total[0] > 5
    early, late = found.denoise_share
    assert early[0] > 0.9
    assert abs(early[1]) < 0.1
    assert late[1] > 0.9
    assert abs(late[0]) < 0.1
