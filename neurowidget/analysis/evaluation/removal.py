"""F of a text of which only some tokens are left, in the order of an attribution and in random orders."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from neurowidget.analysis.attribution.presence import Players, players
from neurowidget.analysis.statistics.bootstrap import bootstrap_interval
from neurowidget.models.progress import StopFlag, check
from neurowidget.results.attribution import Attribution
from neurowidget.results.faithfulness import Faithfulness

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

DRAWS = 20
ERASER_SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)  # DeYoung et al. 2020, section 4.2
CURVE_SHARES = tuple(round(0.1 * step, 1) for step in range(11))

Values = Callable[[float, np.ndarray], np.ndarray]  # F(x) and F (order, point) of the changed texts -> (order, point)


@dataclass(frozen=True)
class Removal:
    """A measure: whether the first tokens stay (`keep`) or go, and what is read off F of the changed text."""

    name: str
    keep: bool
    larger_is_better: bool
    values: Values


def faithfulness(
    how: Removal,
    attributions: Attribution | Sequence[Attribution],
    model: NeuronModel,
    shares: Sequence[float],
    by: str,
    draws: int,
    seed: int,
    options: dict[str, Any],
    should_stop: StopFlag | None,
) -> Faithfulness:
    """A measure over one or several attributions of one method."""
    given = [attributions] if isinstance(attributions, Attribution) else list(attributions)
    wanted = np.asarray(shares, dtype=np.float64)
    if not given or wanted.ndim != 1 or not len(wanted) or not ((wanted >= 0) & (wanted <= 1)).all():
        raise ValueError(f"{len(given)} attributions at shares {shares}: expected one or more, and shares from 0 to 1")
    if by not in ("score", "magnitude"):
        raise ValueError(f"by={by!r}: expected 'score' (tokens that support the target first) or 'magnitude'")
    if draws < 1:
        raise ValueError(f"draws={draws}: expected 1 or more random orders")
    if len({attribution.provenance.method for attribution in given}) > 1:
        raise ValueError("the attributions are of several methods: judge one method at a time")
    found, control, names = [], [], []
    for number, attribution in enumerate(given):
        check(should_stop)
        question = _question(attribution, model, options, should_stop)
        per_player = _per_player(attribution, question)
        ranked = np.argsort(-(np.abs(per_player) if by == "magnitude" else per_player), kind="stable")
        draw = np.random.default_rng([seed, number])
        orders = np.stack([ranked, *(draw.permutation(question.count) for _ in range(draws))])
        answers = how.values(question.asked.value, _targets(question, orders, wanted, how.keep))
        found.append(answers[0])
        control.append(answers[1:].mean(axis=1))
        names.append(question.asked.target.name)
    curves = np.stack(found)
    scores = curves.mean(axis=1)
    interval = bootstrap_interval(scores, seed=seed)
    return Faithfulness(
        method=how.name,
        attribution=given[0].provenance.method,
        larger_is_better=how.larger_is_better,
        shares=wanted,
        values=curves,
        scores=scores,
        control=np.stack(control),
        targets=tuple(names),
        texts=tuple(attribution.tokens.texts[0] for attribution in given),
        interval=None if interval is None else (float(interval[0]), float(interval[1])),
        provenance=model.provenance(
            how.name, seed=seed, attribution=given[0].provenance.method, shares=wanted.tolist(), draws=draws, by=by,
            **{key: str(value) for key, value in options.items()},
        ),
    )  # fmt: skip


def _question(
    attribution: Attribution, model: NeuronModel, options: dict[str, Any], should_stop: StopFlag | None
) -> Players:
    if attribution.layers is not None or attribution.scores.ndim != 1:
        raise ValueError("these are scores of neurons: only attributions of tokens are judged by leaving tokens out")
    taken = [name for name in inspect.signature(players).parameters if name not in ("model", "text", "should_stop")]
    if wrong := [name for name in options if name not in taken]:
        raise ValueError(f"no option {wrong[0]!r}: expected some of {', '.join(taken)}")
    chosen: dict[str, Any] = dict.fromkeys(("target", "baseline", "position", "of", "target_text", "group")) | options
    question = players(model, attribution.tokens.ids.tolist(), should_stop=should_stop, **chosen)
    if question.asked.target.name != attribution.target:
        raise ValueError(
            f"the attribution explains {attribution.target}, and what is asked here is {question.asked.target.name}:"
            " pass the same target=, position= and of= as to attribute"
        )
    return question


def _per_player(attribution: Attribution, question: Players) -> np.ndarray:
    """The sum of the scores of each player's tokens, float64 (player,)."""
    place = question.player.numpy()
    if len(attribution.scores) != len(place):
        raise ValueError(
            f"{len(attribution.scores)} scores for the {len(place)} tokens of the text: pass the attribution before it"
            " was grouped, and group= here"
        )
    sums = np.zeros(question.count)
    np.add.at(sums, place[place >= 0], attribution.scores[place >= 0].astype(np.float64))
    return sums


def _targets(question: Players, orders: np.ndarray, shares: np.ndarray, keep: bool) -> np.ndarray:
    """F with the first share of each order left (`keep`) or gone, float64 (order, share).

    A share is rounded up to whole players, so that 1 % of a short text is one of them. Texts that several orders and
    shares have in common run once.
    """
    counts = np.minimum(np.ceil(shares * question.count - 1e-9), question.count).astype(int)
    rank = np.argsort(orders, axis=1)  # (order, player): how early each player comes
    first = rank[:, None, :] < counts[None, :, None]
    present = first if keep else ~first
    unique, back = np.unique(present.reshape(-1, question.count), axis=0, return_inverse=True)
    rows = torch.from_numpy(unique).float()

    def method(presence: Any, size: int) -> torch.Tensor:
        return torch.cat([presence(part) for part in rows.split(size)])

    return question.scores(method).numpy()[back.reshape(present.shape[:2])]
