"""The target while tokens come back in the order of an attribution (Petsiuk et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurowidget.analysis.evaluation.removal import CURVE_SHARES, DRAWS, Removal, faithfulness
from neurowidget.models.progress import StopFlag
from neurowidget.results.attribution import Attribution
from neurowidget.results.faithfulness import Faithfulness

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def insertion(
    attributions: Attribution | Sequence[Attribution],
    model: NeuronModel,
    *,
    shares: Sequence[float] = CURVE_SHARES,
    by: str = "score",
    draws: int = DRAWS,
    seed: int = 0,
    should_stop: StopFlag | None = None,
    **options: Any,
) -> Faithfulness:
    """F with a growing share of the first tokens there and the others at the baseline; the score is the area under it.

    Larger is better: the target rises early. `by="score"` takes tokens that
    support the target first, "magnitude" those with the largest |score|. A token that goes gets the baseline; `options`
    (target, baseline, position, of, target_text, group) are those that `attribute` was given. `draws` random orders are
    the control. Raises ValueError for scores of neurons and for another target.
    """
    how = Removal("insertion", keep=True, larger_is_better=True, values=lambda whole, changed: changed)
    return faithfulness(how, attributions, model, shares, by, draws, seed, options, should_stop)
