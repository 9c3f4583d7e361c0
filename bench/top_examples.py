"""Speed and memory of top_examples: against a bare forward of the same batches, and against a naive numpy pass.

    python bench/top_examples.py [--model demo:sentiment] [--words 20000] [--brown FOLDER] [--rounds 3] [--threads 2] [--json]
    python bench/top_examples.py --memory [--words 20000] --brown FOLDER     # peak memory for 1 x and 10 x the words

All mlp neurons of the model over real text: the bundled samples, or the Brown corpus (files of word/tag tokens). The
contenders run one after the other in every round, in turning order; what counts is the median of the ratios within a
round. Loading the model and hashing its weights are outside all timings, tokenising is inside all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from extraction import ratio, rounds  # noqa: E402

BARE, OURS, NAIVE = "bare forward", "top_examples", "extract, then numpy"
K = 20


def sentences(brown: str | None, words: int) -> list[str]:
    """Real sentences with this many words in all."""
    found: list[str] = []
    for text in _brown(Path(brown)) if brown else _bundled():
        found.append(text)
        words -= len(text.split())
        if words <= 0:
            return found
    raise SystemExit(f"the texts have {words} words fewer than were asked for")


def _bundled() -> Iterator[str]:
    from neurowidget.models.bundled import sample_texts

    return iter(dict.fromkeys([*sample_texts("prose"), *sample_texts("movies")]))


def _brown(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("c???")):
        for line in path.read_text(encoding="latin-1").splitlines():
            if line.strip():
                yield " ".join(token.rpartition("/")[0] for token in line.split())


def bare_forward(model: Any, texts: list[str]) -> Callable[[], None]:
    """The same batches up to the last mlp, nothing kept."""
    import torch

    from neurowidget.analysis.examples.top_examples import BATCH_FACTOR, PART_TEXTS
    from neurowidget.extraction.activations import MOST_TOKENS, TOKENS_PER_THREAD
    from neurowidget.extraction.forwards import run_batches
    from neurowidget.extraction.planning import pieces_of
    from neurowidget.models.batching import encode_one
    from neurowidget.neuron import LayerSite

    last = [LayerSite(model.num_layers - 1, "mlp")]
    tokens = min(BATCH_FACTOR * TOKENS_PER_THREAD * torch.get_num_threads(), MOST_TOKENS)

    def run() -> None:
        for start in range(0, len(texts), PART_TEXTS):
            rows = [encode_one(model, text, i, "text") for i, text in enumerate(texts[start : start + PART_TEXTS])]
            pieces = [piece for i, row in enumerate(rows) for piece in pieces_of(i, row, None, False)]
            for _ in run_batches(model, pieces, last, lambda *given: None, tokens):
                pass

    return run


def naive(model: Any, texts: list[str]) -> Callable[[], None]:
    """Everything into memory, then neuron by neuron: the order, the moments and a histogram."""
    import numpy as np

    from neurowidget.extraction.activations import extract

    def run() -> None:
        acts = extract(model, texts, "mlp", special_tokens="drop", progress=False)
        for layer in acts["mlp"]:
            for values in layer.T:
                order = np.argsort(values)
                _ = order[-K:], order[:K], values.mean(), values.var(), (values > 0).mean()
                _ = np.histogram(values, bins=64), np.quantile(values, [0.5, 0.9, 0.99])

    return run


def loaded(options: argparse.Namespace) -> Any:
    import torch

    from neurowidget.models.loading import load_model

    torch.set_num_threads(options.threads)
    model = load_model(options.model)
    model.provenance("warm")  # the hash of the weights, once per model
    return model


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All timings as one dictionary."""
    from neurowidget.analysis.examples.top_examples import top_examples

    model = loaded(options)
    texts = sentences(options.brown, options.words)
    last: list[Any] = []

    def ours() -> None:
        last[:] = [top_examples(model, texts, k=K, progress=False)]

    contenders = {BARE: bare_forward(model, texts), OURS: ours}
    if not options.no_naive:
        contenders[NAIVE] = naive(model, texts)
    top_examples(model, texts[:60], progress=False)
    seconds = rounds(contenders, options.rounds)
    result: dict[str, Any] = {
        "model": options.model, "neurons": len(last[0]), "texts": len(texts), "words": options.words,
        "tokens": last[0].token_count, "threads": options.threads, "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1), "seconds": {name: [round(t, 2) for t in times] for name, times in seconds.items()},
        "bare / top_examples": ratio(seconds[BARE], seconds[OURS], round(1 / options.target, 3)),
        "top_examples / bare": ratio(seconds[OURS], seconds[BARE], 0)["median"],
    }  # fmt: skip
    if NAIVE in seconds:
        result["naive / top_examples"] = ratio(seconds[NAIVE], seconds[OURS], 1.0)
    return result


def peak(options: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of one process in MB, before and after."""
    from neurowidget.analysis.examples.top_examples import top_examples
    from neurowidget.extraction.corpus import Sentence, StreamedCorpus

    model = loaded(options)
    bare_forward(model, sentences(options.brown, min(options.words, 5_000)))()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    count = len(sentences(options.brown, options.words))

    def opened() -> Iterator[Sentence]:
        texts = _brown(Path(options.brown)) if options.brown else _bundled()
        return (Sentence(text) for _, text in zip(range(count), texts, strict=False))

    found = top_examples(model, StreamedCorpus(opened, "streamed"), k=K, progress=False)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"words": options.words, "tokens": found.token_count, "texts kept": len(found.kept),
            "forward_mb": round(before), "top_examples_mb": round(after)}  # fmt: skip


def memory(options: argparse.Namespace) -> dict[str, Any]:
    """Peak memory for 1 x and 10 x the words, each in a process of its own."""
    found = []
    for words in (options.words, 10 * options.words):
        command = [sys.executable, __file__, "--peak", "--model", options.model, "--words", str(words),
                   "--threads", str(options.threads), *(["--brown", options.brown] if options.brown else [])]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.strip().splitlines()[-1]))
    return {
        "runs": found,
        "10 x / 1 x": round(found[1]["top_examples_mb"] / found[0]["top_examples_mb"], 3),
        "target": "<= 1.2",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object; progress goes to stderr")
    parser.add_argument("--model", default="demo:sentiment")
    parser.add_argument("--words", type=int, default=20_000)
    parser.add_argument("--brown", help="the folder of the tagged Brown corpus")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--target", type=float, default=1.5, help="most times the bare forward; 1.3 for the language model"
    )
    parser.add_argument("--no-naive", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak", action="store_true", help="one process of --memory")
    options = parser.parse_args()
    result = memory(options) if options.memory else peak(options) if options.peak else measure(options)
    print(json.dumps(result, indent=None if options.json or options.peak else 2))


if __name__ == "__main__":
    main()
