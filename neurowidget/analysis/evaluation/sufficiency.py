"""How much of the target is lost when only the tokens that an attribution puts first are left (DeYoung et al. 2020, eq. 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurowidget.analysis.evaluation.removal import DRAWS, ERASER_SHARES, Removal, faithfulness
from neurowidget.models.progress import StopFlag
from neurowidget.results.attribution import Attribution
from neurowidget.results.faithfulness import Faithfulness

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def sufficiency(
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
    """F(x) - F(the first tokens alone) at several shares of the tokens; the score is the mean over them (AOPC).

    Smaller is better: what was called important is enough. `by="score"` takes tokens that
    support the target first, "magnitude" those with the largest |score|. A token that goes gets the baseline; `options`
    (target, baseline, position, of, target_text, group) are those that `attribute` was given. `draws` random orders are
    the control. Raises ValueError for scores of neurons and for another target.
    """
    how = Removal("sufficiency", keep=True, larger_is_better=False, values=lambda whole, changed: whole - changed)
    return faithfulness(how, attributions, model, shares, by, draws, seed, options, should_stop)
