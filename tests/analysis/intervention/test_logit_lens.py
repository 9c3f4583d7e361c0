"""The residual stream read by the head: the last layer is the model's answer, the others the head applied by hand."""

from __future__ import annotations

import families
import numpy as np
import pytest
import torch
from masked_model import masked_model

import neurowidget as nw
from neurowidget.analysis.intervention.logit_lens import logit_lens
from neurowidget.models import hooks
from neurowidget.neuron import LayerSite

TEXT = "The plot was not good."


@pytest.mark.parametrize("name", [*families.CAUSAL, "t5", "bart", "masked"])
def test_the_last_layer_gives_the_answer_of_the_model(name):
    model = masked_model() if name == "masked" else families.model(name)
    more = {"target_text": "one two three"} if model.stacks else {}
    lens = logit_lens(model, TEXT, top=3, **more)
    assert lens.layers == tuple(range(model.layers("decoder" if model.stacks else None)))
    np.testing.assert_allclose(lens.kl[-1], 0, atol=1e-5)
    assert (lens.answer_ranks[-1] == 0).all()
    assert (lens.ids[-1, :, 0] == lens.answer_ids).all()
    assert (lens.kl[0] > 0).all()
    if not model.stacks:
        probabilities = model.forward(model.encode([TEXT]))["logits"][0].softmax(-1)
        np.testing.assert_allclose(lens.probabilities[-1, :, 0], probabilities.amax(-1).numpy(), atol=1e-5)
    assert lens.label(0, 0) == lens.labels[int(lens.ids[0, 0, 0])]
    assert len(lens.to_columns()["kl"]) == lens.kl.size


def test_every_layer_equals_the_norm_and_head_applied_by_hand():
    model = families.model("gpt2")
    lens = logit_lens(model, TEXT, top=2, layers=[0, 1])
    batch = model.encode([TEXT])
    for row, layer in enumerate((0, 1)):
        site = LayerSite(layer, "residual")
        value = hooks.record_values(model, batch, [site])[site]
        with torch.inference_mode():
            read = model.module.lm_head(model.module.transformer.ln_f(value))[0].softmax(-1)
        np.testing.assert_allclose(lens.probabilities[row], read.topk(2).values.numpy(), atol=1e-5)
    with model.intervene(nw.Ablate("L0.mlp")):
        assert not np.allclose(logit_lens(model, TEXT, layers=[0]).kl, lens.kl[:1])


def test_a_model_without_such_a_head_says_what_to_do():
    with pytest.raises(ValueError, match=r"no language-model head.*path_effects"):
        logit_lens(families.model("bert"), TEXT)
