"""A store holds what extract gives in memory, and gives it back by neuron, rows, text and block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import torch
import zarr
from hand_model import hand_model

from neurowidget.extraction.activations import extract
from neurowidget.extraction.corpus import Corpus, StreamedCorpus
from neurowidget.extraction.store import ActivationStore, open_store
from neurowidget.models.progress import Cancelled
from neurowidget.results.activations import Activations
from neurowidget.results.tokens import Tokens

TEXTS = [text for text in families.RAGGED_TEXTS for _ in range(2)] + ["two three", "🙂", "one"]
COLUMNS = ("ids", "special", "shares", "word", "start", "end", "sentence_index")


def corpus() -> Corpus:
    plain = Corpus(TEXTS)
    words = [[word[:1] if i % 2 else None for i, word in enumerate(s.word_texts)] for s in plain.sentences()]
    return Corpus(TEXTS, {"first": words, "number": list(range(len(TEXTS))), "score": [0.5, None, 1] * 3 + [True, 2]})


def written(folder: Path, texts: Any = None, sites: Any = ("mlp", "residual"), **options: Any) -> ActivationStore:
    options = {"part_tokens": 25, "progress": False} | options
    name = options.pop("model", "bert")
    store = extract(
        families.model(name), corpus() if texts is None else texts, sites, store=folder / "acts.zarr", **options
    )
    assert isinstance(store, ActivationStore)
    return store


def in_memory(store: ActivationStore, texts: Any, sites: Any = ("mlp", "residual"), **options: Any) -> Activations:
    return extract(families.model(options.pop("model", "bert")), texts, sites, progress=False, **options)


def assert_same_tokens(a: Tokens, b: Tokens) -> None:
    assert (a.texts, a.pieces, a.raw, a.level) == (b.texts, b.pieces, b.raw, b.level)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    return written(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def whole(store: ActivationStore) -> Activations:
    return in_memory(store, corpus())


def test_it_holds_what_extract_gives(store: ActivationStore, whole: Activations) -> None:
    assert len(store.parts) >= 4
    assert store.complete
    assert (len(store), store.num_texts, store.sites) == (len(whole.tokens), len(TEXTS), ("mlp", "residual"))
    found = store.tokens(slice(None))
    for site in whole.values:
        np.testing.assert_allclose(found[site], whole[site], rtol=0, atol=2e-5)
        assert store[site].shape == whole[site].shape
        assert store.layers[site] == whole.layers[site]
    assert_same_tokens(found.tokens, whole.tokens)
    for name in ("first", "number", "score"):
        assert store.row_labels(name) == whole.row_labels(name)
        assert [type(one) for one in store.row_labels(name)] == [type(one) for one in whole.row_labels(name)]
    assert store.label_names == ("first", "number", "score")
    assert list(store.texts) == TEXTS
    assert (store.texts[-1], len(store.texts), store.texts[1:3]) == (TEXTS[-1], len(TEXTS), TEXTS[1:3])
    for name in ("ids", "special", "sentence_index"):
        np.testing.assert_array_equal(getattr(store, name), getattr(whole.tokens, name))
    store.verify()


def test_each_part_has_the_bits_of_its_own_extraction(store: ActivationStore) -> None:
    part = store.parts[1]
    texts = TEXTS[part.first_text : part.first_text + part.texts]
    alone = extract(families.model("bert"), texts, ["mlp"], progress=False)
    first = store.parts[0].rows("")
    np.testing.assert_array_equal(store["mlp"][:, first : first + part.rows("")], alone["mlp"])


def test_neurons_rows_texts_and_blocks(store: ActivationStore) -> None:
    found = store.tokens(slice(None))
    values = found["mlp"]
    np.testing.assert_array_equal(store.neuron("L1.mlp[5]"), values[1, :, 5])
    for rows in (slice(0, 3), slice(7, 40), slice(-5, None), slice(30, 30)):
        some = store.tokens(rows)
        np.testing.assert_array_equal(some["mlp"], values[:, rows])
        assert some.tokens.pieces == found.tokens.pieces[rows]
        texts = [found.tokens.texts[i] for i in found.tokens.sentence_index[rows]]
        assert [some.tokens.texts[i] for i in some.tokens.sentence_index] == texts
        assert some.row_labels("first") == found.row_labels("first")[rows]
    for index in (0, 3, 8, -1):
        one = store.sentence(index)
        assert_same_tokens(one.tokens, found.tokens.sentence(index))
        np.testing.assert_array_equal(
            one["mlp"], values[:, found.sentence_index == index % len(TEXTS)], err_msg=str(index)
        )
    for rows in (None, 1, 7, 1000):
        blocks = list(store.blocks("mlp", rows))
        assert [span.start for span, _ in blocks] == [0, *[span.stop for span, _ in blocks[:-1]]]
        joined = np.concatenate([block for _, block in blocks], axis=1)
        assert joined.dtype == np.float32
        np.testing.assert_array_equal(joined, values)
    only = np.concatenate([block for _, block in store.blocks("mlp", layers=slice(1, 2))], axis=1)
    np.testing.assert_array_equal(only, values[1:2])


def test_a_site_is_read_like_an_array(store: ActivationStore) -> None:
    values = np.asarray(store["mlp"])
    for key in (0, (slice(None), 3), (1, slice(2, 9), 5), (-1, -1, -1), (slice(0, 2), slice(None), slice(4, 9))):
        np.testing.assert_array_equal(store["mlp"][key], values[key])
    with pytest.raises(IndexError, match="past the end"):
        store["mlp"][9]
    with pytest.raises(ValueError, match="without steps"):
        store["mlp"][:, ::2]
    with pytest.raises(TypeError, match="numbers and slices"):
        store["mlp"][[1, 2]]


def test_zarr_opens_it(store: ActivationStore) -> None:
    group = zarr.open_group(store.path, mode="r")
    assert group.attrs["neurowidget"]["dtype"] == "float32"
    part = zarr.open_group(store.path / "parts" / "000001", mode="r")
    assert {"mlp", "residual", "token-columns", "token-texts", "token-pieces"} <= set(part.array_keys())
    first = store.parts[0].rows("")
    expected = store.read("mlp", rows=slice(first, first + store.parts[1].rows("")))
    np.testing.assert_array_equal(part["mlp"][:], expected)


def test_what_is_not_there_is_named(store: ActivationStore) -> None:
    for call, error, message in (
        (lambda: store["attention"], KeyError, "mlp, residual"),
        (lambda: store.neuron("L9.mlp[0]"), IndexError, "layer 9"),
        (lambda: store.neuron("L0.mlp[999]"), IndexError, "0 to 47"),
        (lambda: store.tokens(10**6), IndexError, "rows"),
        (lambda: store.sentence(99), IndexError, "11 texts"),
        (lambda: store.row_labels(), ValueError, "first, number, score"),
        (lambda: store.row_labels("pos"), KeyError, "first, number, score"),
        (lambda: list(store.blocks("mlp", 0)), ValueError, "rows=0"),
    ):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("words", ["first", "mean"])
def test_words_and_layers(tmp_path: Path, words: Any) -> None:
    options = {"words": words, "layers": [2, 0], "special_tokens": "keep"}
    store = written(tmp_path, sites=["mlp"], **options)
    whole = in_memory(store, corpus(), ["mlp"], **options)
    found = store.tokens(slice(None))
    np.testing.assert_allclose(found["mlp"], whole["mlp"], rtol=0, atol=2e-5)
    assert_same_tokens(found.tokens, whole.tokens)
    assert store.row_labels("first") == whole.row_labels("first")
    np.testing.assert_array_equal(store.neuron("L2.mlp[3]"), found["mlp"][0, :, 3])


def test_a_decoder_has_rows_of_its_own(tmp_path: Path) -> None:
    texts, targets = TEXTS[:8], list(families.TARGET_TEXTS) * 2
    sites = ["mlp", "decoder.mlp"]
    store = written(tmp_path, texts, sites, model="t5", targets=targets, dtype="float16")
    whole = in_memory(store, texts, sites, model="t5", targets=targets)
    assert whole.decoder_tokens is not None
    assert store.rows("decoder.mlp") == len(whole.decoder_tokens)
    joined = np.concatenate([block for _, block in store.blocks("decoder.mlp")], axis=1)
    np.testing.assert_allclose(joined, whole["decoder.mlp"], rtol=2e-3, atol=2e-3)
    one = store.sentence(5)
    assert one.decoder_tokens is not None
    assert_same_tokens(one.decoder_tokens, whole.decoder_tokens.sentence(5))
    np.testing.assert_allclose(store.neuron("decoder.L0.mlp[1]"), whole["decoder.mlp"][0, :, 1], rtol=2e-3, atol=2e-3)
    assert list(store.tokens(slice(0, 9)).values) == ["mlp"]
    assert_same_tokens(store.tokens_table(stack="decoder"), whole.decoder_tokens)


def test_a_streamed_corpus(tmp_path: Path, store: ActivationStore) -> None:
    streamed = StreamedCorpus(lambda: iter(corpus().sentences()), name="corpus")
    found = written(tmp_path, streamed)
    assert found.header == store.header
    np.testing.assert_array_equal(found["mlp"][:], store["mlp"][:])
    with pytest.raises(TypeError, match="store="):
        extract(families.model("bert"), streamed, progress=False)  # type: ignore[call-overload]


def test_ready_ids(tmp_path: Path) -> None:
    ids = [[5, 6, 7], [8], [9, 10, 11, 12]] * 3
    store = written(tmp_path, ids, ["mlp"], part_tokens=8)
    whole = in_memory(store, ids, ["mlp"])
    assert len(store.parts) == 3
    np.testing.assert_allclose(store["mlp"][:], whole["mlp"], rtol=0, atol=2e-5)
    assert_same_tokens(store.tokens_table(), whole.tokens)


def test_float16_halves_the_bytes_and_never_overflows(tmp_path: Path) -> None:
    store = written(tmp_path, dtype="float16")
    found = store.tokens(slice(None))
    assert found["mlp"].dtype == np.float16
    assert store.neuron("L0.mlp[0]").dtype == np.float32
    np.testing.assert_allclose(found["mlp"], in_memory(store, corpus())["mlp"], rtol=1e-3, atol=1e-3)

    model = hand_model()
    with torch.no_grad():
        model.module.blocks[0].up.weight.mul_(1e6)
    with pytest.raises(ValueError, match="past 65,504"):
        extract(model, ["one two"] * 3, store=tmp_path / "large.zarr", dtype="float16", progress=False)


def test_a_stopped_run_goes_on(tmp_path: Path, store: ActivationStore) -> None:
    calls = iter([False] * 5 + [True] * 1000)
    with pytest.raises(Cancelled):
        written(tmp_path, should_stop=lambda: next(calls))
    folder = tmp_path / "acts.zarr"
    some = open_store(folder)
    assert not some.complete
    assert 0 < len(some.parts) < len(store.parts)
    np.testing.assert_array_equal(some["mlp"][:], store["mlp"][:, : len(some)])
    assert not list((folder / "parts").glob(".[0-9]*"))
    again = written(tmp_path)
    assert again.complete
    np.testing.assert_array_equal(again["mlp"][:], store["mlp"][:])


def test_threads_are_those_of_the_store_and_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    written(tmp_path)
    seen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", seen.append)
    folder = tmp_path / "acts.zarr"
    (folder / "zarr.json").write_text(
        (folder / "zarr.json").read_text().replace(f'"threads": {before}', f'"threads": {before + 3}')
    )
    (folder / "complete.json").unlink()
    written(tmp_path)
    assert seen == [before + 3, before]
