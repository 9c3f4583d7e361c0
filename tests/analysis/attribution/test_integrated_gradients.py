"""Integrated gradients against numbers worked out by hand, against Captum's own call, and by their axioms."""

from __future__ import annotations

from typing import Any

import families
import numpy as np
import pytest
import torch
from captum.attr import LayerIntegratedGradients
from hand_model import hand_model
from hook_dicts import hook_dicts
from torch import nn

import neurowidget as nw
from neurowidget.analysis.attribution.integrated_gradients import integrated_gradients
from neurowidget.models import targets
from neurowidget.models.loading import NeuronModel, load_model
from neurowidget.models.progress import Cancelled

TEXT = families.RAGGED_TEXTS[1]


def logit_sum(output: Any, batch: Any) -> torch.Tensor:
    return output["logits"].flatten(1).sum(dim=1)


@pytest.mark.parametrize(
    ("baseline", "scores", "start"),
    [("zero", [9, 6], 2), ("pad", [-99, -102], 218), ("three", [-15, -18], 50), ("three one", [-15, -3], 35)],
)
def test_of_a_linear_path_it_is_weight_times_difference(baseline, scores, start):
    # Where no neuron changes sign the first logit of the hand model is 9 x0 + 3 x1 + 1 for each token.
    attr = integrated_gradients(hand_model(), "one two", target=targets.logit(0), baseline=baseline, n_steps=3)
    assert attr.scores == pytest.approx(scores, rel=1e-5)
    assert (attr.value, attr.baseline_value) == (17, pytest.approx(start))
    assert attr.completeness_error < 1e-5
    assert attr.target == "logit of LABEL_0"


def test_the_mean_baseline_is_the_mean_row_of_the_embedding():
    model = hand_model()
    mean = model.module.words.weight.mean(dim=0)  # (2.6, 2): no neuron changes sign on the way
    attr = integrated_gradients(model, "one two", target=targets.logit(0), baseline="mean")
    weights, words = torch.tensor([9.0, 3.0]), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert attr.scores == pytest.approx(((words - mean) @ weights).numpy(), rel=1e-4)


@pytest.mark.parametrize("name", families.FAMILIES)
def test_scores_sum_to_the_difference_and_special_tokens_have_none(name):
    model = families.model(name)
    attr = integrated_gradients(model, TEXT, n_steps=100)
    batch = model.encode([TEXT])
    assert attr.scores.shape == (batch.lengths[0],)
    assert attr.completeness_absolute == pytest.approx(
        abs(attr.scores.sum(dtype=float) - (attr.value - attr.baseline_value)), abs=1e-5
    )
    assert attr.completeness_absolute < 0.02 * max(1, abs(attr.value - attr.baseline_value))
    assert (attr.scores[batch.special_mask[0].numpy()] == 0).all()
    assert (attr.scores[~batch.special_mask[0].numpy()] != 0).any()
    value = targets.evaluate_target(model, batch, targets.resolve(model, batch))
    assert attr.value == pytest.approx(float(value), abs=1e-5)


def captum_by_itself(model: NeuronModel, embedding: nn.Module, baseline: int, target: Any) -> torch.Tensor:
    """Captum's documented call on ids, without any of this package's way of feeding the model."""
    batch = model.encode([TEXT])
    ids = batch.input_ids
    start = torch.where(batch.special_mask, ids, baseline)

    def forward(ids: torch.Tensor) -> torch.Tensor:
        copies = batch.take([0] * len(ids))
        return target(model.module(input_ids=ids, attention_mask=copies.attention_mask), copies)

    found = LayerIntegratedGradients(forward, embedding).attribute(ids, start, n_steps=50, internal_batch_size=10)
    return found[0].sum(dim=-1).detach()


@pytest.mark.parametrize("name", ["bert", "distilbert", "gpt2", "gpt_neox", "llama", "gemma2"])
def test_it_is_what_captum_gives_on_the_embedding_layer(name):
    model = families.model(name)
    token = model.tokenizer.convert_tokens_to_ids(model.tokenizer.tokenize("good")[0])
    target = targets.resolve(model, model.encode([TEXT]))
    attr = integrated_gradients(model, TEXT, baseline=model.tokenizer.convert_ids_to_tokens(token), sink_first=False)
    embedding = model.module.get_input_embeddings()
    assert attr.scores == pytest.approx(captum_by_itself(model, embedding, token, target).numpy(), abs=1e-5)


@pytest.mark.real
def test_it_is_what_captum_gives_on_minilm():
    from neurowidget.models.bundled_sentiment import load_base

    module, tokenizer = load_base()
    torch.nn.init.normal_(module.classifier.weight, generator=torch.Generator().manual_seed(0))
    model = load_model(module, tokenizer)
    target = targets.resolve(model, model.encode([TEXT]), targets.logit(1))
    attr = integrated_gradients(model, TEXT, target=targets.logit(1), baseline="pad")
    embedding = module.bert.embeddings.word_embeddings
    expected = captum_by_itself(model, embedding, tokenizer.pad_token_id, target).numpy()
    assert attr.scores == pytest.approx(expected, abs=1e-5 * max(1.0, float(np.abs(expected).max())))
    assert attr.completeness_error < 0.01


def by_hand(model: NeuronModel, forward: Any, start: torch.Tensor, end: torch.Tensor, steps: int = 400) -> np.ndarray:
    """The midpoint rule over embeddings that are handed to the module as inputs_embeds."""
    total = torch.zeros_like(end)
    for at in ((torch.arange(steps) + 0.5) / steps).split(100):
        path = (start + at[:, None, None] * (end - start)).requires_grad_()
        total += torch.autograd.grad(forward(path).sum(), path)[0].sum(dim=0, keepdim=True)
    return ((end - start) * total / steps).sum(dim=-1)[0].numpy()


@pytest.mark.parametrize("name", ["t5", "bart", "marian"])
@pytest.mark.parametrize("shared", [False, True])
def test_only_the_encoder_tokens_are_attributed(name, shared):
    """Also where one embedding module serves both stacks."""
    model = families.build(name)
    encoder, decoder = model.module.get_encoder(), model.module.get_decoder()
    if shared:
        decoder.embed_tokens = encoder.embed_tokens
        model = load_model(model.module, model.tokenizer)
    batch = model.encode([TEXT], targets=["one two three"])
    target = targets.resolve(model, batch)
    embed = encoder.embed_tokens
    with torch.no_grad():
        end, start = embed(batch.input_ids), embed(torch.full_like(batch.input_ids, model.tokenizer.pad_token_id))
    start = torch.where(batch.special_mask[..., None], end, start)

    def forward(path: torch.Tensor) -> torch.Tensor:
        copies = batch.take([0] * len(path))
        inputs = {k: v for k, v in copies.kwargs().items() if k != "input_ids"}
        return target(model.module(inputs_embeds=path, **inputs), copies)

    attr = integrated_gradients(model, TEXT, target_text="one two three", baseline="pad", n_steps=300)
    assert attr.scores == pytest.approx(by_hand(model, forward, start, end), abs=1e-4)


def test_the_path_keeps_the_positions_of_the_text():
    """RoBERTa numbers positions from ids that are not padding: a baseline of padding must not renumber them."""
    model = families.model("roberta")
    batch = model.encode([TEXT])
    ids, width = batch.input_ids, batch.input_ids.shape[1]
    words = model.module.get_input_embeddings()
    positions = torch.arange(width)[None] + model.module.config.pad_token_id + 1
    with torch.no_grad():
        pad = torch.where(batch.special_mask[..., None], words(ids), words(torch.ones_like(ids)))
        logits = model.module(inputs_embeds=pad, attention_mask=batch.attention_mask, position_ids=positions).logits
    attr = integrated_gradients(model, TEXT, target=targets.logit(0), baseline="pad")
    assert attr.baseline_value == pytest.approx(float(logits[0, 0]), abs=1e-5)


@pytest.mark.parametrize("name", families.EIGHT)
@pytest.mark.parametrize("side", ["left", "right"])
def test_alone_and_in_a_list_twice_and_on_either_side(name, side):
    model = families.build(name)
    model.tokenizer.padding_side = side
    texts = list(families.RAGGED_TEXTS[:3])
    alone = [integrated_gradients(families.model(name), text, n_steps=8) for text in texts]
    together = nw.attribute(model, texts, n_steps=8)
    for one, other, text in zip(alone, together, texts, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
        assert one.tokens.texts == (text,)
        assert one.tokens.ids.tolist() == model.encode([text]).ids(0)


def rows_of_forwards(model: NeuronModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    rows: list[int] = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda batch, grad=False: (rows.append(len(batch)), forward(batch, grad))[1])
    return rows


def test_memory_does_not_grow_with_the_steps(monkeypatch):
    model = families.build("bert")
    rows = rows_of_forwards(model, monkeypatch)
    few = integrated_gradients(model, TEXT, n_steps=50)
    most, count = max(rows), len(rows)
    many = integrated_gradients(model, TEXT, n_steps=500)
    assert max(rows) == most
    assert len(rows) - count > 2 * count  # in more forwards, not larger ones
    assert few.scores == pytest.approx(many.scores, abs=1e-4)
    integrated_gradients(model, TEXT, n_steps=50, internal_batch_size=7)
    assert max(rows[-8:]) == 7


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_halves_the_batch_and_keeps_the_numbers(monkeypatch, error):
    model = families.build("bert")
    expected = integrated_gradients(model, TEXT)
    forward = model.forward

    def small(batch: Any, grad: bool = False) -> Any:
        if len(batch) > 4:
            raise error
        return forward(batch, grad)

    monkeypatch.setattr(model, "forward", small)
    assert integrated_gradients(model, TEXT).scores == pytest.approx(expected.scores, abs=1e-6)
    monkeypatch.setattr(model, "forward", lambda batch, grad=False: (_ for _ in ()).throw(error))
    with pytest.raises(type(error)):
        integrated_gradients(model, TEXT)


def test_it_can_be_stopped_between_batches():
    model, asked = families.build("bert"), []
    before = hook_dicts(model.module)
    with pytest.raises(Cancelled):
        integrated_gradients(model, TEXT, internal_batch_size=5, should_stop=lambda: asked.append(1) or len(asked) > 5)
    assert len(asked) == 6
    assert hook_dicts(model.module) == before


def test_too_few_steps_are_said_with_how_many_would_do():
    model = families.build("roberta")
    with torch.no_grad():
        for part in model.module.modules():
            if isinstance(part, nn.Linear):
                part.weight.mul_(6)  # curved enough for one step to miss
    attr = integrated_gradients(model, TEXT, n_steps=1)
    assert attr.completeness_error > 0.05
    (warning,) = attr.warnings
    assert "n_steps=1" in warning
    assert "4" in warning
    assert integrated_gradients(families.model("roberta"), TEXT).warnings == ()


def test_a_text_that_is_its_own_baseline_is_said():
    attr = integrated_gradients(families.model("bert"), "good", baseline="good")
    assert not attr.scores.any()
    assert attr.completeness_error == 0
    assert "its own baseline" in attr.warnings[0]


def test_a_target_without_gradient_is_said():
    def constant(output: Any, batch: Any) -> torch.Tensor:
        return 0 * output["logits"][:, 0]

    attr = integrated_gradients(families.model("bert"), TEXT, target=constant)
    assert "All scores are 0" in attr.warnings[0]


def test_a_saturated_probability_is_said():
    model = families.build("bert")
    with torch.no_grad():
        model.module.classifier.bias[0] += 30
    assert "log-odds" in integrated_gradients(model, TEXT, target=targets.probability("NEG")).warnings[0]
    assert integrated_gradients(model, TEXT, target=targets.log_odds("NEG")).warnings == ()


def test_nan_is_an_error_that_names_it():
    model = families.build("bert")
    with torch.no_grad():
        model.module.classifier.bias[1] = float("nan")
    with pytest.raises(ValueError, match=r"integrated_gradients: .* NaN"):
        integrated_gradients(model, TEXT, target=targets.log_odds("NEG"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": 0}, "n_steps"),
        ({"internal_batch_size": 0}, "internal_batch_size"),
        ({"baseline": "two words and more"}, "tokens, the text"),
        ({"baseline": [5, 6, 7]}, "tokens, the text"),
        ({"of": "L0.mlp[1]", "target": "NEG"}, "not both"),
        ({"of": "L9.mlp[1]"}, "L9.mlp"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        integrated_gradients(families.model("bert"), TEXT, **options)


def test_a_tokenizer_without_pad_or_mask_gets_the_mean_and_says_so():
    model = families.model("gpt2")
    assert "mean embedding" in integrated_gradients(model, TEXT, n_steps=2).baseline
    with pytest.raises(ValueError, match="no pad token"):
        integrated_gradients(model, TEXT, baseline="pad")
    # a pad token that is the end of a text says something
    assert "mean embedding" in integrated_gradients(families.model("gpt_neox"), TEXT, n_steps=2).baseline
    assert integrated_gradients(families.model("bert"), TEXT, n_steps=2).baseline == "the pad token '[PAD]'"


@pytest.mark.parametrize("name", families.EIGHT)
def test_a_neuron_as_the_target(name):
    model = families.model(name)
    attr = integrated_gradients(model, TEXT, of="L1.mlp[7]", position=2)
    acts = nw.extract(model, [TEXT], sites=["mlp"], progress=False)
    assert attr.value == pytest.approx(float(acts.neuron("L1.mlp[7]")[2]), abs=1e-5)
    assert "L1.mlp[7]" in attr.target
    assert attr.completeness_absolute < 0.02


def test_a_causal_model_gives_nothing_to_later_tokens():
    model = families.model("gpt2")
    attr = integrated_gradients(model, TEXT, position=3)
    assert attr.scores[:4].all()
    assert not attr.scores[4:].any()


@pytest.mark.parametrize("name", ["gpt2", "qwen2"])
def test_the_first_token_of_a_causal_model_goes_first(name):
    """Its score is the difference that it makes at the baseline; the others share the rest, and nothing is missing."""
    model = families.model(name)
    attr = integrated_gradients(model, TEXT, baseline="zero", n_steps=100)
    batch = model.encode([TEXT])
    target = targets.resolve(model, batch)
    embedding = model.module.get_input_embeddings()
    text = embedding(batch.input_ids).detach()
    first = torch.zeros_like(text)
    first[:, 0] = text[:, 0]
    ends = torch.cat([torch.zeros_like(text), first])
    with torch.no_grad():
        given = {**batch.take([0, 0]).kwargs(), "inputs_embeds": ends}
        given.pop("input_ids")
        nothing, alone = target(model.module(**given), batch.take([0, 0]))
    assert attr.scores[0] == pytest.approx(float(alone - nothing), abs=1e-5)
    assert attr.baseline_value == pytest.approx(float(nothing), abs=1e-5)
    assert attr.completeness_error < 1e-3
    assert attr.provenance.parameters["sink_first"] is True
    assert integrated_gradients(families.model("llama"), TEXT).provenance.parameters["sink_first"] is False
    assert integrated_gradients(families.model("bert"), TEXT).provenance.parameters["sink_first"] is False
