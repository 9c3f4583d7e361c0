"""How far a model can be steered before it breaks: what it writes at each strength, and what else changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from neurowidget.analysis.intervention.exact_effects import tokens_per_forward
from neurowidget.models import targets
from neurowidget.models.interventions import Add, Intervention, describe
from neurowidget.models.prediction import generate
from neurowidget.models.progress import StopFlag, check
from neurowidget.models.reference_texts import chosen_texts
from neurowidget.results.steering import SteeringSweep, SteeringVector

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel

NEUTRAL_TOKENS = 1_000
LONGEST_NEUTRAL = 128
WORD = re.compile(r"\w+")
Interventions = Intervention | Sequence[Intervention]


def steering_sweep(
    model: NeuronModel,
    intervention: SteeringVector | Add | Callable[[float], Interventions],
    strengths: Sequence[float],
    prompts: str | Sequence[str],
    target: Any = None,
    *,
    positions: Any = None,
    neutral: Sequence[str] | None = None,
    concepts: Mapping[str, Collection[str]] | None = None,
    max_new_tokens: int = 30,
    generation: Mapping[str, Any] | None = None,
    progress: bool = True,
    should_stop: StopFlag | None = None,
) -> SteeringSweep:
    """What a causal language model writes after `prompts` at each strength, with the side effects of steering it.

    `intervention` is a SteeringVector, an `Add` (its strength is multiplied) or a function from the strength to what is
    done, such as `lambda s: nw.Set("L5.mlp[131]", s)`; `positions` as in `intervene`. `target` is read at the end of
    each prompt. Perplexity and KL(unsteered || steered) are over the tokens of `neutral` texts (up to 1,000 tokens of
    the bundled sample if left out), steered at `positions` or, where these tell prompt from generated, throughout;
    `concepts` maps names to words that are counted in what is written.
    `generation` goes to `model.generate`. Raises ValueError for a model that is no causal language model.
    """
    if model.kind != "causal_lm":
        raise ValueError(
            f"{model.name} ({model.kind}): a strength sweep writes text, which takes a causal language model"
        )
    grid = [float(strength) for strength in strengths]
    if not grid or not np.isfinite(grid).all():
        raise ValueError(f"expected a list of finite strengths, got {strengths!r}"[:200])
    make = _maker(intervention)
    asked = [prompts] if isinstance(prompts, str) else list(prompts)
    batch = model.encode(asked)
    resolved = targets.resolve(model, batch, target)
    texts, name = chosen_texts(model, neutral)
    batches = list(_neutral_batches(model, texts))
    # A text that is only read has no tokens that were generated: neutral texts are steered throughout.
    read_positions = None if isinstance(positions, str) else positions
    costs = _costs(model, batches, [make(strength) for strength in grid], read_positions, progress, should_stop)
    answers: list[np.ndarray] = []
    written: list[tuple[str, ...]] = []
    for strength in grid:
        check(should_stop)
        with nullcontext() if positions == "generated" else model.intervene(make(strength), positions=positions):
            answers.append(targets.evaluate_target(model, batch, resolved).float().cpu().numpy())
        with model.intervene(make(strength), positions=positions):
            full = generate(model, asked, max_new_tokens=max_new_tokens, **(generation or {}))
        written.append(tuple(text[len(prompt) :] for text, prompt in zip(full, asked, strict=True)))
    return SteeringSweep(
        strengths=np.array(grid),
        intervention=_described(make(1.0)),
        prompts=tuple(asked),
        written=tuple(written),
        target=resolved.name,
        target_values=np.stack(answers),
        perplexity=costs[0],
        kl=costs[1],
        repetition=np.array([np.mean([_repetition(model, text) for text in row]) for row in written]),
        neutral=name,
        rates={key: np.array([_rate(row, words) for row in written]) for key, words in (concepts or {}).items()},
        provenance=model.provenance(
            "steering_sweep", target=resolved.name, positions=positions, max_new_tokens=max_new_tokens
        ),
    )


def _maker(intervention: Any) -> Callable[[float], Interventions]:
    if isinstance(intervention, SteeringVector):
        return lambda strength: Add(intervention, strength=strength)
    if isinstance(intervention, Add):
        return lambda strength: replace(intervention, strength=strength * intervention.strength)
    if callable(intervention):
        return intervention
    raise TypeError(
        "expected a SteeringVector, an Add, or a function from a strength to interventions, got "
        f"{type(intervention).__name__}"
    )


def _described(made: Interventions) -> str:
    return "; ".join(map(describe, [made] if isinstance(made, Intervention) else made))


def _neutral_batches(model: NeuronModel, texts: Sequence[str]) -> Iterator[Batch]:
    """Batches of about 1,000 tokens in all, of texts cut to 128 tokens."""
    ids: list[list[int]] = []
    longest = min(LONGEST_NEUTRAL, model.max_length or LONGEST_NEUTRAL)
    for text in texts:
        if sum(map(len, ids)) >= NEUTRAL_TOKENS:
            break
        own = model.encode([model.tokenizer.encode(text)[:longest]]).ids(0)
        if len(own) > 1:
            ids.append(own)
    if not ids:
        raise ValueError("the neutral texts have no token that could be predicted")
    ids.sort(key=len)
    size = max(1, tokens_per_forward(model) // (2 * len(ids[-1])))  # logits are wide: half of what is usual
    for start in range(0, len(ids), size):
        yield model.encode(ids[start : start + size])


def _costs(
    model: NeuronModel,
    batches: Sequence[Batch],
    interventions: Sequence[Interventions],
    positions: Any,
    progress: bool,
    should_stop: StopFlag | None,
) -> np.ndarray:
    """Perplexity and mean KL(unsteered || steered) of each intervention, float64 (2, intervention)."""
    from tqdm.auto import tqdm

    sums = np.zeros((2, len(interventions)))
    tokens = 0
    with tqdm(total=len(batches) * len(interventions), desc="neutral texts", disable=not progress, leave=False) as bar:
        for batch in batches:
            clean, following = _log_probabilities(model, batch, nullcontext())
            tokens += len(following)
            for number, made in enumerate(interventions):
                check(should_stop)
                steered, _ = _log_probabilities(model, batch, model.intervene(made, positions=positions))
                sums[0, number] -= float(steered.gather(1, following[:, None]).double().sum())
                sums[1, number] += float((clean.exp() * (clean - steered)).sum(dim=1).double().sum())
                bar.update()
    means = sums / tokens
    return np.stack([np.exp(means[0]), means[1]])


def _log_probabilities(model: NeuronModel, batch: Batch, block: AbstractContextManager[Any]) -> tuple[Tensor, Tensor]:
    """Log-probabilities of each next token, (token, vocabulary), and which one it is, (token,)."""
    with block:
        logits = model.forward(batch)["logits"]
    rows, following = [], []
    for row in range(len(batch)):
        real = batch.real(row)
        rows.append(logits[row, real][:-1])
        following.append(batch.input_ids[row, real][1:])
    return torch.cat(rows).float().log_softmax(dim=-1), torch.cat(following).to(logits.device)


def _repetition(model: NeuronModel, text: str) -> float:
    """The share of 4-grams of tokens that are repetitions (seq-rep-4), 0 for a text that is too short to have any."""
    ids = model.tokenizer.encode(text, add_special_tokens=False)
    grams = [tuple(ids[i : i + 4]) for i in range(len(ids) - 3)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _rate(texts: Sequence[str], words: Collection[str]) -> float:
    """The share of the words of `texts` that are among `words`, whatever their case."""
    wanted = {word.lower() for word in words}
    found = [word.lower() for text in texts for word in WORD.findall(text)]
    return sum(word in wanted for word in found) / len(found) if found else 0.0
