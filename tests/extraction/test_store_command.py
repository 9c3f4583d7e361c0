"""`neurowidget extract MODEL CORPUS --store DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import families
import pytest
from typer.testing import CliRunner

from neurowidget.cli import app
from neurowidget.extraction.store import open_store
from neurowidget.models import loading


def test_a_file_becomes_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(loading, "load_model", lambda name: asked.append(name) or families.model("bert"))
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("The plot was good.\n\nA warm film.\n", encoding="utf-8")
    command = ["extract", "tiny", str(corpus), "--store", str(tmp_path / "acts.zarr"), "--site", "mlp", "--layer", "2"]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0, found.output
    assert asked == ["tiny"]
    assert "mlp float16[1, " in found.stdout
    store = open_store(tmp_path / "acts.zarr")
    assert list(store.texts) == ["The plot was good.", "A warm film."]
    assert store.layers == {"mlp": (2,)}
    again = CliRunner().invoke(app, [*command, "--words", "last"])
    assert again.exit_code == 1
    assert "never mixed" in str(again.exception)
