"""NeuroX's extraction, written again from its source (a9ac7cd, 2023-04), for machines without a checkout of it.

Its procedure step by step: one sentence at a time, every word tokenised again between neighbours to count its pieces,
then the sentence, a forward that keeps all hidden states, the last piece of each word, a dozen prints, one HDF5
dataset or JSON line per sentence. NeuroX itself cannot be installed: it pins torch 1.8.1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch


def representations(sentence: str, model: Any, tokenizer: Any, counts: dict[str, int]) -> tuple[np.ndarray, list[str]]:
    """float32 (layer and embedding, word, neuron), and the words: `extract_sentence_representations`."""
    special = set(
        tokenizer.convert_tokens_to_ids([t for t in tokenizer.all_special_tokens if t != tokenizer.unk_token])
    )
    words = sentence.split(" ")
    probes = [
        f"{words[0]} a",
        *(f"a {word} a" for word in words[1:-1]),
        *([f"a {words[-1]}"] if len(words) > 1 else []),
    ]
    with torch.no_grad():
        for index, probe in enumerate(probes):
            ids = [i for i in tokenizer.encode(probe) if i not in special]
            ids = ids[:-1] if index == 0 else ids[1:] if index == len(probes) - 1 else ids[1:-1]
            assert counts.setdefault(probe, len(ids)) == len(ids)
        ids = tokenizer.encode(sentence, truncation=True)
        states = model(torch.tensor([ids]))[-1]
        stacked = np.array([state[0].cpu().numpy() for state in states], dtype="float32")
    print(f'Sentence         : "{sentence}"')
    print(f"Original    ({len(words):03d}): {words}")
    print(f"Tokenized   ({len(ids):03d}): {tokenizer.convert_ids_to_tokens(ids)}")
    kept = [position for position, i in enumerate(ids) if i not in special]
    pieces = tokenizer.convert_ids_to_tokens([ids[position] for position in kept])
    print(f"Filtered   ({len(pieces):03d}): {pieces}")
    stacked = stacked[:, kept, :]

    found = np.zeros((stacked.shape[0], len(words), stacked.shape[2]), dtype="float32")
    detokenized, at = [], 0
    for number, probe in enumerate(probes):
        end = at + counts[probe]
        if end > at:
            found[:, number] = stacked[:, end - 1]
        detokenized.append("".join(pieces[at:end]))
        at = end
    print(f"Detokenized ({len(detokenized):03d}): {detokenized}")
    print(f"Counter: {at}")
    print("=" * 67)
    return found, detokenized


def extract_representations(model: Any, tokenizer: Any, sentences: Sequence[str], path: Path) -> None:
    """All sentences to `path`, .hdf5 or .json: `extract_representations` after its loading of the model."""
    counts: dict[str, int] = {}
    write = _Hdf5(path) if path.suffix == ".hdf5" else _JsonLines(path)
    for index, sentence in enumerate(sentences):
        states, words = representations(sentence, model, tokenizer, counts)
        print("Hidden states: ", states.shape)
        print("# Extracted words: ", len(words))
        write(index, words, states[list(range(len(states))), :, :])
    write.close()


class _Hdf5:
    def __init__(self, path: Path) -> None:
        import h5py

        self.file = h5py.File(path, "w")
        self.text = h5py.special_dtype(vlen=str)
        self.index: dict[str, str] = {}

    def __call__(self, index: int, words: list[str], states: np.ndarray) -> None:
        self.file.create_dataset(str(index), states.shape, dtype="float32", data=states)
        self.index[" ".join(words)] = str(index)

    def close(self) -> None:
        self.file.create_dataset("sentence_to_index", (1,), dtype=self.text)[0] = json.dumps(self.index)
        self.file.close()


class _JsonLines:
    def __init__(self, path: Path) -> None:
        self.file = path.open("w", encoding="utf-8")

    def __call__(self, index: int, words: list[str], states: np.ndarray) -> None:
        features = []
        for position, word in enumerate(words):
            layers = [
                {"index": layer, "values": [round(x.item(), 8) for x in states[layer, position, :]]}
                for layer in range(states.shape[0])
            ]
            features.append({"token": word, "layers": layers})
        self.file.write(json.dumps({"linex_index": index, "features": features}) + "\n")

    def close(self) -> None:
        self.file.close()


def checkout(path: Path, model: Any, tokenizer: Any) -> Any:
    """The real `extract_representations` of a checkout, given a model that is loaded already."""
    sys.path.insert(0, str(path))
    from neurox.data.extraction import transformers_extractor

    transformers_extractor.get_model_and_tokenizer = lambda *args, **kwargs: (model, tokenizer)
    return transformers_extractor.extract_representations
