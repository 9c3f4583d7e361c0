"""Exchanged activations: by hand, against single patched runs, and where the answer is known beforehand."""

from __future__ import annotations

import families
import numpy as np
import pytest
import torch
from hand_model import hand_model
from hook_dicts import hook_dicts

import neurowidget as nw
from neurowidget.analysis.intervention.patching_effects import patching_effects
from neurowidget.models import targets
from neurowidget.models.heads import head_columns, head_count
from neurowidget.models.loading import NeuronModel
from neurowidget.models.progress import Cancelled
from neurowidget.neuron import LayerSite

CLEAN, CORRUPT = "one two three four", "one one three four"


def stack_of(model: NeuronModel) -> str:
    return "encoder." if model.stacks else ""


def patched(model, text, source, neurons, target, positions=None):
    """F(text; a<-source) - F(text) by a block of its own."""
    batch = model.encode([text])
    with model.intervene(nw.Patch(neurons, source), positions=positions):
        after = targets.evaluate_target(model, batch, target)
    return float(after - targets.evaluate_target(model, batch, target))


def test_worked_out_by_hand():
    """ "one" gives the residuals (3, 2), (10, 5); "three" = (3, -1): L0 mlp (3, 0, 2), residual (8, 2), L1 (25, 10)."""
    model = hand_model()
    found = patching_effects(model, "one two", "three two", "residual", targets.logit(0), progress=False)
    assert found.clean == 17
    assert found.corrupt == 32
    assert found.denoise.tolist() == [[-15, 0], [-15, 0]]
    assert found.noise.tolist() == [[-15, 0], [-15, 0]]
    assert found.denoise_share.tolist() == [[1, 0], [1, 0]]
    assert (found.labels, found.corrupt_labels) == (("one", " two"), ("three", " two"))
    # L0 mlp alone writes (5, 3) instead of (2, 2): the residual of "one" is (6, 3), then 6 + 2 * 6 + 1 = 19.
    mlp = patching_effects(model, "one two", "three two", "mlp", targets.logit(0), progress=False)
    assert mlp.noise[0].tolist() == [10 - 19, 0]


@pytest.mark.parametrize("name", [*families.EIGHT, "albert", "gemma2"])
def test_every_cell_equals_a_single_patched_run(name):
    model = families.model(name)
    target = targets.resolve(model, model.encode([CLEAN]))
    prefix = stack_of(model)
    for site in ("residual", "attention", "mlp"):
        found = patching_effects(
            model, CLEAN, CORRUPT, prefix + site, target, layers=[0, 1], positions=[1, 3, -1], progress=False
        )
        for row, layer in enumerate(found.layers):
            for column, position in enumerate([1, 3, -1]):
                where = LayerSite(layer, site, prefix[:-1] or None)
                denoised = patched(model, CORRUPT, CLEAN, where, target, [position])
                noised = -patched(model, CLEAN, CORRUPT, where, target, [position])
                assert found.denoise[row, column] == pytest.approx(denoised, abs=2e-5)
                assert found.noise[row, column] == pytest.approx(noised, abs=2e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert", "qwen3"])
def test_heads_and_neurons_equal_single_patched_runs(name):
    model = families.model(name)
    target = targets.resolve(model, model.encode([CLEAN]))
    heads = patching_effects(model, CLEAN, CORRUPT, "heads", target, progress=False)
    site = LayerSite(1, "attention")
    columns = head_columns(model.width("attention"), head_count(model, site), 2)
    own = [nw.Neuron(1, index, "attention") for index in range(columns.start, columns.stop)]
    assert heads.denoise.shape == (3, 4)
    assert heads.denoise[1, 2] == pytest.approx(patched(model, CORRUPT, CLEAN, own, target), abs=2e-5)
    neurons = patching_effects(model, CLEAN, CORRUPT, "neurons", target, verify=5, progress=False)
    (layer, label, value) = neurons.top(1, "noise")[0]
    assert neurons.exact[layer, int(label)]
    single = patched(model, CLEAN, CORRUPT, nw.Neuron(layer, int(label)), target)
    assert value == pytest.approx(-single, abs=2e-5)
    assert neurons.agreement["spearman"] > 0.9
    assert not neurons.exact.all()


@pytest.mark.parametrize("name", families.EIGHT)
def test_all_that_the_answer_reads_brings_all_of_it_back(name):
    model = families.model(name)
    last = model.num_layers - 1
    prefix = stack_of(model)
    found = patching_effects(model, CLEAN, CORRUPT, f"{prefix}residual", layers=[last], progress=False)
    if model.kind == "causal_lm":  # the last token alone is read
        np.testing.assert_allclose(found.denoise_share[0], [0] * (len(found.labels) - 1) + [1], atol=1e-3)
    first = patching_effects(model, CLEAN, CORRUPT, f"{prefix}embed", layers=[0], positions=[1], progress=False)
    assert np.isfinite(first.noise).all()


@pytest.mark.parametrize("name", ["bert", "gpt2"])
@pytest.mark.parametrize("site", ["residual", "heads", "neurons"])
def test_the_same_prompt_twice_is_exactly_nothing(name, site):
    model = families.build(name)
    model.module.train()
    found = patching_effects(model, CLEAN, CLEAN, site, verify=20, progress=False)
    assert (found.denoise == 0).all()
    assert (found.noise == 0).all()
    assert np.isnan(found.denoise_share).all()  # no effect that could be shared out
    assert model.module.training


def test_tokens_before_the_first_difference_of_a_causal_model_are_not_run():
    model = families.model("gpt2")
    found = patching_effects(model, CLEAN, CORRUPT, progress=False)
    different = [a != b for a, b in zip(found.labels, found.corrupt_labels, strict=True)]
    assert (found.denoise[:, : different.index(True)] == 0).all()
    assert (found.noise[:, : different.index(True)] == 0).all()


def test_pairs_of_several_lengths_and_targets_equal_pairs_alone():
    model = families.model("gpt2")
    clean, corrupt = [CLEAN, "Mary gave a drink to John"], [CORRUPT, "John gave a drink to John"]
    pair = [("a", "o"), ("o", "a")]
    options = {"positions": [(3, 3), (-1, -1)], "progress": False}
    together = patching_effects(model, clean, corrupt, "attention", pair, **options)
    assert together.denoise_by_pair.shape == (2, 3, 2)
    for row in range(2):
        alone = patching_effects(model, clean[row], corrupt[row], "attention", pair[row], **options)
        np.testing.assert_allclose(together.denoise_by_pair[row], alone.denoise, atol=2e-5)
        np.testing.assert_allclose(together.noise_by_pair[row], alone.noise, atol=2e-5)
        assert together.total[row] == pytest.approx(alone.total[0], abs=2e-5)
    np.testing.assert_allclose(together.denoise_share, together.denoise / together.total.mean(), rtol=1e-5)


def test_an_alignment_moves_values_between_positions():
    model = families.model("bert")
    target = targets.resolve(model, model.encode([CLEAN]))
    found = patching_effects(model, CLEAN, "one two", "mlp", target, positions=[(4, 2)], progress=False)
    assert found.positions.tolist() == [[4, 2]]
    single = patched(model, "one two", CLEAN, "L1.mlp", target, [(2, 4)])
    assert found.denoise[1, 0] == pytest.approx(single, abs=2e-5)
    back = patched(model, CLEAN, "one two", "L1.mlp", target, [(4, 2)])
    assert found.noise[1, 0] == pytest.approx(-back, abs=2e-5)


def test_half_precision_and_one_direction():
    module, tokenizer = families.FAMILIES["llama"]()
    model = nw.load_model(module.to(torch.bfloat16), tokenizer)
    found = patching_effects(model, CLEAN, CORRUPT, "residual", how="noise", progress=False)
    assert found.denoise is None
    assert np.isfinite(found.noise).all()
    assert found.noise_floor > 0.01


def test_mistakes_show_what_was_given():
    model = families.model("gpt2")
    with pytest.raises(ValueError, match=r"(?s)pair 0 have 12 and 6 tokens.*o\|n\|e\|Ġt.*positions="):
        patching_effects(model, CLEAN, "one two", progress=False)
    with pytest.raises(ValueError, match="2 prompts and 1 counterparts"):
        patching_effects(model, [CLEAN, CLEAN], CORRUPT)
    with pytest.raises(ValueError, match="position 30 is outside the first prompt of pair 0"):
        patching_effects(model, CLEAN, CORRUPT, positions=[30])
    with pytest.raises(ValueError, match="no site 'nowhere'"):
        patching_effects(model, CLEAN, CORRUPT, "nowhere")
    with pytest.raises(ValueError, match="how='sideways'"):
        patching_effects(model, CLEAN, CORRUPT, how="sideways")
    with pytest.raises(ValueError, match="6 to 12 tokens, which is no grid"):
        patching_effects(model, [CLEAN, "one two"], [CORRUPT, "one one"])
    with pytest.raises(ValueError, match="3 targets for 1 prompts"):
        patching_effects(model, CLEAN, CORRUPT, target=[("a", "b")] * 3)


def test_a_stop_leaves_nothing_behind():
    model = families.build("gpt2")
    before = hook_dicts(model.module)
    asked = iter([False] * 3 + [True] * 9)
    with pytest.raises(Cancelled):
        patching_effects(model, CLEAN, CORRUPT, should_stop=lambda: next(asked), progress=False)
    assert hook_dicts(model.module) == before
