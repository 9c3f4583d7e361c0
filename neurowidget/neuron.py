"""Names of neurons and of the places they live in: `L5.mlp[131]`, `decoder.L2.mlp[7]`, `L5.mlp`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import overload

_ADDRESS = re.compile(r"^(?:(?P<stack>encoder|decoder)\.)?L(?P<layer>\d+)\.(?P<site>[a-z_]+)(?:\[(?P<index>\d+)\])?$")


@dataclass(frozen=True, slots=True)
class LayerSite:
    """One site of one layer, all its neurons: prints and parses as `L5.mlp` or `decoder.L2.mlp`."""

    layer: int
    site: str = "mlp"
    stack: str | None = None

    def __str__(self) -> str:
        return f"{self.stack + '.' if self.stack else ''}L{self.layer}.{self.site}"

    @classmethod
    def parse(cls, text: str) -> LayerSite:
        """Read `L5.mlp`; raises ValueError for anything else."""
        match = _ADDRESS.match(text.strip())
        if match is None or match["index"] is not None:
            raise ValueError(f"expected a layer and site such as 'L5.mlp' or 'decoder.L2.attention', got {text!r}")
        return cls(int(match["layer"]), match["site"], match["stack"])


@dataclass(frozen=True, slots=True)
class Neuron:
    """One neuron: its layer (from 0), its index within the site (from 0), its site and, for seq2seq, its stack."""

    layer: int
    index: int
    site: str = "mlp"
    stack: str | None = None

    def __str__(self) -> str:
        return f"{self.address}[{self.index}]"

    @property
    def address(self) -> LayerSite:
        """The layer and site that the neuron belongs to."""
        return LayerSite(self.layer, self.site, self.stack)

    @classmethod
    def parse(cls, text: str) -> Neuron:
        """Read `L5.mlp[131]` or `decoder.L2.mlp[7]`; raises ValueError for anything else."""
        match = _ADDRESS.match(text.strip())
        if match is None or match["index"] is None:
            raise ValueError(f"expected a neuron such as 'L5.mlp[131]' or 'decoder.L2.mlp[7]', got {text!r}")
        return cls(int(match["layer"]), int(match["index"]), match["site"], match["stack"])


@overload
def as_neuron(value: Neuron) -> Neuron: ...
@overload
def as_neuron(value: str) -> Neuron: ...
def as_neuron(value: Neuron | str) -> Neuron:
    """The neuron that `value` names: a Neuron or a string such as `L5.mlp[131]`."""
    if isinstance(value, Neuron):
        return value
    if isinstance(value, str):
        return Neuron.parse(value)
    raise TypeError(f"expected a Neuron or a string such as 'L5.mlp[131]', got {type(value).__name__}: {value!r}")
