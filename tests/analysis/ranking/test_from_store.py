"""A store on disk and the same activations in memory give the same ranking."""

from __future__ import annotations

import numpy as np
import pytest
from families import model

import neurowidget as nw
from neurowidget.analysis.ranking import METHODS
from neurowidget.analysis.statistics import labelled_rows as of_rows
from neurowidget.extraction.store import ActivationStore
from neurowidget.results.activations import Activations

WORDS = (
    "the",
    "old",
    "house",
    "was",
    "not",
    "good",
    "and",
    "loved",
    "this",
    "film",
    "with",
    "a",
    "small",
    "dog",
    "near",
)


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Activations, ActivationStore]:
    generator = np.random.default_rng(0)
    texts = [generator.choice(WORDS, size=8).tolist() for _ in range(40)]
    labels = {"long": [["long" if len(word) > 3 else "short" for word in words] for words in texts]}
    corpus = nw.Corpus.from_words(texts, labels)
    options = {"sites": ["mlp", "residual"], "words": "last", "progress": False}
    path = tmp_path_factory.mktemp("store") / "acts.zarr"
    return nw.extract(model("bert"), corpus, **options), nw.extract(model("bert"), corpus, store=path, **options)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_gives_the_same_scores(both, method, monkeypatch):
    monkeypatch.setattr(of_rows, "STORED_CELLS", 5000)  # several blocks
    memory, store = (nw.rank_neurons(source, "long", method, progress=False, report=False) for source in both)
    assert memory.sites == store.sites
    assert {n.site for n in memory.neurons} == {"mlp", "residual"}
    np.testing.assert_allclose(store.scores, memory.scores, atol=1e-4)


def test_gives_the_same_report(both):
    memory, store = (nw.rank_neurons(source, "long", sites="mlp", layers=1, progress=False) for source in both)
    assert store.report.held_out == pytest.approx(memory.report.held_out, abs=0.05)
    assert store.report.control == pytest.approx(memory.report.control, abs=0.05)
    assert store.report.rows == memory.report.rows
    assert store.provenance.weights_hash == memory.provenance.weights_hash
