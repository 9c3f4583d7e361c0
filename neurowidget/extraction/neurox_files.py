"""Activations in the two file formats of NeuroX, JSON lines and HDF5, both ways.

HDF5: one dataset per sentence, named "0", "1", ..., of shape (layer, word, neuron), and `sentence_to_index`, a JSON object of
"word word word" -> "0", repeated sentences as "... (Occurrence 2)". JSON: one line per sentence,
{"linex_index": 0, "features": [{"token": word, "layers": [{"index": 0, "values": [...]}, ...]}, ...]}.
Neither says which model, site or layers these are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurowidget.extraction.sentence import joined_words
from neurowidget.results.activations import Activations
from neurowidget.results.base import Provenance
from neurowidget.results.tokens import Tokens

if TYPE_CHECKING:
    from neurowidget.extraction.store import ActivationStore

OCCURRENCE = re.compile(r" \(Occurrence (\d+)\)$")
Row = tuple[list[str], np.ndarray]  # words, (layer, word, neuron)


def import_neurox(
    path: str | Path,
    words: str | Path | None = None,
    labels: str | Path | None = None,
    *,
    site: str = "residual",
    embeddings: bool = False,
    layers: Sequence[int] | None = None,
    model: str = "",
) -> Activations:
    """Activations of words from NeuroX's .json or .hdf5, float32 (layer, word, neuron), or float16 where the file is.

    `words` and `labels` are NeuroX's text files with one sentence a line, white space between words; the words are
    otherwise those in the file. `embeddings=True` where NeuroX kept the embeddings, its default: the first layer then
    becomes the site "embed", the others layers 0, 1, ... of `site`. `layers` numbers them otherwise.

    Raises ValueError naming the sentence for a malformed file and for words or labels that do not fit, ImportError without
    h5py.
    """
    path = Path(path)
    given_words = None if words is None else _lines(words)
    rows: list[Row] = []
    for index, (found, values) in enumerate(_read(path, given_words)):
        if rows and values.shape[::2] != rows[0][1].shape[::2]:
            raise ValueError(
                f"{path}, sentence {index} has (layer, neuron) = {values.shape[::2]}, the first {rows[0][1].shape[::2]}"
            )
        if len(found) != values.shape[1]:
            source = f"{words}" if words is not None else "its words (give the words= file where words contain spaces)"
            raise ValueError(f"{path}, sentence {index} has {values.shape[1]} rows, and {len(found)} words in {source}")
        rows.append((found, values))
    if not rows:
        raise ValueError(f"{path} has no sentences")
    if given_words is not None and len(given_words) != len(rows):
        raise ValueError(f"{path} has {len(rows)} sentences, {words} has {len(given_words)} lines")
    values = np.concatenate([values for _, values in rows], axis=1)
    if embeddings and len(values) < 2:
        raise ValueError(f"{path} has {len(values)} layer: with embeddings=True there should be two or more")
    numbers = list(range(len(values) - embeddings)) if layers is None else list(layers)
    if len(numbers) != len(values) - embeddings:
        raise ValueError(f"{path} has {len(values) - embeddings} layers, and layers={numbers}")
    by_site = {"embed": values[:1], site: values[1:]} if embeddings else {site: values}
    return Activations(
        values=by_site,
        layers={name: (0,) if embeddings and name == "embed" else tuple(numbers) for name in by_site},
        tokens=_tokens([found for found, _ in rows]),
        labels=None if labels is None else _labels(path, labels, rows),
        provenance=Provenance(
            method="import_neurox", model=model, site=", ".join(by_site), parameters={"file": path.name}
        ),
    )


def to_neurox(acts: Activations | ActivationStore, path: str | Path, site: str | None = None) -> Path:
    """Write one site of Activations or a store in NeuroX's format, by the suffix .hdf5 or .json, text by text.

    `site` may be left out where there is one. HDF5 keeps float16 or float32, JSON eight decimals. Special tokens are left
    out; a row is a word or a token. Raises ValueError for another suffix and rows that NeuroX's words cannot name.
    """
    path = Path(path)
    if site is None:
        if len(acts.layers) != 1:
            raise ValueError(f"there are several sites: name one of {', '.join(acts.layers)}")
        site = next(iter(acts.layers))
    if site not in acts.layers:
        raise KeyError(f"no site {site!r} here; these were extracted: {', '.join(acts.layers)}")
    writers = {".json": _write_json, ".hdf5": _write_hdf5}
    if path.suffix not in writers:
        raise ValueError(f"{path.name}: NeuroX's files end in .json or .hdf5")
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        writers[path.suffix](temporary, _sentences(acts, site))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _read(path: Path, words: list[list[str]] | None) -> Iterator[Row]:
    if path.suffix == ".json":
        rows = _read_json(path)
    elif path.suffix in (".hdf5", ".h5"):
        rows = _read_hdf5(path)
    else:
        raise ValueError(f"{path.name}: NeuroX's files end in .json or .hdf5")
    for index, (found, values) in enumerate(rows):
        yield (words[index] if words is not None and index < len(words) else found), values


def _read_json(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                features = json.loads(line)["features"]
                words = [str(one["token"]) for one in features]
                values = np.array([[layer["values"] for layer in one["layers"]] for one in features], dtype=np.float32)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise ValueError(
                    f'{path}, line {number}: expected {{"linex_index": ..., "features": [{{"token": ..., "layers":'
                    f' [{{"index": ..., "values": [...]}}]}}]}}, with as many values for each token ({error})'
                ) from None
            if values.ndim != 3:
                raise ValueError(f"{path}, line {number}: expected tokens with layers with values, got none")
            yield words, values.transpose(1, 0, 2)


def _read_hdf5(path: Path) -> Iterator[Row]:
    h5py = _h5py()
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path} is no HDF5 file, or is cut off: {error}") from None
    with file:
        name = next((name for name in ("sentence_to_index", "sentence_to_idx") if name in file), None)
        count = sum(key.isdigit() for key in file)
        words = _hdf5_words(path, file[name][0], count) if name is not None else {}
        for index in range(count):
            if str(index) not in file:
                raise ValueError(f"{path} has {count} sentences, but none named {index}")
            dataset = file[str(index)]
            if getattr(dataset, "ndim", 0) != 3 or dataset.dtype.kind != "f" or dataset.size > 8 * path.stat().st_size:
                raise ValueError(f"{path}, sentence {index}: expected numbers (layer, word, neuron)")
            values = np.asarray(dataset)
            values = values if values.dtype in (np.float16, np.float32) else values.astype(np.float32)
            yield words.get(index, [""] * values.shape[1]), values


def _hdf5_words(path: Path, content: Any, count: int) -> dict[int, list[str]]:
    """The words of each sentence from `sentence_to_index`."""
    try:
        named = json.loads(content)
        found = {int(index): sentence for sentence, index in named.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path}: sentence_to_index should be a JSON object of sentences to numbers ({error})"
        ) from None
    if not found.keys() <= set(range(count)):
        raise ValueError(f"{path}: sentence_to_index names sentences that are not there")
    plain = set(named)
    words = {}
    for index, sentence in found.items():
        match = OCCURRENCE.search(sentence)
        if match and sentence[: match.start()] in plain:
            sentence = sentence[: match.start()]
        words[index] = sentence.split(" ") if sentence else []
    return words


def _write_json(path: Path, rows: Iterator[Row]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for index, (words, values) in enumerate(rows):
            features = [
                {
                    "token": word,
                    "layers": [
                        {"index": layer, "values": [round(value, 8) for value in one.tolist()]}
                        for layer, one in enumerate(values[:, position].astype(np.float64))
                    ],
                }
                for position, word in enumerate(words)
            ]
            stream.write(json.dumps({"linex_index": index, "features": features}) + "\n")


def _write_hdf5(path: Path, rows: Iterator[Row]) -> None:
    h5py = _h5py()
    named: dict[str, str] = {}
    with h5py.File(path, "w") as file:
        for index, (words, values) in enumerate(rows):
            file.create_dataset(str(index), data=values)
            if broken := [word for word in words if " " in word]:
                raise ValueError(
                    f"text {index} has the word {broken[0]!r}: NeuroX separates words by spaces, use .json"
                )
            sentence = " ".join(words)
            key, occurrence = sentence, 1
            while key in named:
                occurrence += 1
                key = f"{sentence} (Occurrence {occurrence})"
            named[key] = str(index)
        text = file.create_dataset("sentence_to_index", (1,), dtype=h5py.special_dtype(vlen=str))
        text[0] = json.dumps(named)


def _sentences(acts: Activations | ActivationStore, site: str) -> Iterator[Row]:
    """Words and values of each text."""
    if isinstance(acts, Activations):
        tokens, whole = acts.tokens_for(site), acts[site]
        ends = np.searchsorted(tokens.sentence_index, np.arange(len(tokens.texts) + 1))
        for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
            yield _row(tokens, start, end, whole[:, start:end])
    else:
        for index in range(acts.num_texts):
            one = acts.sentence(index)
            tokens = one.tokens_for(site)
            yield _row(tokens, 0, len(tokens), one[site])


def _row(tokens: Tokens, start: int, end: int, values: np.ndarray) -> Row:
    kept = np.flatnonzero(~tokens.special[start:end])
    names = tokens.pieces if tokens.level == "word" else tokens.raw
    return [names[start + position].strip() for position in kept.tolist()], values[:, kept]


def _tokens(rows: Sequence[list[str]]) -> Tokens:
    texts, columns = [], {name: [] for name in ("word", "start", "end", "sentence_index")}  # type: ignore[var-annotated]
    pieces: list[str] = []
    for index, words in enumerate(rows):
        text, spans = joined_words(words)
        texts.append(text)
        last = 0
        for number, (start, end) in enumerate(spans):
            pieces.append(text[last:end])
            for name, value in zip(columns, (number, start, end, index), strict=True):
                columns[name].append(value)
            last = end
    count = len(pieces)
    return Tokens(
        texts=tuple(texts),
        ids=np.full(count, -1),
        pieces=tuple(pieces),
        raw=tuple(word for words in rows for word in words),
        special=np.zeros(count, dtype=np.bool_),
        shares=np.zeros(count, dtype=np.bool_),
        level="word",
        **{name: np.asarray(values) for name, values in columns.items()},
    )


def _labels(path: Path, labels: str | Path, rows: Sequence[Row]) -> tuple[str, ...]:
    given = _lines(labels)
    if len(given) != len(rows):
        raise ValueError(f"{path} has {len(rows)} sentences, {labels} has {len(given)} lines")
    if all(len(line) == 1 for line in given) and any(len(words) != 1 for words, _ in rows):
        return tuple(line[0] for line in given)  # one label per sentence
    for index, (line, (words, _)) in enumerate(zip(given, rows, strict=True)):
        if len(line) != len(words):
            raise ValueError(f"{labels}, line {index + 1} has {len(line)} labels for {len(words)} words")
    return tuple(label for line in given for label in line)


def _lines(path: str | Path) -> list[list[str]]:
    return [line.split() for line in Path(path).read_text(encoding="utf-8").splitlines()]


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError("NeuroX's HDF5 files need h5py: pip install 'neurowidget[neurox]'") from error
    return h5py
