"""Do rankings agree on which neurons carry a concept?

AvgOverlap and NeuronVote are those of Fan, Dalvi, Durrani and Sajjad (2023, "Evaluating Neuron Interpretation Methods of
NLP Models"): the ranking that is judged takes no part in the vote. Rank-biased overlap: Webber, Moffat and Zobel (2010),
extrapolated (their equation 23).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from neurowidget.results.agreement import RankingAgreement
from neurowidget.results.base import Provenance
from neurowidget.results.ranking import NeuronRanking

BALLOT = 100  # neurons that each ranking votes for


def ranking_agreement(
    rankings: Sequence[NeuronRanking] | Mapping[str, NeuronRanking],
    *,
    sizes: Sequence[int] = (10, 20, 50, 100),
    persistence: float = 0.98,
) -> RankingAgreement:
    """Compare two or more rankings of the same neurons; a mapping names them, otherwise their methods do.

    The vote is a Borda count: the first of a ranking's top 100 gets 100 points, the last 1; ties go to the lower place.
    `persistence` is p of the rank-biased overlap: 86 % of its weight is on the first 50 neurons at 0.98. Raises
    ValueError for rankings of different neurons, or sizes that there are not so many neurons for.
    """
    given = list(rankings.values()) if isinstance(rankings, Mapping) else list(rankings)
    names = tuple(rankings) if isinstance(rankings, Mapping) else _names(given)
    if len(given) < 2:
        raise ValueError(f"{len(given)} rankings: expected two or more to compare")
    for ranking in given[1:]:
        if (ranking.sites, ranking.widths) != (given[0].sites, given[0].widths):
            raise ValueError(
                f"these rankings are of different neurons: {', '.join(given[0].sites)} and {', '.join(ranking.sites)}"
            )
    if not 0 < persistence < 1:
        raise ValueError(f"persistence={persistence}: expected more than 0 and less than 1")
    count, width = len(given), len(given[0])
    wanted = np.array(sizes, dtype=np.int64)
    if not len(wanted) or wanted.min() < 1 or wanted.max() > width:
        raise ValueError(f"sizes={list(sizes)}: expected 1 to {width} neurons each")
    orders = np.stack([ranking.order for ranking in given])
    ranks = np.empty_like(orders)
    np.put_along_axis(ranks, orders, np.broadcast_to(np.arange(width, dtype=orders.dtype), orders.shape), axis=1)
    overlap = np.array([[[_jaccard(a[:n], b[:n]) for b in orders] for a in orders] for n in wanted])
    biased = np.array([[_rank_biased_overlap(a, b, persistence) for b in ranks] for a in ranks])
    points = np.maximum(min(BALLOT, width) - ranks.astype(np.int64), 0)
    votes = [np.argsort(-(points.sum(axis=0) - own), kind="stable") for own in points]
    others = 1 - np.eye(count)
    return RankingAgreement(
        names=names,
        neurons=width,
        sizes=wanted,
        spearman=np.corrcoef(ranks),
        rank_biased_overlap=biased,
        overlap=overlap,
        average_overlap=(overlap * others).sum(axis=2) / (count - 1),
        neuron_vote=np.array(
            [[_jaccard(order[:n], vote[:n]) for order, vote in zip(orders, votes, strict=True)] for n in wanted]
        ),
        chance=wanted / (2 * width - wanted),
        provenance=Provenance(
            method="ranking_agreement",
            model=given[0].provenance.model,
            site=given[0].provenance.site,
            parameters={"persistence": persistence, "ballot": BALLOT},
            versions={"numpy": np.__version__},
        ),
    )


def _names(rankings: Sequence[NeuronRanking]) -> tuple[str, ...]:
    methods = [ranking.method for ranking in rankings]
    return tuple(
        name if methods.count(name) == 1 else f"{name} {methods[: number + 1].count(name)}"
        for number, name in enumerate(methods)
    )


def _jaccard(first: np.ndarray, second: np.ndarray) -> float:
    both = len(np.intersect1d(first, second, assume_unique=True))
    return both / (len(first) + len(second) - both)


def _rank_biased_overlap(first: np.ndarray, second: np.ndarray, p: float) -> float:
    """From the ranks (neuron,) of the same neurons."""
    width = len(first)
    shared = np.cumsum(np.bincount(np.maximum(first, second), minlength=width))  # in both tops of depth 1, 2, ...
    depth = np.arange(1, width + 1)
    agreement = shared / depth
    return float(agreement[-1] * p**width + (1 - p) / p * (agreement * p**depth).sum())
