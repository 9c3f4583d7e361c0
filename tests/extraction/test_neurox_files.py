"""NeuroX's files: read as its writer leaves them, written so that its loader reads them, and there and back."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import families
import h5py
import numpy as np
import pytest

from neurowidget.extraction.activations import extract
from neurowidget.extraction.corpus import Corpus
from neurowidget.extraction.neurox_files import import_neurox, to_neurox

SENTENCES = [["The", "house"], ["good"], ["The", "house"], ["naïve", "café", "🙂"]]
VALUES = [
    np.arange(2 * len(words) * 3, dtype=np.float32).reshape(2, len(words), 3) + i for i, words in enumerate(SENTENCES)
]


def write_hdf5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        for index, values in enumerate(VALUES):
            file.create_dataset(str(index), data=values)
        named = {"The house": "0", "good": "1", "The house (Occurrence 2)": "2", "naïve café 🙂": "3"}
        file.create_dataset("sentence_to_index", (1,), dtype=h5py.special_dtype(vlen=str))[0] = json.dumps(named)
    return path


def write_json(path: Path) -> Path:
    lines = []
    for index, (words, values) in enumerate(zip(SENTENCES, VALUES, strict=True)):
        features = [
            {"token": word, "layers": [{"index": layer, "values": values[layer, i].tolist()} for layer in range(2)]}
            for i, word in enumerate(words)
        ]
        lines.append(json.dumps({"linex_index": index, "features": features}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def load_like_neurox(path: Path) -> list[np.ndarray]:
    """What its `load_activations` makes of a file: one (word, layer * neuron) array per sentence."""
    found = []
    if path.suffix == ".json":
        for line in path.read_text().splitlines():
            tokens = json.loads(line)["features"]
            found.append(np.array([np.concatenate([one["values"] for one in token["layers"]]) for token in tokens]))
    else:
        with h5py.File(path, "r") as file:
            numbers = json.loads(file["sentence_to_index"][0]).values()
            for index in sorted(int(number) for number in numbers):
                array = np.array(file[str(index)])
                found.append(np.swapaxes(array, 0, 1).reshape(array.shape[1], -1))
    return found


@pytest.mark.parametrize("suffix", [".hdf5", ".json"])
def test_its_files_are_read(tmp_path: Path, suffix: str) -> None:
    path = (write_hdf5 if suffix == ".hdf5" else write_json)(tmp_path / f"acts{suffix}")
    acts = import_neurox(path)
    np.testing.assert_array_equal(acts["residual"], np.concatenate(VALUES, axis=1))
    assert acts.tokens.texts == tuple(" ".join(words) for words in SENTENCES)
    assert [piece.strip() for piece in acts.tokens.pieces] == [word for words in SENTENCES for word in words]
    assert acts.tokens.sentence_index.tolist() == [0, 0, 1, 2, 2, 3, 3, 3]
    for index, text in enumerate(acts.tokens.texts):
        assert "".join(acts.tokens.sentence(index).pieces) == text
    split = import_neurox(path, embeddings=True, site="residual")
    assert {site: values.shape for site, values in split.values.items()} == {"embed": (1, 8, 3), "residual": (1, 8, 3)}
    np.testing.assert_array_equal(split["residual"][0], acts["residual"][1])
    np.testing.assert_array_equal(
        import_neurox(path, layers=[4, 9]).neuron("L9.residual[2]"), acts["residual"][1, :, 2]
    )


def test_words_and_labels_from_its_text_files(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "acts.hdf5")
    words, labels = tmp_path / "a.word", tmp_path / "a.label"
    words.write_text("The house\nfine\nThe house\nx y z\n")
    labels.write_text("DET NOUN\nADJ\nDET NOUN\nADJ NOUN SYM\n")
    acts = import_neurox(path, words, labels)
    assert acts.tokens.texts[3] == "x y z"
    assert acts.labels == ("DET", "NOUN", "ADJ", "DET", "NOUN", "ADJ", "NOUN", "SYM")
    labels.write_text("A\nB\nA\nB\n")
    assert import_neurox(path, labels=labels).row_labels() == ["A", "A", "B", "A", "A", "B", "B", "B"]
    labels.write_text("DET NOUN\nADJ\nDET\nADJ NOUN SYM\n")
    with pytest.raises(ValueError, match="line 3 has 1 labels for 2 words"):
        import_neurox(path, labels=labels)
    labels.write_text("DET NOUN\n")
    with pytest.raises(ValueError, match=r"4 sentences, .* has 1 lines"):
        import_neurox(path, labels=labels)


@pytest.mark.parametrize("suffix", [".hdf5", ".json"])
def test_there_and_back(tmp_path: Path, suffix: str) -> None:
    texts = ["The plot was not good .", "good", "good", "naïve café 🙂"]
    corpus = Corpus.from_words([text.split() for text in texts])
    model = families.model("bert")
    acts = extract(model, corpus, ["residual"], words="last", progress=False)
    store = extract(
        model,
        corpus,
        ["residual"],
        words="last",
        store=tmp_path / "s.zarr",
        part_tokens=6,
        dtype="float32",
        progress=False,
    )
    for given in (acts, store):
        path = to_neurox(given, tmp_path / f"out{suffix}")
        again = import_neurox(path)
        expected = given["residual"][:]
        np.testing.assert_allclose(again["residual"], expected, rtol=0, atol=0 if suffix == ".hdf5" else 1e-8)
        assert [piece.strip() for piece in again.tokens.pieces] == [piece.strip() for piece in acts.tokens.pieces]
        np.testing.assert_array_equal(again.sentence_index, acts.sentence_index)
        theirs = load_like_neurox(path)
        ours = [np.swapaxes(expected[:, acts.sentence_index == i], 0, 1).reshape(-1, 3 * 32) for i in range(len(texts))]
        for one, other in zip(theirs, ours, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-8)
    assert store.to_neurox(tmp_path / f"again{suffix}").read_bytes() == path.read_bytes() or suffix == ".hdf5"


def test_tokens_without_the_special_ones_and_float16(tmp_path: Path) -> None:
    acts = extract(families.model("bert"), ["The plot", "good"], ["mlp", "residual"], dtype="float16", progress=False)
    path = to_neurox(acts, tmp_path / "out.hdf5", "mlp")
    again = import_neurox(path, site="mlp")
    kept = ~acts.tokens.special
    assert again["mlp"].dtype == np.float16
    np.testing.assert_array_equal(again["mlp"], acts["mlp"][:, kept])
    with pytest.raises(ValueError, match="name one of mlp, residual"):
        to_neurox(acts, path)
    with pytest.raises(KeyError, match="mlp, residual"):
        to_neurox(acts, path, "attention")
    with pytest.raises(ValueError, match=r"\.json or \.hdf5"):
        to_neurox(acts, tmp_path / "out.txt", "mlp")


BAD_LINES = ["{", "3", '{"features": 3}', '{"features": []}', '{"features": [{"token": "a"}]}',
             '{"features": [{"token": "a", "layers": [{"index": 0, "values": ["x"]}]}]}',
             '{"features": [{"token": "a", "layers": [{"values": [1]}]}, {"token": "b", "layers": []}]}']  # fmt: skip


@pytest.mark.parametrize("line", BAD_LINES)
def test_malformed_json_is_named_by_line(tmp_path: Path, line: str) -> None:
    path = write_json(tmp_path / "acts.json")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"acts\.json, line 5: expected"):
        import_neurox(path)


def test_malformed_hdf5_is_named(tmp_path: Path) -> None:
    path = tmp_path / "acts.hdf5"
    path.write_bytes(b"no such thing")
    with pytest.raises(ValueError, match="no HDF5 file"):
        import_neurox(path)
    for change, message in (
        (lambda file: file.__delitem__("1"), "not there"),
        (lambda file: file["sentence_to_index"].__setitem__(0, "{"), "JSON object"),
        (lambda file: file["sentence_to_index"].__setitem__(0, '{"a": "9"}'), "not there"),
        (lambda file: file.create_dataset("4", data=np.zeros((2, 3))), "sentence 4: expected numbers"),
        (lambda file: file.create_dataset("4", data=np.zeros((3, 1, 3))), "sentence 4 has"),
        (lambda file: file.create_dataset("4", (2**20, 2**20, 4), dtype="f4", chunks=True), "sentence 4: expected"),
        (lambda file: file["sentence_to_index"].__setitem__(0, '{"one two": "1"}'), "1 rows, and 2 words"),
    ):
        path = write_hdf5(tmp_path / "acts.hdf5")
        with h5py.File(path, "a") as file:
            change(file)
        with pytest.raises(ValueError, match=message):
            import_neurox(path)


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_hdf5(tmp_path / "acts.hdf5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'neurowidget\[neurox\]'"):
        import_neurox(path)


def test_they_are_public() -> None:
    package: Any = importlib.import_module("neurowidget")
    assert package.import_neurox is import_neurox
    assert package.to_neurox is to_neurox
