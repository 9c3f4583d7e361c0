"""The neurons of sites on the path from a baseline to a text: their values, and dF/dvalue, in one pass for all layers.

Each site has a `seam`, an `nn.Identity` that its value, (row, token, width), passes through: that is the layer which
Captum's layer methods are given, so they hook nothing of the model, whatever module, argument or call a site is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from neurowidget.analysis.attribution.asked import FLOOR, Asked, Remark
from neurowidget.analysis.attribution.explained_text import numbers, saturation
from neurowidget.models import hooks
from neurowidget.models.context import Context
from neurowidget.models.display import tokens_of
from neurowidget.neuron import LayerSite, as_neuron
from neurowidget.results.attribution import Attribution

if TYPE_CHECKING:
    from neurowidget.neuron import Neuron

Found = dict[LayerSite, tuple[Tensor, Tensor]]


@dataclass(eq=False)
class AtSites:
    """F of word embeddings, (row, token, width) to (row,), with a seam at each site."""

    asked: Asked
    sites: Sequence[LayerSite]
    channels_first: bool = False  # the seams see (row, width, token), as Captum's GradCAM wants it
    seams: dict[LayerSite, nn.Identity] = field(init=False)

    def __post_init__(self) -> None:
        self.seams = {site: nn.Identity() for site in self.sites}

    def __call__(self, values: Tensor) -> Tensor:
        with self._editing({site: self._through(seam) for site, seam in self.seams.items()}):
            return self.asked.explained.of(values)

    def values_and_gradients(self, points: Tensor) -> Found:
        """The value of each site and dF/dvalue, (point, token, width), at points (point, token, embedding)."""
        passed: dict[LayerSite, Tensor] = {}

        def keep(site: LayerSite) -> hooks.Edit:
            def edit(value: Tensor, context: Context) -> Tensor:
                passed[site] = value.view_as(value)
                return passed[site]

            return edit

        with torch.enable_grad():
            with self._editing({site: keep(site) for site in self.sites}):
                total = self.asked.explained.of(points.detach().clone().requires_grad_()).sum()
            chosen = [passed[site] for site in self.sites]
            gradients = (
                torch.autograd.grad(total, chosen, allow_unused=True) if total.requires_grad else [None] * len(chosen)
            )
        return {
            site: (value.detach(), torch.zeros_like(value) if gradient is None else gradient)
            for site, value, gradient in zip(self.sites, chosen, gradients, strict=True)
        }

    def values(self, points: Tensor) -> dict[LayerSite, Tensor]:
        """The value of each site at points (point, token, embedding)."""
        found: dict[LayerSite, Tensor] = {}
        with torch.no_grad(), hooks.recording(self.asked.model, list(self.sites), found.__setitem__):
            self.asked.explained.of(points)
        return {site: found[site].clone() for site in self.sites}

    def with_value(self, site: LayerSite, value: Tensor, points: Tensor) -> Tensor:
        """F at points where a site has the given value, (point, token, width)."""
        with self._editing({site: lambda old, context: value.view_as(old)}):
            return self.asked.explained.of(points)

    def _through(self, seam: nn.Identity) -> hooks.Edit:
        def edit(value: Tensor, context: Context) -> Tensor:
            # An alias in the graph: the value itself may be seen through a view that the model does not use (OPT).
            alias = value.view_as(value)
            passed: Tensor = seam(alias.transpose(1, 2)).transpose(1, 2) if self.channels_first else seam(alias)
            return passed

        return edit

    def _editing(self, edits: Mapping[LayerSite, hooks.Edit]) -> AbstractContextManager[object]:
        return hooks.editing(self.asked.model, edits)


def summed(value: Tensor) -> Tensor:
    """(row, token, width) to (width,), float64: over what there is of rows and tokens."""
    return value.detach().cpu().double().flatten(0, -2).sum(dim=0)


def path_points(asked: Asked, alphas: Sequence[float]) -> Tensor:
    """The points x' + alpha (x - x'), (point, token, width), on the path from the first baseline."""
    assert asked.starts is not None
    start = asked.starts[:1]
    at = torch.tensor(list(alphas)).to(start)[:, None, None]
    return start + at * (asked.text - start)


def is_cut(asked: Asked, sites: Sequence[LayerSite], of: Neuron | str | None) -> bool:
    """Whether all that reaches F from the word embeddings passes through each of these sites alone.

    So it is for what a block writes out, residual, and for the embedding, unless the explained neuron lies below or a
    decoder's block is passed by the encoder's output.
    """
    above = as_neuron(of) if of is not None else None
    return all(
        site.site in ("residual", "embed")
        and (site.stack != "decoder" or not asked.model.has_decoder)
        and (above is None or above.stack != site.stack or site.site == "embed" or site.layer < above.layer)
        for site in sites
    )


def no_cut(sites: Sequence[LayerSite], share: float) -> Remark:
    """The remark on scores of a site that the residual stream goes around."""
    return (
        "no_cut",
        f"{sites[0].site} is no cut: the residual stream goes around it, so its scores need not sum to F(x) - F(x') "
        f"(the layer that comes nearest has {share:.0%} of it).",
    )


def answer_neurons(
    asked: Asked,
    method: str,
    scores: Tensor,
    sites: Sequence[LayerSite],
    *,
    expected: Sequence[float] | None = None,
    remarks: Callable[[float], list[Remark]] | list[Remark] | None = None,
    seed: int | None = None,
    target: str | None = None,
    **parameters: Any,
) -> Attribution:
    """The result of scores (layer, neuron); `expected` is what each layer claims to sum to. Raises ValueError for NaN."""
    site = f"{sites[0].stack}.{sites[0].site}" if sites[0].stack else sites[0].site
    name = asked.target.name if target is None else target
    array = numbers(scores, method, asked.target, asked.value)
    found = saturation(asked.target, asked.value)
    if asked.starts is not None and all(torch.equal(start, asked.text[0]) for start in asked.starts):
        found.append(
            ("own_baseline", f"The text is its own baseline ({asked.baseline}): there is nothing to attribute.")
        )
    elif not array.any():
        found.append(("all_zero", f"All scores are 0: at this text the {name} does not depend on {site}."))
    error = absolute = None
    if expected is not None:
        misses = [abs(float(row.sum()) - wanted) for row, wanted in zip(scores, expected, strict=True)]
        floor = FLOOR * max(1.0, abs(asked.value))
        relative = [miss / max(abs(wanted), floor) for miss, wanted in zip(misses, expected, strict=True)]
        error, absolute = max(relative), max(misses)
    found += (remarks(error or 0.0) if callable(remarks) else remarks) or []
    shown = {} if asked.baseline is None else {"baseline": asked.baseline}
    return Attribution(
        scores=array,
        tokens=tokens_of(asked.model, asked.batch),
        target=name,
        baseline=asked.baseline,
        value=asked.value,
        baseline_value=asked.baseline_value,
        completeness_error=error,
        completeness_absolute=absolute,
        layers=tuple(site.layer for site in sites),
        warnings=tuple(sentence for _, sentence in found),
        badges=tuple(badge for badge, _ in found),
        provenance=asked.model.provenance(method, site=site, target=name, seed=seed, **shown, **parameters),
    )


@contextmanager
def alone(asked: Asked) -> Iterator[None]:
    """No other thread runs the model meanwhile: for methods of Captum that hook its modules."""
    with asked.model.lock:
        yield
