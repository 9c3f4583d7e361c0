"""extract on the bundled models: real weights have outliers that tiny random ones lack."""

from __future__ import annotations

import numpy as np
import pytest

from neurowidget.extraction.activations import extract
from neurowidget.models.bundled import sample_texts
from neurowidget.models.loading import load_model


@pytest.mark.real
@pytest.mark.parametrize("name", ["demo:sentiment", pytest.param("demo:lm", marks=pytest.mark.slow)])
def test_alone_and_in_a_ragged_batch(name):
    model = load_model(name)
    texts = [*sorted(sample_texts("movies"), key=len)[:: 150 if name == "demo:lm" else 60], "naïve 😀 你好"]
    layers = None if name == "demo:sentiment" else [0, 14, 29]
    together = extract(model, texts, ["mlp", "residual"], layers, progress=False)
    for index, text in enumerate(texts):
        alone = extract(model, [text], ["mlp", "residual"], layers, progress=False)
        plain = zip(alone.tokens.pieces, alone.tokens.special, strict=True)
        assert "".join(piece for piece, special in plain if not special) == text
        for site in ("mlp", "residual"):
            rows = together.sentence_index == index
            for one, other in zip(together[site][:, rows], alone[site], strict=True):
                np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * max(1.0, float(np.abs(other).max())))
