"""How much of the target goes with the tokens that an attribution puts first (DeYoung et al. 2020, eq. 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurowidget.analysis.evaluation.removal import DRAWS, ERASER_SHARES, Removal, faithfulness
from neurowidget.models.progress import StopFlag
from neurowidget.results.attribution import Attribution
from neurowidget.results.faithfulness import Faithfulness

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def comprehensiveness(
    attributions: Attribution | Sequence[Attribution],
    model: NeuronModel,
    *,
    shares: Sequence[float] = ERASER_SHARES,
    by: str = "score",
    draws: int = DRAWS,
    seed: int = 0,
    should_stop: StopFlag | None = None,
    **options: Any,
) -> Faithfulness:
    """F(x) - F(x without the first tokens) at several shares of the tokens; the score is the mean over them (AOPC).

    Larger is better: what was called important was needed. `by="score"` takes tokens that
    support the target first, "magnitude" those with the largest |score|. A token that goes gets the baseline; `options`
    (target, baseline, position, of, target_text, group) are those that `attribute` was given. `draws` random orders are
    the control. Raises ValueError for scores of neurons and for another target.
    """
    how = Removal("comprehensiveness", keep=False, larger_is_better=True, values=lambda whole, changed: whole - changed)
    return faithfulness(how, attributions, model, shares, by, draws, seed, options, should_stop)
