"""Output weights read as tokens, against the norm and the head applied by hand."""

from __future__ import annotations

import families
import numpy as np
import pytest
import torch
from masked_model import masked_model

import neurowidget as nw
from neurowidget.analysis.intervention.promoted_tokens import promoted_tokens
from neurowidget.neuron import LayerSite


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3", "gpt_neox"])
def test_promoted_tokens_are_the_head_times_the_normed_weight(name):
    model = families.model(name)
    head = model.architecture.head.weight.detach()
    found = promoted_tokens(model, "L1.mlp[7]", k=5)
    weight = model.output_projection(LayerSite(1))[0][7]
    if name in ("llama", "qwen3"):
        norm = model.module.model.norm.weight.detach()
        expected = head @ (norm * weight / weight.square().mean().sqrt())
    else:
        last = model.module.transformer.ln_f if name == "gpt2" else model.module.gpt_neox.final_layer_norm
        centred = weight - weight.mean()
        expected = head @ (last.weight.detach() * centred / centred.square().mean().sqrt())
    order = expected.argsort(descending=True)
    assert found.ids.tolist() == [*order[:5].tolist(), *order.flip(0)[:5].tolist()]
    np.testing.assert_allclose(found.scores, expected[found.ids.tolist()].numpy(), rtol=1e-3)
    assert not found.approximate
    assert found.frozen_norm != "none"
    assert len(found.promoted) == len(found.suppressed) == 5


def test_directions_of_all_kinds():
    model = families.model("gpt2")
    weight = model.output_projection(LayerSite(1))[0][7]
    by_neuron = promoted_tokens(model, "L1.mlp[7]")
    by_array = promoted_tokens(model, weight.numpy())
    assert by_array.ids.tolist() == by_neuron.ids.tolist()
    assert promoted_tokens(model, 2 * weight).scores == pytest.approx(by_neuron.scores, rel=1e-4)
    flipped = promoted_tokens(model, -weight)
    assert flipped.ids.tolist() == [*by_neuron.ids[20:].tolist(), *by_neuron.ids[:20].tolist()]
    assert promoted_tokens(model, "L1.residual[3]").name == "L1.residual[3]"
    plain = families.build("plain_module")
    plain.module.last = torch.nn.Identity()  # no final norm at all
    plain = nw.load_model(plain.module, plain.tokenizer, sites=families.PLAIN_SITES)
    without = promoted_tokens(plain, "L1.mlp[7]")
    assert (without.frozen_norm, without.approximate) == ("none", False)
    assert promoted_tokens(masked_model(), "L1.mlp[7]").approximate
    assert promoted_tokens(families.model("t5"), "decoder.L1.mlp[7]").approximate is False


def test_a_model_without_such_a_head_says_what_to_do():
    model = families.model("bert")
    with pytest.raises(ValueError, match=r"no language-model head.*path_effects"):
        promoted_tokens(model, "L1.mlp[7]")
    lm = families.model("gpt2")
    with pytest.raises(ValueError, match="got \\(7,\\)"):
        promoted_tokens(lm, np.ones(7))
    with pytest.raises(ValueError, match="writes nothing"):
        promoted_tokens(lm, np.zeros(32))
