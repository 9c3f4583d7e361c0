"""Targets that are more than one token: a sequence's probability, an answer span, and what drives them."""

from __future__ import annotations

import families
import pytest
import tiny_tokenizers as tokens
import torch
import transformers as hf

import neurowidget as nw
from neurowidget.models import targets
from neurowidget.models.loading import load_model

TEXT = families.RAGGED_TEXTS[0]


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_the_probability_of_the_texts_own_tokens(name):
    model = families.model(name)
    batch = model.encode([TEXT, families.RAGGED_TEXTS[1]])
    found = targets.evaluate_target(model, batch, targets.resolve(model, batch, targets.sequence(start=2)))
    for row, text in enumerate((TEXT, families.RAGGED_TEXTS[1])):
        one = model.encode([text])
        with torch.no_grad():
            log_p = model.module(**one.kwargs()).logits[0].log_softmax(dim=-1)
        expected = sum(float(log_p[t - 1, one.input_ids[0, t]]) for t in range(2, one.input_ids.shape[1]))
        assert float(found[row]) == pytest.approx(expected, abs=1e-4)
    attr = nw.attribute(model, TEXT, target=targets.sequence(), n_steps=50, sink_first=False)
    assert attr.completeness_error < 0.01
    assert attr.target == "log-probability of the text from token 1 on"


def test_the_probability_of_a_target_text():
    model = families.model("t5")
    attr = nw.attribute(model, TEXT, "feature_ablation", target=targets.sequence(), target_text="one two")
    batch = model.encode([TEXT], targets=["one two"])
    with torch.no_grad():
        loss = model.module(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.target_ids
        ).loss
    assert attr.value == pytest.approx(-float(loss) * int((batch.target_ids >= 0).sum()), abs=1e-4)
    with pytest.raises(ValueError, match="target_text="):
        nw.attribute(model, TEXT, target=targets.sequence())


def test_an_answer_span():
    config = hf.BertConfig(**families._sizes(pad_token_id=0))
    module = families.randomised(hf.BertForQuestionAnswering(config), 3)
    model = load_model(module, tokens.bert_like())
    for text in (TEXT, "good"):
        batch = model.encode([text])
        found = targets.evaluate_target(model, batch, targets.resolve(model, batch, targets.span(1, 2)))
        with torch.no_grad():
            output = module(**model.encode([text]).kwargs())
        expected = output.start_logits[0].log_softmax(dim=0)[1] + output.end_logits[0].log_softmax(dim=0)[2]
        assert float(found[0]) == pytest.approx(float(expected), abs=1e-4)
    assert nw.attribute(model, TEXT, target=targets.span(1, 2)).completeness_error < 0.01


def test_what_cannot_be_asked():
    with pytest.raises(ValueError, match="language model"):
        nw.attribute(families.model("bert"), TEXT, target=targets.sequence())
    with pytest.raises(ValueError, match="question answering"):
        nw.attribute(families.model("bert"), TEXT, target=targets.span(1, 2))
    with pytest.raises(ValueError, match="first token is not predicted"):
        nw.attribute(families.model("gpt2"), TEXT, target=targets.sequence(start=0))
    module = hf.BertForQuestionAnswering(hf.BertConfig(**families._sizes(pad_token_id=0))).eval()
    with pytest.raises(ValueError, match="no token 99"):
        nw.attribute(load_model(module, tokens.bert_like()), TEXT, target=targets.span(1, 99))
