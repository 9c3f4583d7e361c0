"""What is exchanged at once in a layer: all of a site, one attention head, or one neuron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from neurowidget.analysis.statistics.site_gradients import layers_of_site
from neurowidget.models.edits import width_of
from neurowidget.models.heads import head_columns, head_count
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

Part = Literal["layer", "head", "neuron"]
WHOLE_SITES = ("residual", "attention", "mlp", "cross_attention", "embed")


@dataclass(frozen=True)
class Parts:
    """The parts of each layer of `sites`: `count` of them, which together are `width` neurons."""

    sites: tuple[LayerSite, ...]
    part: Part
    count: int
    width: int

    @property
    def stack(self) -> str | None:
        return self.sites[0].stack

    @property
    def shape(self) -> tuple[int, int]:
        """(layer, part)."""
        return len(self.sites), self.count

    def columns(self, number: int) -> slice:
        """The neurons of one part."""
        return head_columns(self.width, self.count, number)


def parts_of(model: NeuronModel, site: str, layers: Sequence[int] | None = None) -> Parts:
    """Read a site: "residual", "attention", "mlp" (a layer at once), "heads" or "neurons" (of the mlp), each one alone.

    A seq2seq model takes "decoder.heads" too. Raises ValueError for anything else and for what the model has not.
    """
    stack, _, name = site.rpartition(".")
    where = {"heads": "attention", "neurons": "mlp"}.get(name, name)
    if where not in WHOLE_SITES:
        raise ValueError(f"no site {site!r}: expected {', '.join(map(repr, WHOLE_SITES[:3]))}, 'heads' or 'neurons'")
    sites = layers_of_site(model, f"{stack}.{where}" if stack else where, layers)
    width = width_of(model, sites[0])
    if name == "heads":
        return Parts(sites, "head", head_count(model, sites[0]), width)
    return Parts(sites, "neuron", width, width) if name == "neurons" else Parts(sites, "layer", 1, width)
