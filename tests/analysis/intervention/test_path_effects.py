"""Direct paths: by hand, against the norm and head of a model applied by hand, and where there is one path only."""

from __future__ import annotations

import families
import numpy as np
import pytest
import torch
from hand_model import hand_model
from hook_dicts import hook_dicts

import neurowidget as nw
from neurowidget.analysis.intervention.path_effects import path_effects
from neurowidget.models import hooks, targets
from neurowidget.models.progress import Cancelled
from neurowidget.neuron import LayerSite

CLEAN, CORRUPT = "one two three four", "one three two four"


def test_worked_out_by_hand():
    """L0.mlp[0] is 1 at "one" and writes (1, 0). Without it L1.mlp there is (2, 0, 2), and 1 + 2 * 1 less is written."""
    model = hand_model()
    options = {"senders": "L0.mlp[0]", "target": targets.logit(0), "ablation": "zero", "progress": False}
    direct = path_effects(model, "one two", **options)
    assert direct.values.tolist() == [[1]]
    assert direct.total.tolist() == [3]
    through = path_effects(model, "one two", receivers="L1.neurons", **options)
    assert through.receivers == ("L1.mlp[0]", "L1.mlp[1]", "L1.mlp[2]")
    assert through.values.tolist() == [[0, 0, 2]]  # L1.mlp[0] writes to the other logit
    assert through.activation_changes.tolist() == [[0.5, 0, 0.5]]  # 1 less at one of two tokens
    assert "attention" in direct.warnings[0]
    assert path_effects(model, "one two", receivers="L0.mlp[2]", **options).values.tolist() == [[0]]


def test_the_direct_effect_is_the_head_on_what_is_left_of_the_last_residual():
    model = families.model("gpt2")
    target = targets.resolve(model, model.encode([CLEAN]))
    senders = ["L0.mlp[3]", "L1.mlp[7]", "L2.attention[1]"]
    found = path_effects(model, CLEAN, senders=senders, target=target, ablation="zero", progress=False)
    batch = model.encode([CLEAN])
    sites = [LayerSite(0), LayerSite(1), LayerSite(2, "attention"), LayerSite(2, "residual")]
    values = hooks.record_values(model, batch, sites)
    with torch.inference_mode():
        for row, (site, index) in enumerate(((sites[0], 3), (sites[1], 7), (sites[2], 1))):
            lost = values[site][0, -1, index] * model.output_projection(site)[0][index]
            logits = model.module.lm_head(model.module.transformer.ln_f(values[sites[3]][0, -1] - lost))
            after = float(logits.log_softmax(-1)[int(target.ids[0, 0])])
            assert found.values[row, 0] == pytest.approx(float(found.clean[0]) - after, abs=1e-5)


def test_a_receiver_sees_the_sender_through_its_own_norm_alone():
    model = families.model("gpt2")
    target = targets.resolve(model, model.encode([CLEAN]))
    found = path_effects(
        model, CLEAN, CORRUPT, senders="L0.mlp[3]", receivers="L2.mlp[5]", target=target, progress=False
    )
    batch, other = model.encode([CLEAN]), model.encode([CORRUPT])
    block = model.module.transformer.h[2]
    inputs = []
    handle = block.ln_2.register_forward_pre_hook(lambda _, args: inputs.append(args[0].detach().clone()))
    values = [hooks.record_values(model, b, [LayerSite(0)])[LayerSite(0)] for b in (batch, other)]
    model.forward(batch)
    handle.remove()
    moved = (values[1] - values[0])[..., 3:4] * model.output_projection(LayerSite(0))[0][3]
    with torch.inference_mode():
        old, new = (
            block.mlp.act(block.mlp.c_fc(block.ln_2(state)))[..., 5] for state in (inputs[-1], inputs[-1] + moved)
        )
    assert found.activation_changes[0, 0] == pytest.approx(float((old - new).mean()), abs=1e-6)
    with model.intervene(nw.Patch("L2.mlp[5]", new[0, :, None].numpy())):
        after = float(targets.evaluate_target(model, batch, target))
    assert found.values[0, 0] == pytest.approx(float(found.clean[0]) - after, abs=1e-5)


@pytest.mark.parametrize("name", [*families.EIGHT, "albert", "gemma2", "phi"])
def test_after_the_last_layer_the_direct_path_is_the_only_one(name):
    model = families.model(name)
    stack = "decoder" if model.stacks else None
    last = model.layers(stack) - 1
    sender = f"{stack + '.' if stack else ''}L{last}.mlp"
    found = path_effects(model, CLEAN, CORRUPT if not stack else None, senders=sender, ablation="zero", progress=False)
    assert found.total[0] != 0
    np.testing.assert_allclose(found.values[:, 0], found.total, atol=1e-5)
    earlier = path_effects(model, CLEAN, senders=sender.replace(f"L{last}", "L0"), ablation="zero", progress=False)
    assert abs(earlier.values[0, 0] - earlier.total[0]) > 1e-5  # later layers answer to it


def test_heads_send_to_neurons_and_nothing_leads_backwards():
    model = families.model("llama")
    found = path_effects(
        model, CLEAN, CORRUPT, senders="L1.heads", receivers=["L2.mlp[3]", "L0.mlp[1]"], progress=False
    )
    assert found.senders == tuple(f"L1.head[{head}]" for head in range(4))
    assert (found.values[:, 1] == 0).all()
    assert (found.activation_changes[:, 1] == 0).all()
    assert (found.activation_changes[:, 0] != 0).any()
    same = path_effects(model, CLEAN, CLEAN, senders="L1.heads", receivers="L2.mlp[3]", progress=False)
    assert (same.values == 0).all()
    assert len(found.to_columns()["sender"]) == 8
    whole = path_effects(
        model, CLEAN, CORRUPT, senders="L1.heads", receivers="L2.neurons", only_activations=True, progress=False
    )
    np.testing.assert_allclose(whole.activation_changes[:, 3], found.activation_changes[:, 0], atol=1e-6)
    assert np.isnan(whole.values).all()
    site = path_effects(
        model, CLEAN, CORRUPT, senders="L1.heads", receivers="L2.mlp", only_activations=True, progress=False
    )
    np.testing.assert_allclose(site.activation_changes[:, 0], whole.activation_changes.mean(axis=1), atol=1e-6)


def test_several_texts_equal_each_alone():
    model = families.model("gpt2")
    texts = [CLEAN, "film two one"]
    options = {"senders": ["L0.mlp[3]", "L1.head[2]"], "receivers": "L2.mlp[5]", "ablation": "zero", "progress": False}
    together = path_effects(model, texts, **options)
    for row, text in enumerate(texts):
        alone = path_effects(model, text, **options)
        np.testing.assert_allclose(together.by_text[row], alone.values, atol=1e-5)


def test_mistakes_and_stops():
    model = families.build("gpt2")
    with pytest.raises(ValueError, match="leads through the residual stream"):
        path_effects(model, CLEAN, senders="L0.residual")
    with pytest.raises(ValueError, match="there are 0 to 3"):
        path_effects(model, CLEAN, senders="L0.head[4]")
    with pytest.raises(ValueError, match="in one stack"):
        path_effects(families.model("t5"), CLEAN, senders="encoder.L0.mlp[1]", receivers="decoder.L0.mlp[1]")
    with pytest.raises(ValueError, match="no ablation 'resample' of a path"):
        path_effects(model, CLEAN, senders="L0.mlp[1]", ablation="resample")
    before = hook_dicts(model.module)
    with pytest.raises(Cancelled):
        path_effects(model, CLEAN, CORRUPT, senders="L0.heads", should_stop=lambda: True)
    assert hook_dicts(model.module) == before
