"""Effects against numbers worked out by hand, against edited weights and interventions, alone and in batches."""

from __future__ import annotations

import copy
from typing import Any

import families
import numpy as np
import pytest
import torch
from hand_model import hand_model
from hook_dicts import hook_dicts

import neurowidget as nw
from neurowidget.analysis.intervention.ablation_effects import ablation_effects
from neurowidget.analysis.statistics.bootstrap import bootstrap_interval
from neurowidget.models import targets
from neurowidget.models.loading import NeuronModel, load_model
from neurowidget.models.progress import Cancelled
from neurowidget.models.reference import ReferenceMeans
from neurowidget.neuron import LayerSite

TEXTS = list(families.RAGGED_TEXTS)
REFERENCE = ["The keys to the cabinet are on the table, and the doors were open.", *families.RAGGED_TEXTS] * 30
QUIET: dict[str, Any] = {"progress": False}


def first_logit(**more: Any) -> dict[str, Any]:
    return {"target": targets.logit(0), "ablation": "zero", **QUIET, **more}


@pytest.mark.parametrize("method", ["exact", "gradient"])
@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({}, [[3, 0, 9], [0, 0, 10]]),
        ({"target": targets.logit(1)}, [[1, 2, 6], [5, 0, 0]]),
        ({"target": None}, [[2, -2, 3], [-5, 0, 10]]),  # log-odds of the first of two classes: 17 - 14
        ({"positions": [0]}, [[3, 0, 3], [0, 0, 6]]),
        ({"positions": -1}, [[0, 0, 6], [0, 0, 4]]),
        ({"layers": [1]}, [[0, 0, 10]]),
    ],
)
def test_hand_numbers_exact_and_to_first_order(method, options, values):
    # No neuron of this model changes sign on the way to 0, so first order is exact.
    effects = ablation_effects(hand_model(), "one two", method=method, **first_logit(**options))
    assert effects.values.tolist() == values
    assert method == "exact" or effects.estimates.tolist() == values
    assert effects.clean.tolist() == [3 if options.get("target", 0) is None else 14 if options.get("target") else 17]
    assert effects.exact.all()
    assert effects.ablation == "zero"


def test_hand_numbers_of_a_mean_with_a_value_of_its_own_for_each_role():
    means = ReferenceMeans("mlp", None, torch.tensor([[1.0, 1, 1], [1, 1, 1]]), {}, "a hand-made sample", 1000)
    effects = ablation_effects(hand_model(), "one two", **first_logit(ablation="mean", reference=means))
    # L0.mlp[0] of "two" goes from 0 to 1, so the residual x0 by 1 and the logit by 3; L1.mlp[1] from 0 to 1 in both
    assert effects.values.tolist() == [[-3, 0, 3], [0, -2, 6]]
    assert effects.ablation == "mean over a hand-made sample"


def test_the_largest_estimates_are_run_again_and_marked():
    model = families.model("roberta")
    options: dict[str, Any] = {"ablation": "zero", **QUIET}
    estimated = ablation_effects(model, TEXTS[0], method="gradient", verify=0, **options)
    checked = ablation_effects(model, TEXTS[0], method="gradient", verify=10, **options)
    exact = ablation_effects(model, TEXTS[0], **options)
    assert not estimated.exact.any()
    assert estimated.agreement is None
    np.testing.assert_array_equal(estimated.values, checked.estimates)
    largest = np.argsort(-np.abs(estimated.values).ravel())[:10]
    assert checked.exact.ravel()[largest].all()
    assert 60 <= checked.exact.sum() <= 110  # 10 largest, 50 at random, the 50 that are moved farthest
    np.testing.assert_allclose(checked.values[checked.exact], exact.values[checked.exact], atol=1e-6)
    np.testing.assert_array_equal(checked.values[~checked.exact], estimated.values[~checked.exact])
    assert checked.agreement["neurons"] == checked.exact.sum()
    worst = np.abs(estimated.values - exact.values)[checked.exact].max()
    assert checked.agreement["worst_error"] == pytest.approx(worst, abs=1e-5)
    assert checked.agreement["spearman"] > 0.9
    assert exact.estimates is None


def with_zeroed_output(model: NeuronModel, neuron: nw.Neuron) -> NeuronModel:
    """A copy in which nothing reads the neuron any more: the weight edit that zero ablation stands for."""
    other = load_model(copy.deepcopy(model.module), model.tokenizer)
    module = other.locate(neuron.address).module
    with torch.no_grad():
        if type(module).__name__ == "Conv1D":
            module.weight[neuron.index] = 0
        else:
            module.weight[:, neuron.index] = 0
    return other


@pytest.mark.parametrize("name", families.EIGHT)
@pytest.mark.parametrize("site", ["mlp", "attention"])
def test_zero_ablation_is_the_weight_edit_and_a_batch_is_its_singles(name, site):
    model = families.model(name)
    neuron = nw.Neuron(1, 11, site)
    effects = ablation_effects(model, TEXTS, neurons=[neuron], ablation="zero", **QUIET)
    edited = with_zeroed_output(model, neuron)
    for row, text in enumerate(TEXTS):
        batch = model.encode([text])
        target = targets.resolve(model, batch)
        clean = float(targets.evaluate_target(model, batch, target))
        change = clean - float(targets.evaluate_target(edited, batch, target_of(edited, target)))
        assert effects.per_text[row, 0, 11] == pytest.approx(change, abs=1e-5)
        assert effects.clean[row] == pytest.approx(clean, abs=1e-5)
        alone = ablation_effects(model, text, neurons=[neuron], ablation="zero", **QUIET)
        assert alone.for_neuron(neuron) == pytest.approx(change, abs=1e-5)
    assert effects.for_neuron(neuron) == pytest.approx(effects.per_text[:, 0, 11].mean(), abs=1e-6)


def target_of(model: NeuronModel, target: targets.Target) -> targets.Target:
    """The same answers asked of a copy of the model."""
    return targets.resolve(model, model.encode(["x"]), targets.Spec(measure_of(model), (int(target.ids[0, 0]),)))


def measure_of(model: NeuronModel) -> Any:
    return "log-odds" if model.labels else "log-probability"


@pytest.mark.parametrize("name", families.EIGHT)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("method", ["exact", "gradient"])
def test_many_neurons_of_many_texts_are_those_one_by_one(name, side, method):
    model = families.build(name)
    model.tokenizer.padding_side = side
    options: dict[str, Any] = {"ablation": "zero", "method": method, "verify": 0, **QUIET}
    options["neurons"] = [nw.Neuron(layer, index) for layer in (0, 1) for index in range(0, 48, 4 - layer)]
    together = ablation_effects(model, TEXTS, **options)
    for row, text in enumerate(TEXTS):
        alone = ablation_effects(families.model(name), text, **options)
        np.testing.assert_allclose(together.per_text[row], alone.values, atol=1e-5 * max(1, np.abs(alone.values).max()))
    for neuron in ("L0.mlp[8]", "L1.mlp[42]"):
        one = ablation_effects(model, TEXTS, **{**options, "neurons": neuron})
        assert one.for_neuron(neuron) == pytest.approx(together.for_neuron(neuron), abs=1e-6)
        assert np.isnan(one.values).sum() == one.values.size - 1


@pytest.mark.parametrize("name", families.FAMILIES)
def test_a_neuron_that_nothing_reads_has_an_effect_of_exactly_0(name, monkeypatch):
    module, tokenizer = families.FAMILIES[name]()
    model = load_model(module, tokenizer, sites=families.PLAIN_SITES if name == "plain_module" else None)
    place = model.locate(LayerSite(1, "mlp")).module
    with torch.no_grad():
        (place.weight if type(place).__name__ == "Conv1D" else place.weight.T)[[2, 30]] = 0
    monkeypatch.setattr("neurowidget.analysis.intervention.ablation_effects.FEWEST_TEXTS", 3)
    effects = ablation_effects(model, TEXTS, layers=[1], ablation="zero", **QUIET)
    assert (effects.per_text[:, 0, [2, 30]] == 0).all()
    assert (effects.per_text[:, 0, :2] != 0).any()


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5", "albert"])
@pytest.mark.parametrize("how", ["mean", "resample"])
def test_it_is_the_change_that_the_intervention_makes(name, how):
    model = families.model(name)
    neuron = "L1.mlp[7]"
    effects = ablation_effects(
        model, TEXTS[:2], neurons=[neuron], ablation=how, reference=REFERENCE, seed=3, positions=[0, 2], **QUIET
    )
    for row, text in enumerate(TEXTS[:2]):
        batch = model.encode([text])
        target = targets.resolve(model, batch)
        clean = float(targets.evaluate_target(model, batch, target))
        changed = []
        for draw in range(16 if how == "resample" else 1):
            off = nw.Ablate(neuron, how, reference=REFERENCE, seed=3, draw=draw)
            with model.intervene(off, positions=[0, 2]):
                changed.append(float(targets.evaluate_target(model, batch, target)))
        assert effects.per_text[row, 0, 7] == pytest.approx(clean - np.mean(changed), abs=1e-5)
    assert effects.ablation.startswith(f"{how} over {len(REFERENCE)} reference texts")


@pytest.mark.parametrize("how", ["mean", "resample"])
@pytest.mark.parametrize("site", ["mlp", "decoder.mlp"])
def test_a_decoder_has_sites_of_its_own(how, site):
    model = families.model("bart")
    effects = ablation_effects(model, TEXTS[0], site=site, ablation=how, reference=REFERENCE, layers=[1], **QUIET)
    assert (effects.stack, effects.site) == (site.rpartition(".")[0] or None, "mlp")
    assert effects.values.shape == (1, model.width(site))
    found = ablation_effects(
        model, TEXTS[0], site=site, ablation=how, reference=REFERENCE, layers=[1], method="gradient", verify=0, **QUIET
    )
    assert np.corrcoef(found.values.ravel(), effects.values.ravel())[0, 1] > 0.8


def test_inside_intervene_the_changed_model_is_the_clean_one():
    with (model := hand_model()).intervene(nw.Ablate("L0.mlp[2]", "zero")):
        effects = ablation_effects(model, "one two", **first_logit())
    # one: residual (2, 1), L1 (2, 0, 2), 7; two: residual (0, 5), L1 (0, 0, 0), 1
    assert effects.clean.tolist() == [8]
    assert effects.values.tolist() == [[3, 0, 0], [0, 0, 4]]


def test_the_interval_is_a_bootstrap_over_texts():
    model = families.model("distilbert")
    texts = [*TEXTS, "one two", "three four five", "the old house"]
    effects = ablation_effects(model, texts, neurons=["L1.mlp[3]"], ablation="zero", seed=5, **QUIET)
    np.testing.assert_allclose(effects.interval, bootstrap_interval(effects.per_text, seed=5), rtol=1e-6)
    low, high = effects.interval[:, 0, 3]
    assert low < effects.for_neuron("L1.mlp[3]") < high
    assert ablation_effects(model, texts[:5], neurons=["L1.mlp[3]"], ablation="zero", **QUIET).interval is None


def test_texts_in_several_batches_keep_their_places(monkeypatch):
    model = families.model("gpt2")
    options: dict[str, Any] = {"neurons": ["L0.mlp[1]"], "ablation": "zero", **QUIET}
    together = ablation_effects(model, TEXTS, **options)
    resolved = targets.resolve(model, model.encode(TEXTS))
    monkeypatch.setattr("neurowidget.analysis.intervention.ablation_effects.MOST_TEXTS", 1)
    monkeypatch.setattr("neurowidget.analysis.intervention.ablation_effects.FEWEST_TEXTS", 1)
    for target in (None, resolved):
        apart = ablation_effects(model, TEXTS, target=target, **options)
        assert apart.target == together.target == "log-probability of the predicted token"
        np.testing.assert_allclose(apart.per_text, together.per_text, atol=1e-5)
        np.testing.assert_allclose(apart.clean, together.clean, atol=1e-5)
        assert apart.texts == tuple(TEXTS)


def test_each_text_keeps_its_own_target_from_the_clean_model():
    model = families.model("gpt2")
    options: dict[str, Any] = {"neurons": ["L0.mlp[1]"], "ablation": "zero", **QUIET}
    predicted = [int(model.predict(text).ids[0]) for text in TEXTS]
    assert len(set(predicted)) > 1
    effects = ablation_effects(model, TEXTS, **options)
    assert effects.target == "log-probability of the predicted token"
    named = ablation_effects(model, TEXTS, target=" the", **options)
    assert named.target == "log-probability of ' the'"
    for row, (text, token) in enumerate(zip(TEXTS, predicted, strict=True)):
        own = ablation_effects(model, text, target=token, **options)
        assert effects.per_text[row, 0, 1] == pytest.approx(own.for_neuron("L0.mlp[1]"), abs=1e-5)
        assert named.per_text[row, 0, 1] != pytest.approx(own.for_neuron("L0.mlp[1]"), abs=1e-5)


def test_two_runs_are_bit_equal_and_the_seed_chooses_the_donors():
    model = families.model("gpt2")
    options: dict[str, Any] = {"neurons": ["L0.mlp[3]"], "ablation": "resample", "reference": REFERENCE, **QUIET}
    first, again = (ablation_effects(model, TEXTS, seed=1, **options) for _ in range(2))
    np.testing.assert_array_equal(first.per_text, again.per_text)
    assert first.for_neuron("L0.mlp[3]") != ablation_effects(model, TEXTS, seed=2, **options).for_neuron("L0.mlp[3]")


@pytest.mark.parametrize("method", ["exact", "gradient"])
def test_it_can_be_stopped_between_batches_and_leaves_nothing(method):
    model = families.build("bert")
    before = hook_dicts(model.module)
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    with pytest.raises(Cancelled):
        ablation_effects(model, TEXTS, ablation="zero", method=method, should_stop=should_stop, **QUIET)
    assert asked == 4
    assert hook_dicts(model.module) == before


@pytest.mark.parametrize("method", ["exact", "gradient"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_model_is_left_as_it_was_after_an_error(method, error):
    model = families.build("gpt2")
    model.module.train()
    before, weights, calls = hook_dicts(model.module), model.weights_hash, 0

    def target(output: Any, batch: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise error("stop")
        return output["logits"][:, 0, 0]

    with pytest.raises(error):
        ablation_effects(model, TEXTS, ablation="zero", target=target, method=method, **QUIET)
    assert hook_dicts(model.module) == before
    assert all(part.training for part in model.module.modules())
    assert all(p.grad is None for p in model.module.parameters())
    assert load_model(model.module, model.tokenizer).weights_hash == weights


def test_out_of_memory_halves_the_copies_and_keeps_the_numbers(monkeypatch):
    model = families.build("bert")
    expected = ablation_effects(model, TEXTS[0], ablation="zero", **QUIET)
    forward, rows = model.forward, []

    def small(batch: Any, grad: bool = False) -> Any:
        rows.append(len(batch))
        if len(batch) > 10:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(batch, grad)

    monkeypatch.setattr(model, "forward", small)
    effects = ablation_effects(model, TEXTS[0], ablation="zero", **QUIET)
    np.testing.assert_allclose(effects.values, expected.values, atol=1e-6)
    assert sum(n > 10 for n in rows) < 6  # what was too much once is not tried again
    monkeypatch.setattr(model, "forward", lambda batch, grad=False: small(batch.take([0] * 11)))
    with pytest.raises(torch.OutOfMemoryError):
        ablation_effects(model, TEXTS[0], ablation="zero", target="NEG", **QUIET)


def test_few_forwards_for_one_neuron_on_many_texts(monkeypatch):
    model = families.build("distilbert")
    forward, rows = model.forward, []
    monkeypatch.setattr(model, "forward", lambda batch, grad=False: (rows.append(len(batch)), forward(batch, grad))[1])
    ablation_effects(model, ["one two three"] * 64, neurons=["L0.mlp[3]"], ablation="zero", target="NEG", **QUIET)
    assert rows == [64, 64]  # clean and ablated


def test_nan_is_an_error():
    model = families.build("bert")
    with torch.no_grad():
        model.module.classifier.bias[1] = float("nan")
    for method in ("exact", "gradient"):
        with pytest.raises(ValueError, match="NaN"):
            ablation_effects(model, TEXTS[0], ablation="zero", target=targets.log_odds("NEG"), method=method, **QUIET)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "shapley"}, "'exact' or 'gradient'"),
        ({"ablation": "noise"}, "'zero', 'mean', 'resample'"),
        ({"ablation": "zero", "reference": ["text"]}, "not with 'zero'"),
        ({"ablation": "mean", "reference": ["too few tokens"]}, "1,000"),
        ({"ablation": "zero", "neurons": []}, "got none"),
        ({"ablation": "zero", "neurons": ["L0.mlp[1]", "L0.attention[1]"]}, "one site"),
        ({"ablation": "zero", "neurons": ["L0.mlp[1]"], "site": "attention"}, "one site"),
        ({"ablation": "zero", "neurons": ["L0.mlp[1]"], "layers": [1]}, "leaves out"),
        ({"ablation": "zero", "neurons": ["L7.mlp[1]"]}, "L7.mlp"),
        ({"ablation": "zero", "layers": []}, "layers"),
        ({"ablation": "zero", "site": "experts"}, "experts"),
        ({"ablation": "zero", "positions": [30]}, "position 30 is outside text 2"),
        ({"ablation": "zero", "target": "MAYBE"}, "'NEG', 'NEU', 'POS'"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        ablation_effects(families.model("bert"), TEXTS, **options, **QUIET)
    with pytest.raises(IndexError, match="48 neurons"):
        ablation_effects(families.model("bert"), TEXTS, neurons=["L0.mlp[48]"], ablation="zero", **QUIET)
    with pytest.raises(ValueError, match="no texts"):
        ablation_effects(families.model("bert"), [], **QUIET)


def test_a_progress_bar_counts_runs(capsys):
    ablation_effects(hand_model(), ["one two", "two"], ablation="zero", layers=[0])
    assert "ablation" in capsys.readouterr().err
    ablation_effects(hand_model(), ["one two", "two"], ablation="zero", layers=[0], progress=False)
    assert capsys.readouterr().err == ""
