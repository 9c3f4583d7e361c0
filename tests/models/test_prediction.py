"""Predictions and generated text, alone, in batches and under interventions."""

from __future__ import annotations

from typing import Any

import families
import numpy as np
import pytest
import torch
import transformers as hf
from hand_model import hand_model
from hook_dicts import hook_dicts

from neurowidget.models import prediction as prediction_module
from neurowidget.models.interventions import Ablate, Add, InterventionNeverFired, Patch, Scale, Set
from neurowidget.models.loading import load_model
from neurowidget.neuron import LayerSite

TEXT = "The plot was not good."
PROMPTS = ("The plot was", "I loved this film! It is", "good")
GENERATING = tuple(name for name in (*families.CAUSAL, *families.SEQ2SEQ) if name != "plain_module")
STEPS = 20


def small(kind: str) -> Any:
    sizes: dict[str, Any] = {
        "vocab_size": families.ROWS,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 64,
    }
    classes: dict[str, Any] = {
        "AutoModel": {},
        "AutoModelForMaskedLM": {},
        "AutoModelForTokenClassification": {"num_labels": 3, "id2label": {0: "NOUN", 1: "VERB", 2: "X"}},
        "regression": {"num_labels": 1},
        "multi": {"num_labels": 3, "problem_type": "multi_label_classification"},
    }
    auto = kind if kind.startswith("Auto") else "AutoModelForSequenceClassification"
    config = hf.BertConfig(**sizes, **classes[kind], pad_token_id=0)
    module = families.randomised(getattr(hf, auto).from_config(config), 3)
    return load_model(module, families.tokens.bert_like())


# Predictions


def test_classes_come_sorted_with_all_of_them():
    model = families.model("bert")
    prediction = model.predict(TEXT, top=1)
    own = model.forward(model.encode([TEXT]))["logits"][0]
    assert prediction.kind == "classes"
    assert prediction.position == -1
    assert sorted(prediction.labels) == ["NEG", "NEU", "POS"]
    assert np.allclose(prediction.all_logits, own)
    probabilities = own.softmax(0)
    assert [prediction[label] for label in ("NEG", "NEU", "POS")] == pytest.approx(probabilities.tolist())
    assert list(prediction.probabilities) == sorted(prediction.probabilities, reverse=True)
    assert prediction.label == ("NEG", "NEU", "POS")[int(own.argmax())]
    assert "".join(prediction.tokens).startswith("[CLS]")
    assert prediction.text == TEXT
    assert prediction.interventions == ()
    assert prediction.provenance.method == "predict"


@pytest.mark.parametrize("name", ["gpt2", "llama", "plain_module"])
def test_next_tokens_are_those_of_the_last_or_the_chosen_token(name):
    model = families.model(name)
    own = model.forward(model.encode([TEXT]))["logits"][0]
    prediction = model.predict(TEXT, top=4)
    assert prediction.kind == "next_token"
    assert prediction.position == len(own) - 1 == len(prediction.tokens) - 1
    assert prediction.ids.tolist() == own[-1].argsort(descending=True, stable=True)[:4].tolist()
    assert prediction.probabilities == pytest.approx(own[-1].softmax(0)[prediction.ids.tolist()].tolist())
    assert prediction.all_logits.shape == (families.ROWS,)
    assert len(prediction.labels) == 4
    for position, column in ((0, 0), (-2, len(own) - 2)):
        chosen = model.predict(TEXT, position=position)
        assert chosen.position == column
        assert np.allclose(chosen.all_logits, own[column])
    with pytest.raises(ValueError, match=rf"position 99 is outside text 0, which has {len(own)} tokens"):
        model.predict(TEXT, position=99)
    with pytest.raises(ValueError, match="position -99"):
        model.predict(TEXT, position=-99)
    with pytest.raises(ValueError, match="top must be 1"):
        model.predict(TEXT, top=0)


def test_labels_keep_the_leading_space():
    model = families.model("gpt2")
    (token,) = model.tokenizer.encode(" the", add_special_tokens=False)
    from neurowidget.models.readout import token_text

    assert token_text(model, token) == " the"
    llama = families.model("llama")
    (token,) = llama.tokenizer.encode("the", add_special_tokens=False)[-1:]
    assert llama.tokenizer.convert_ids_to_tokens(token).startswith("▁") == token_text(llama, token).startswith(" ")
    part = model.tokenizer.encode("🙂", add_special_tokens=False)[0]
    assert "\ufffd" not in token_text(model, part)


def test_a_masked_model_fills_its_mask():
    model = small("AutoModelForMaskedLM")
    text = "The [MASK] was not good."
    batch = model.encode([text])
    column = batch.ids(0).index(model.tokenizer.mask_token_id)
    prediction = model.predict(text)
    assert prediction.kind == "masked_token"
    assert prediction.position == column
    assert np.allclose(prediction.all_logits, model.forward(batch)["logits"][0, column])
    assert model.predict("The old house.", position=2).position == 2
    with pytest.raises(ValueError, match=r"text 1 has no \[MASK\].*position="):
        model.predict([text, "The old house."])
    longer, shorter = model.predict(["The old house near the [MASK] was good.", text])
    assert np.allclose(shorter.all_logits, prediction.all_logits, atol=1e-5)
    assert longer.position != shorter.position


def test_a_token_classifier_needs_a_position():
    model = small("AutoModelForTokenClassification")
    with pytest.raises(ValueError, match="position=3"):
        model.predict(TEXT)
    prediction = model.predict(TEXT, position=2)
    assert prediction.kind == "token_classes"
    assert sorted(prediction.labels) == ["NOUN", "VERB", "X"]
    assert np.allclose(prediction.all_logits, model.forward(model.encode([TEXT]))["logits"][0, 2])


def test_what_is_no_softmax_is_not_called_one():
    single = small("regression").predict(TEXT)
    assert single.labels == ("LABEL_0",)
    assert np.isnan(single.probabilities).all()
    assert np.isfinite(single.all_logits).all()
    many = small("multi").predict(TEXT)
    assert many.probabilities == pytest.approx(1 / (1 + np.exp(-many.all_logits[many.ids])))


def test_a_model_without_a_head_says_so():
    with pytest.raises(ValueError, match=r"no head.*AutoModelForSequenceClassification"):
        small("AutoModel").predict(TEXT)
    with pytest.raises(ValueError, match="classifies whole texts"):
        families.model("bert").predict(TEXT, position=1)


@pytest.mark.parametrize("name", families.EIGHT)
def test_a_list_is_the_same_as_one_by_one_and_ids_as_text(name):
    model = families.model(name)
    texts = list(families.RAGGED_TEXTS)
    options: dict[str, Any] = {}
    targets: list[Any] = [None] * len(texts)
    if model.kind == "seq2seq_lm":
        targets = list(families.TARGET_TEXTS)
        options = {"target_text": targets}
    together = model.predict(texts, **options)
    assert [p.text for p in together] == texts
    for text, target, one in zip(texts, targets, together, strict=True):
        alone = model.predict(text, target_text=target) if target else model.predict(text)
        assert np.allclose(one.all_logits, alone.all_logits, atol=1e-5)
        assert one.position == alone.position
        assert one.tokens.ids.tolist() == alone.tokens.ids.tolist()
    ids = model.encode([texts[0]]).ids(0)
    by_ids = model.predict(ids, target_text=targets[0]) if targets[0] else model.predict(ids)
    assert np.allclose(by_ids.all_logits, together[0].all_logits, atol=1e-5)


def test_many_texts_are_run_a_few_at_a_time(monkeypatch):
    model = small("AutoModelForMaskedLM")
    texts = [f"{'The old ' * (n % 4)}[MASK] film" for n in range(7)]
    expected = model.predict(texts)
    monkeypatch.setattr(prediction_module, "TEXTS_AT_ONCE", 3)
    sizes: list[int] = []
    plain = model.forward
    monkeypatch.setattr(model, "forward", lambda batch: sizes.append(len(batch)) or plain(batch))
    found = model.predict(texts)
    assert sizes == [3, 3, 1]
    for one, other in zip(found, expected, strict=True):
        assert (one.text, one.position) == (other.text, other.position)
        assert np.allclose(one.all_logits, other.all_logits, atol=1e-5)


def test_the_decoder_is_read_after_what_it_has_written():
    model = families.model("t5")
    batch = model.encode([TEXT], targets=["film"])
    own = model.forward(batch)["logits"][0]
    prediction = model.predict(TEXT, target_text="film")
    assert prediction.position == len(own) - 1
    assert np.allclose(prediction.all_logits, own[-1])
    assert model.predict(TEXT).position == 0
    assert not np.allclose(model.predict(TEXT).all_logits, prediction.all_logits)


def test_a_prediction_remembers_what_was_changed():
    model = hand_model()
    with model.intervene(Set("L1.mlp[1]", 5)), model.intervene(Scale("L1.mlp[0]", 2), positions=[0]):
        prediction = model.predict("one two")
    assert prediction.interventions == ("L1.mlp[1] set to 5", "L1.mlp[0] scaled by 2 at tokens 0")
    assert prediction.all_logits.tolist() == [27, 17]
    assert prediction.labels == ("LABEL_0", "LABEL_1")
    assert model.predict("one two").interventions == ()


# Generation


def greedy(model: Any, prompt: str, **options: Any) -> list[int]:
    """Token ids of the raw module, prompt included."""
    batch = model.encode([prompt])
    with torch.no_grad():
        written = model.module.generate(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            max_new_tokens=STEPS,
            min_new_tokens=STEPS,
            do_sample=False,
            pad_token_id=model.pad_id,
            **options,
        )
    return written[0].tolist()


def interventions_for(model: Any) -> list[tuple[list[Any], Any]]:
    stacks = model.stacks or (None,)
    whole = [LayerSite(1, "mlp", stack) for stack in stacks]
    vectors = [torch.linspace(-1, 1, model.width("residual", stack)) for stack in stacks]
    return [
        ([Ablate(whole)], None),
        ([Scale(whole, -30.0)], [0, 1] if model.kind == "seq2seq_lm" else [1, 20]),
        ([Set(site, 20.0) for site in whole], [-1]),
        ([Add(vector, 0, stack=stack, strength=20.0) for vector, stack in zip(vectors, stacks, strict=True)], None),
    ]


@pytest.mark.parametrize("name", GENERATING)
def test_generation_with_a_cache_equals_generation_without(name):
    model = families.model(name)
    clean = model.generate(PROMPTS[0], max_new_tokens=STEPS, min_new_tokens=STEPS)
    changed = 0
    for interventions, positions in interventions_for(model):
        texts = []
        for use_cache in (True, False):
            with model.intervene(*interventions, positions=positions):
                texts.append(
                    model.generate(PROMPTS[0], max_new_tokens=STEPS, min_new_tokens=STEPS, use_cache=use_cache)
                )
        assert texts[0] == texts[1], (interventions, positions)
        changed += texts[0] != clean
    assert changed
    assert greedy(model, PROMPTS[0]) == greedy(model, PROMPTS[0], use_cache=False)


@pytest.mark.parametrize(
    ("name", "beams"), [("gpt2", 1), ("gpt2", 3), ("llama", 1), ("bloom", 1), ("t5", 1), ("t5", 3), ("bart", 1)]
)
def test_prompts_together_equal_prompts_alone(name, beams):
    model = families.model(name)
    options = {"max_new_tokens": STEPS, "min_new_tokens": STEPS, "num_beams": beams}
    for interventions, positions in interventions_for(model):
        with model.intervene(*interventions, positions=[0, -1] if positions else None):
            together = model.generate(list(PROMPTS), **options)
            alone = [model.generate(prompt, **options) for prompt in PROMPTS]
        assert together == alone, (interventions, positions)


def test_positions_count_through_the_cache():
    model = families.model("gpt2")
    length = model.encode([PROMPTS[0]]).lengths[0]
    site = LayerSite(1, "mlp")
    seen: list[tuple[int, int]] = []
    from neurowidget.models import hooks

    def record(where: LayerSite, value: torch.Tensor) -> None:
        before = sum(tokens for tokens, _ in seen)
        touched = (value == 7.0).all(dim=-1)[0].nonzero().flatten().tolist()
        seen.append((value.shape[1], before + touched[0] if touched else -1))

    for positions, at in (([length + 3], length + 3), ([-1], length - 1), ([0], 0)):
        seen.clear()
        with model.intervene(Set(site, 7.0), positions=positions), hooks.recording(model, [site], record):
            model.generate(PROMPTS[0], max_new_tokens=6, min_new_tokens=6)
        assert [tokens for tokens, _ in seen] == [length, 1, 1, 1, 1, 1]
        assert [where for _, where in seen if where >= 0] == [at]
    with (
        pytest.raises(InterventionNeverFired, match=f"at tokens {length + 30}"),
        model.intervene(Set(site, 7.0), positions=[length + 30]),
    ):
        model.generate(PROMPTS[0], max_new_tokens=6)


def test_the_raw_module_generates_under_interventions_too():
    model = families.model("gpt2")
    clean = greedy(model, PROMPTS[0])
    for positions in (None, [1, 20], [-1]):
        with model.intervene(Set("L1.mlp", 3.0), positions=positions):
            raw = greedy(model, PROMPTS[0])
            own = model.generate(PROMPTS[0], max_new_tokens=STEPS, min_new_tokens=STEPS)
        assert raw != clean
        assert own == PROMPTS[0] + model.tokenizer.decode(raw[model.encode([PROMPTS[0]]).lengths[0] :])


def test_a_patch_stays_with_the_prompt_while_text_is_generated():
    model = families.model("gpt2")
    prompt, other = "one two three", "two one three"
    assert model.encode([prompt]).lengths == model.encode([other]).lengths
    with model.intervene(Patch("L0.residual", other)):
        patched = [model.generate(prompt, max_new_tokens=STEPS, use_cache=cache) for cache in (True, False)]
    assert patched[0] == patched[1]
    written = model.generate(other, max_new_tokens=STEPS).removeprefix(other)
    assert patched[0] == prompt + written  # all that layer 1 reads of the prompt is that of the other text


def test_the_text_begins_with_the_prompt_as_it_was_given():
    model = families.model("llama")
    for prompt in ("The plot  was", "naïve café", "I loved this film! It is"):
        text = model.generate(prompt, max_new_tokens=5)
        assert text.startswith(prompt)
        ids = model.encode([prompt]).ids(0)
        whole = model.tokenizer.decode(greedy(model, prompt)[: len(ids) + 5], skip_special_tokens=True)
        assert text.removeprefix(prompt) == whole.removeprefix(model.tokenizer.decode(ids, skip_special_tokens=True))
    batch = model.encode(["The plot"])
    words = model.tokenizer.encode("the house", add_special_tokens=False)
    assert model.tokenizer.convert_ids_to_tokens(words)[0].startswith("▁")
    written = prediction_module._text(model, batch, 0, [*batch.ids(0), *words], batch.lengths[0])
    assert written == "The plot the house"  # the space that SentencePiece drops from a text's first word
    ids = model.encode([PROMPTS[0]]).ids(0)
    assert model.generate(ids, max_new_tokens=5) == model.generate(PROMPTS[0], max_new_tokens=5)


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_generation_leaves_modes_and_hooks_as_they_were(name):
    model = families.build(name)
    model.module.train()
    next(iter(model.module.children())).eval()
    modes, before = [m.training for m in model.module.modules()], hook_dicts(model.module)
    with model.intervene(Scale(LayerSite(1, "mlp", (model.stacks or (None,))[-1]), 2.0)):
        model.generate(PROMPTS[0], max_new_tokens=3)
    options = {"max_new_tokens": STEPS, "min_new_tokens": STEPS}
    assert model.generate(PROMPTS[0], **options) == families.model(name).generate(PROMPTS[0], **options)  # no dropout
    with pytest.raises(ValueError, match="unheard_of"):
        model.generate(PROMPTS[0], unheard_of=1)
    assert [m.training for m in model.module.modules()] == modes
    assert hook_dicts(model.module) == before


def test_several_answers_for_one_prompt_come_as_a_list():
    model = families.model("gpt2")
    texts = model.generate(PROMPTS[0], max_new_tokens=4, num_beams=3, num_return_sequences=2)
    assert len(texts) == 2
    assert all(text.startswith(PROMPTS[0]) for text in texts)


@pytest.mark.parametrize("name", ["bert", "plain_module"])
def test_what_cannot_generate_says_so(name):
    with pytest.raises(ValueError, match="cannot generate"):
        families.model(name).generate("The plot")
