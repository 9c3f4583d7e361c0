"""Targets: what they measure, that they are frozen, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import families
import pytest
import torch
import transformers as hf
from hand_model import hand_model

from neurowidget.models import hooks, targets
from neurowidget.models.interventions import Ablate, Set
from neurowidget.models.loading import load_model
from neurowidget.neuron import LayerSite, Neuron

TEXT = "The plot was not good."


def value(model: Any, texts: list[str] | str, target: Any = None, **options: Any) -> list[float]:
    batch = model.encode([texts] if isinstance(texts, str) else texts)
    return targets.evaluate_target(model, batch, targets.resolve(model, batch, target, **options)).tolist()


def encoder(auto: str, **more: Any) -> Any:
    config = hf.BertConfig(
        vocab_size=families.ROWS,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        pad_token_id=0,
        **more,
    )
    return load_model(families.randomised(getattr(hf, auto).from_config(config), 5), families.tokens.bert_like())


def test_measures_worked_out_by_hand():
    model = hand_model()  # the logits of "one two" are 17 and 14
    assert value(model, "one two") == [3]
    assert value(model, "one two", "LABEL_1") == [-3]
    assert value(model, "one two", 1) == [-3]
    assert value(model, "one two", targets.log_odds("LABEL_0")) == [3]
    assert value(model, "one two", ("LABEL_1", "LABEL_0")) == [-3]
    assert value(model, "one two", targets.contrast(0, 1)) == [3]
    assert value(model, "one two", targets.logit(1)) == [14]
    p = 1 / (1 + math.exp(-3))
    assert value(model, "one two", targets.probability(0)) == pytest.approx([p])
    assert value(model, "one two", targets.log_probability(1)) == pytest.approx([math.log(1 - p)])
    assert value(model, "one two", targets.neuron("L1.mlp[0]", token=0)) == [3]
    assert value(model, "one two", targets.neuron("L1.mlp[0]")) == [2.5]
    assert value(model, "one two", "L1.mlp[0]") == [2.5]
    assert value(model, "one two", Neuron(1, 0), position=-1) == [2]
    assert value(model, "one two", lambda output, batch: output["logits"].sum(dim=1)) == [31]


@pytest.mark.parametrize(
    ("target", "options", "name"),
    [
        (None, {}, "log-odds of LABEL_0"),
        ("LABEL_1", {}, "log-odds of LABEL_1"),
        (("LABEL_1", "LABEL_0"), {}, "logit of LABEL_1 - LABEL_0"),
        (targets.logit(0), {}, "logit of LABEL_0"),
        (targets.probability(0), {}, "probability of LABEL_0"),
        (targets.neuron("L1.mlp[0]", token=1), {}, "activation of L1.mlp[0] at token 1"),
        (targets.neuron("L1.mlp[0]"), {}, "mean activation of L1.mlp[0] over the tokens"),
    ],
)
def test_names(target, options, name):
    model = hand_model()
    assert targets.resolve(model, model.encode(["one two"]), target, **options).name == name


def test_names_of_tokens_and_positions():
    model = families.model("gpt2")
    batch = model.encode([TEXT])
    assert targets.resolve(model, batch, " the").name == "log-probability of ' the'"
    assert targets.resolve(model, batch, " the", position=2).name == "log-probability of ' the' after token 2"
    assert targets.resolve(model, batch, (" the", " and")).name == "logit of ' the' - ' and'"
    two = model.encode(list(families.RAGGED_TEXTS))
    assert targets.resolve(model, two).name == "log-probability of the predicted token"
    bert = encoder("AutoModelForMaskedLM")
    assert targets.resolve(bert, bert.encode(["the [MASK]"]), "good").name == "log-probability of 'good'"
    assert targets.resolve(bert, bert.encode(["the old"]), "good", position=1).name.endswith("at token 1")


@pytest.mark.parametrize("name", families.EIGHT)
def test_the_default_is_what_the_clean_model_predicts(name):
    model = families.model(name)
    texts = list(families.RAGGED_TEXTS)
    more = {"targets": list(families.TARGET_TEXTS)} if model.kind == "seq2seq_lm" else {}
    batch = model.encode(texts, **more)
    target = targets.resolve(model, batch)
    output = model.forward(batch)
    found = target(output, batch)
    for row in range(len(texts)):
        logits = output["logits"][row]
        if model.kind == "classifier":
            best = int(logits.argmax())
            others = torch.cat([logits[:best], logits[best + 1 :]])
            expected = logits[best] - others.logsumexp(0)
        else:
            last = batch.decoder_real(row) if more else batch.real(row)
            expected = logits[last][-1].log_softmax(0).max()
        assert float(found[row]) == pytest.approx(float(expected), abs=1e-5)
        alone = model.encode([texts[row]], **({"targets": [families.TARGET_TEXTS[row]]} if more else {}))
        single = targets.evaluate_target(model, alone, targets.resolve(model, alone))
        assert float(single[0]) == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
def test_a_resolved_target_stays_what_it_was(name):
    model = families.model(name)
    batch = model.encode([TEXT])
    target = targets.resolve(model, batch)
    site = LayerSite(1, "residual", model.stacks[-1] if model.stacks else None)
    changed = torch.linspace(-30, 30, 32)
    with model.intervene(Set(site, changed)):
        output = model.forward(batch)
        best = int(output["logits"].reshape(-1, output["logits"].shape[-1])[-1].argmax())
        assert best != int(target.ids[0, 0])
        inside = targets.resolve(model, batch)
        assert torch.equal(inside.ids, target.ids)
        assert targets.evaluate_target(model, batch, target) < targets.evaluate_target(
            model, batch, targets.resolve(model, batch, best)
        )
    assert targets.resolve(model, batch, target) is target


def test_rows_of_a_target_hold_for_copies():
    model = families.model("bert")
    texts = list(families.RAGGED_TEXTS)
    batch = model.encode(texts)
    target = targets.resolve(model, batch)
    copies = model.encode([texts[1]] * 3)
    expected = target(model.forward(batch), batch)[1]
    assert target.row(1)(model.forward(copies), copies).tolist() == pytest.approx([float(expected)] * 3, abs=1e-5)
    with pytest.raises(ValueError, match=r"resolved for 4 texts and is asked of 3.*row\(i\)"):
        target(model.forward(copies), copies)
    masked = encoder("AutoModelForMaskedLM")
    both = masked.encode(["the [MASK] film was good", "the old film [MASK]"])
    frozen = targets.resolve(masked, both)
    assert frozen.positions.tolist() != [int(frozen.positions[0])] * 2
    again = masked.encode(["the old film [MASK]"] * 2)
    values = frozen.row(1)(masked.forward(again), again)
    assert values.tolist() == pytest.approx([float(frozen(masked.forward(both), both)[1])] * 2, abs=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_mask_position_is_counted_within_its_text(side):
    model = encoder("AutoModelForMaskedLM")
    texts = ["the [MASK] film was good and the plot was not", "the old film [MASK]"]
    batch = model.encode(texts, padding_side=side)
    expected = [batch.ids(row).index(model.tokenizer.mask_token_id) for row in range(2)]
    target = targets.resolve(model, batch)
    assert target.positions.tolist() == expected
    alone = [value(model, text)[0] for text in texts]
    assert targets.evaluate_target(model, batch, target).tolist() == pytest.approx(alone, abs=1e-5)


def test_the_mask_position_is_frozen_when_the_mask_is_replaced():
    model = encoder("AutoModelForMaskedLM")
    batch = model.encode(["the [MASK] was good"])
    target = targets.resolve(model, batch, "film")
    without = model.encode(["the old was good"])
    logits = model.forward(without)["logits"][0, batch.ids(0).index(model.tokenizer.mask_token_id)]
    (film,) = model.tokenizer.encode("film", add_special_tokens=False)
    assert float(target(model.forward(without), without)) == pytest.approx(float(logits.log_softmax(0)[film]))


def test_positions_of_language_models():
    model = families.model("llama")
    batch = model.encode(list(families.RAGGED_TEXTS), padding_side="left")
    output = model.forward(batch)
    for position in (0, 1, -1, -2):
        target = targets.resolve(model, batch, 7, position=position)
        expected = [
            float(output["logits"][row, batch.real(row)][position].log_softmax(0)[7]) for row in range(len(batch))
        ]
        assert target(output, batch).tolist() == pytest.approx(expected)
    with pytest.raises(ValueError, match="position 200 is outside text 0"):
        targets.resolve(model, batch, 7, position=200)


def test_neuron_targets_read_recordings():
    model = families.model("gpt2")
    batch = model.encode(list(families.RAGGED_TEXTS))
    target = targets.resolve(model, batch, targets.neuron("L1.mlp[5]"))
    assert target.sites == (LayerSite(1, "mlp"),)
    output, recorded = targets.run_recorded(model, batch, target.sites)
    expected = [float(recorded[target.sites[0]][row, batch.real(row), 5].mean()) for row in range(len(batch))]
    assert target(output, batch, recorded).tolist() == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match=r"reads L1\.mlp.*recorded"):
        target(output, batch)
    with pytest.raises(ValueError, match="no such token"):
        targets.evaluate_target(model, batch, targets.resolve(model, batch, targets.neuron("L1.mlp[5]", token=40)))
    with pytest.raises(IndexError, match="48 neurons"):
        targets.resolve(model, batch, targets.neuron("L1.mlp[999]"))
    t5 = families.model("t5")
    pair = t5.encode([TEXT, "good"], targets=["film", "The old house."])
    decoder = targets.resolve(t5, pair, targets.neuron("decoder.L1.mlp[5]", token=-1))
    output, recorded = targets.run_recorded(t5, pair, decoder.sites)
    values = recorded[decoder.sites[0]]
    expected = [float(values[row, pair.decoder_real(row), 5][-1]) for row in range(2)]
    assert decoder(output, pair, recorded).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("spec", [None, 1, targets.probability(0), targets.logit(1), (0, 1), "L1.mlp[3]"])
def test_gradients_go_through_every_measure(spec):
    model = families.model("bert")
    batch = model.encode([TEXT])
    target = targets.resolve(model, batch, spec)
    output, recorded = targets.run_recorded(model, batch, (*target.sites, LayerSite(0)), grad=True)
    (gradient,) = torch.autograd.grad(target(output, batch, recorded).sum(), recorded[LayerSite(0)])
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0


def test_interventions_reach_the_target():
    model = hand_model()
    batch = model.encode(["one two"])
    target = targets.resolve(model, batch)
    with model.intervene(Ablate("L1.mlp[0]")):
        assert targets.evaluate_target(model, batch, target).tolist() == [8]
    for spec in (None, lambda output, batch: output["logits"][:, 0]):
        resolved = targets.resolve(model, batch, spec)
        assert not targets.evaluate_target(model, batch, resolved).is_inference()


def test_tokens_are_found_by_their_text():
    model = families.model("gpt2")
    batch = model.encode([TEXT])
    (space_the,) = model.tokenizer.encode(" the", add_special_tokens=False)

    def found(name: Any) -> int:
        return int(targets.resolve(model, batch, name).ids[0, 0])

    assert found(" the") == space_the
    assert found("Ġthe") == space_the
    assert found(space_the) == space_the
    assert len(model.tokenizer.encode("and", add_special_tokens=False)) > 1
    target = targets.resolve(model, batch, "and")
    assert target.name == "log-probability of ' and'"
    with pytest.raises(ValueError, match=r"'unbelievable' is not one token of .* but \d+: 'u"):
        found("unbelievable")
    with pytest.raises(ValueError, match="outside the vocabulary"):
        found(families.ROWS)
    bert = encoder("AutoModelForMaskedLM")
    batch = bert.encode(["the [MASK]"])
    with pytest.raises(ValueError, match="is not one token"):
        targets.resolve(bert, batch, "☃")  # only the unknown token


@pytest.mark.parametrize(
    ("make", "target", "options", "says"),
    [
        (hand_model, "POS", {}, r"no class 'POS'.*'LABEL_0', 'LABEL_1'"),
        (hand_model, 2, {}, "no class 2"),
        (hand_model, None, {"position": 1}, "classifies whole texts"),
        (lambda: encoder("AutoModel"), None, {}, r"no head.*targets\.neuron"),
        (lambda: encoder("AutoModelForTokenClassification"), None, {}, "position=3"),
        (lambda: encoder("AutoModelForMaskedLM"), None, {}, r"no \[MASK\]"),
        (
            lambda: encoder("AutoModelForSequenceClassification", num_labels=1),
            targets.probability(0),
            {},
            "one logit.*not a probability",
        ),
    ],
)
def test_what_a_model_has_not_is_refused(make, target, options, says):
    model = make()
    with pytest.raises(ValueError, match=says):
        targets.resolve(model, model.encode(["one two"]), target, **options)


@pytest.mark.parametrize("target", [1.5, True, [1, 2, 3], {"a": 1}])
def test_what_is_no_target_is_refused(target):
    model = hand_model()
    with pytest.raises(TypeError, match="expected"):
        targets.resolve(model, model.encode(["one two"]), target)


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda output, batch: output["logits"], r"\(1, 2\)"),
        (lambda output, batch: output["logits"].sum(), r"\(\)"),
        (lambda output, batch: 3.0, "float"),
    ],
)
def test_a_callable_must_give_one_number_per_text(function, got):
    model = hand_model()
    with pytest.raises(ValueError, match=rf"expected a tensor \(1,\).*{got}"):
        value(model, "one two", function)


def test_heads_that_are_no_softmax():
    single = encoder("AutoModelForSequenceClassification", num_labels=1)
    batch = single.encode([TEXT])
    target = targets.resolve(single, batch)
    assert target.name == "logit of LABEL_0"
    assert target(single.forward(batch), batch).tolist() == single.forward(batch)["logits"][:, 0].tolist()
    many = encoder("AutoModelForSequenceClassification", num_labels=3, problem_type="multi_label_classification")
    logits = many.forward(batch)["logits"][0]
    assert value(many, TEXT) == pytest.approx([float(logits.max())])
    assert value(many, TEXT, targets.probability(1)) == pytest.approx([float(logits[1].sigmoid())])
    assert value(many, TEXT, targets.log_probability(1)) == pytest.approx([float(logits[1].sigmoid().log())])
    tokens = encoder("AutoModelForTokenClassification", num_labels=3)
    logits = tokens.forward(batch)["logits"][0, 2]
    assert value(tokens, TEXT, 1, position=2) == pytest.approx([float(logits[1] - logits[[0, 2]].logsumexp(0))])


def test_half_precision_is_measured_in_single():
    model = families.build("gpt2")
    model.module.to(torch.bfloat16)
    batch = model.encode([TEXT])
    target = targets.resolve(model, batch)
    found = targets.evaluate_target(model, batch, target)
    assert found.dtype == torch.float32
    assert float(found[0]) == pytest.approx(float(model.forward(batch)["logits"][0, -1].float().log_softmax(0).max()))


def test_resolving_records_nothing_of_an_open_block():
    model = hand_model()
    seen: list[LayerSite] = []
    batch = model.encode(["one two"])
    with hooks.recording(model, [LayerSite(1)], lambda site, value: seen.append(site)):
        targets.resolve(model, batch)
        assert seen == []
        model.forward(batch)
    assert len(seen) == 1
