"""One question, `how much does each token of this text contribute to F?`, and its answer as a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from captum.attr import Saliency
from torch import Tensor

from neurowidget.analysis.attribution.baselines import Baseline, baseline_embeddings
from neurowidget.analysis.attribution.explained_text import Text, encoded, explained_target, numbers, saturation
from neurowidget.analysis.attribution.word_embeddings import Explained, WordEmbeddings
from neurowidget.analysis.statistics.halving import halving
from neurowidget.models.display import tokens_of
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel
    from neurowidget.models.targets import Target

Remark = tuple[str, str]  # the name of a badge, and its sentence
ROWS = 50  # copies of the text in one forward: memory does not grow with the number of steps or samples
TOKENS = 4096
TOLERANCE = 0.05
FLOOR = 1e-4  # of max(1, |F(x)|): a smaller difference of F is as good as none


@dataclass(eq=False)
class Asked:
    """A text x, the frozen target, and one baseline x' or a set of them: `starts` is (baseline, token, width)."""

    model: NeuronModel
    batch: Batch
    target: Target
    embeddings: WordEmbeddings
    should_stop: StopFlag | None = None
    baseline: str | None = None
    starts: Tensor | None = None

    @property
    def text(self) -> Tensor:
        """x, (1, token, width)."""
        return self.embeddings.text

    @cached_property
    def explained(self) -> Explained:
        return self.path(None if self.starts is None else self.starts[:1])

    def path(self, start: Tensor | None) -> Explained:
        """F on the path from one baseline."""
        return Explained(self.embeddings, self.target, start, self.should_stop)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """F(x), and F(x') of the first baseline, in one forward."""
        with torch.no_grad():
            text, baseline = self.explained(torch.tensor([1.0, 0.0])).cpu().double()
        return float(text), float(baseline)

    @property
    def value(self) -> float:
        """F(x)."""
        return self._ends[0]

    @cached_property
    def baseline_value(self) -> float:
        """F(x'), the mean over a set of baselines."""
        if self.starts is None:
            return float("nan")
        return float(np.mean([self._ends[1], *(self.path(start[None]).value(0.0) for start in self.starts[1:])]))

    def rows(self, wanted: int | None = None) -> int:
        """How many copies of the text are run at a time."""
        return wanted or max(1, min(ROWS, TOKENS // self.batch.input_ids.shape[1]))

    def gradients(self, points: Tensor) -> Tensor:
        """dF/dx at points (point, token, width), float64, by Captum; half as many at a time when memory runs out."""
        captum = Saliency(self.explained.of)

        def work(size: int) -> Tensor:
            parts = [part.detach().clone().requires_grad_() for part in points.split(size)]
            return torch.cat([captum.attribute(part, abs=False).detach().cpu().double() for part in parts])

        return halving(work, self.rows())

    def over_baselines(self, scores: Callable[[Explained], Tensor]) -> Tensor:
        """The mean, float64 (token,), of what a method with one baseline gives for each baseline of the set."""
        assert self.starts is not None
        return torch.stack([scores(self.path(start[None])).cpu().double() for start in self.starts]).mean(dim=0)


def ask(
    model: NeuronModel,
    text: Text,
    target: Any = None,
    position: int | None = None,
    of: Neuron | str | None = None,
    target_text: Text | None = None,
    should_stop: StopFlag | None = None,
) -> Asked:
    """The question without a baseline."""
    batch = encoded(model, text, target_text)
    return Asked(
        model, batch, explained_target(model, batch, target, position, of), WordEmbeddings(model, batch), should_stop
    )


def from_baseline(asked: Asked, baseline: Baseline, seed: int = 0) -> Asked:
    """The question with one baseline, or a set."""
    asked.baseline, asked.starts = baseline_embeddings(asked.embeddings, baseline, seed)
    return asked


def answer(
    asked: Asked,
    method: str,
    scores: Tensor,
    *,
    complete: bool = False,
    remarks: list[Remark] | None = None,
    group: Groups | None = None,
    seed: int | None = None,
    **parameters: Any,
) -> Attribution:
    """The result of scores per token, (token,); with `complete` they claim to sum to F(x) - F(x').

    Raises ValueError for NaN.
    """
    array = numbers(scores, method, asked.target, asked.value)
    found = saturation(asked.target, asked.value)
    if asked.starts is not None and all(torch.equal(start, asked.text[0]) for start in asked.starts):
        found.append(
            ("own_baseline", f"The text is its own baseline ({asked.baseline}): there is nothing to attribute.")
        )
    elif not array.any() and not any(badge == "all_zero" for badge, _ in remarks or []):
        on_path = f"between {asked.baseline} and this text" if asked.starts is not None else "at this text"
        found.append(("all_zero", f"All scores are 0: {on_path} the {asked.target.name} does not change."))
    error, absolute = completeness(asked, float(scores.sum())) if complete else (None, None)
    found += remarks or []
    shown = {} if asked.baseline is None else {"baseline": asked.baseline}
    result = Attribution(
        scores=array,
        tokens=tokens_of(asked.model, asked.batch),
        target=asked.target.name,
        baseline=asked.baseline,
        value=asked.value,
        baseline_value=asked.baseline_value,
        completeness_error=error,
        completeness_absolute=absolute,
        warnings=tuple(sentence for _, sentence in found),
        badges=tuple(badge for badge, _ in found),
        provenance=asked.model.provenance(
            method, site="word embeddings", target=asked.target.name, seed=seed, **shown, **parameters
        ),
    )
    return result if group is None else result.grouped(group)


def completeness(asked: Asked, total: float) -> tuple[float, float]:
    """The completeness error of a sum of scores, relative to F(x) - F(x') and absolute."""
    difference = asked.value - asked.baseline_value
    absolute = abs(total - difference)
    return absolute / max(abs(difference), FLOOR * max(1.0, abs(asked.value))), absolute


def incomplete(asked: Asked, scores: Tensor, reason: str) -> list[Remark]:
    """The remark on scores that should sum to F(x) - F(x') and do not, because of `reason`."""
    error, _ = completeness(asked, float(scores.sum()))
    if error <= TOLERANCE:
        return []
    return [("incomplete", f"The scores miss F(x) - F(x') by {error:.0%}: {reason}.")]


def few_steps(error: float, n_steps: int, error_with: Callable[[int], float]) -> list[Remark]:
    """The remark on a path integral that misses F(x) - F(x'): how many steps would do, tried by doubling twice."""
    if not error > TOLERANCE:
        return []
    said = f"The scores miss F(x) - F(x') by {error:.0%} with n_steps={n_steps}"
    again = error
    for steps in (2 * n_steps, 4 * n_steps):
        again = error_with(steps)
        if again <= TOLERANCE:
            return [("few_steps", f"{said}; with n_steps={steps} it is {again:.1%}.")]
    return [
        (
            "incomplete",
            f"{said} and still by {again:.0%} with {4 * n_steps}: take another baseline, or many more steps.",
        )
    ]
