"""Is it true: measures of attributions, rankings and effects, each with its control."""

from collections.abc import Callable
from typing import Any

from neurowidget.analysis.evaluation.comprehensiveness import comprehensiveness
from neurowidget.analysis.evaluation.deletion import deletion
from neurowidget.analysis.evaluation.insertion import insertion
from neurowidget.analysis.evaluation.ranking_agreement import ranking_agreement
from neurowidget.analysis.evaluation.sufficiency import sufficiency

METHODS: dict[str, Callable[..., Any]] = {
    "comprehensiveness": comprehensiveness,
    "deletion": deletion,
    "insertion": insertion,
    "ranking_agreement": ranking_agreement,
    "sufficiency": sufficiency,
}

__all__ = ["METHODS"]
