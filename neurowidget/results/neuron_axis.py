"""An axis of neurons: those of several sites one after the other, each with its width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurowidget.neuron import LayerSite, Neuron, as_neuron
from neurowidget.results.base import Result


def neuron_at(sites: Sequence[str], widths: Sequence[int], place: int) -> Neuron:
    """The neuron at a place of the axis of `sites` ("L0.mlp", "L1.mlp", ...); raises IndexError outside of it."""
    ends = np.cumsum(widths)
    if not 0 <= place < sum(widths):
        raise IndexError(f"there are neurons 0 to {sum(widths) - 1}, no place {place}")
    which = int(np.searchsorted(ends, place, side="right"))
    address = LayerSite.parse(sites[which])
    return Neuron(address.layer, int(place - (ends[which] - widths[which])), address.site, address.stack)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class OverNeurons(Result):
    """A result with an axis of neurons: those of `sites` ("L0.mlp", "L1.mlp", ...), each with its width, in order."""

    sites: tuple[str, ...]
    widths: tuple[int, ...]

    absent: ClassVar[str] = "is not here; here are"

    @property
    def count(self) -> int:
        """How many neurons there are."""
        return sum(self.widths)

    def neuron_at(self, place: int) -> Neuron:
        """The neuron at a place of the neuron axis; raises IndexError outside of it."""
        return neuron_at(self.sites, self.widths, place)

    def place_of(self, neuron: Neuron | str) -> int:
        """Where on the neuron axis a neuron stands; raises IndexError when it is not there."""
        n = as_neuron(neuron)
        if str(n.address) in self.sites:
            which = self.sites.index(str(n.address))
            if n.index < self.widths[which]:
                return sum(self.widths[:which]) + n.index
        raise IndexError(f"{n} {self.absent} the neurons of {', '.join(self.sites)}")
