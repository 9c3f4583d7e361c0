"""All neurons of a site at once: layers x neurons, and tokens x neurons of one layer."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import traitlets as t

from neurowidget.export import arrays
from neurowidget.neuron import Neuron
from neurowidget.results import Activations, Attribution, Effects
from neurowidget.widgets import wire
from neurowidget.widgets.base import View
from neurowidget.widgets.token_strip import checked_token

DEFAULT_VIEW = {"tab": "model", "layer": 0, "sort": "index", "color": "activation", "range": "text"}


class NeuronHeatmap(View):
    """Activations, neuron attributions or effects as a heatmap; click a cell to select its neuron."""

    stem: ClassVar[str] = "neuron-heatmap"
    height: ClassVar[int] = 620

    selected_neuron = t.Unicode(None, allow_none=True).tag(sync=True)
    """The selected neuron, such as `L5.mlp[131]`, or None."""
    selected_token = t.Int(None, allow_none=True).tag(sync=True)
    """Index of the selected token, or None."""
    view = t.Dict(DEFAULT_VIEW).tag(sync=True)
    """Which tab, layer, order, colour and range is shown."""
    _model = t.Dict().tag(sync=True)
    _tokens = t.Dict(None, allow_none=True).tag(sync=True)
    _matrix = t.Dict().tag(sync=True)
    _matrix_info = t.Dict().tag(sync=True)
    _preview = t.Dict().tag(sync=True)

    def __init__(
        self, result: Activations | Effects | Attribution, site: str | None = None, dtype: str = "float16"
    ) -> None:
        values, layers, site, info = _matrix_of(result, site)
        stack, _, bare = site.rpartition(".")
        tokens = result.tokens if isinstance(result, Activations) else None
        if tokens is not None and stack == "decoder":
            tokens = result.decoder_tokens  # type: ignore[union-attr]
        flat = arrays.signed_max(values, axis=1) if values.ndim == 3 else values
        super().__init__(
            _model={
                "name": result.provenance.model,
                "hash": result.provenance.weights_hash[:12],
                "site": bare,
                "stack": stack or None,
                "layers": [int(layer) for layer in layers],
                "width": int(values.shape[-1]),
            },
            _tokens=None if tokens is None else wire.tokens(tokens),
            _matrix=arrays.encode(values, dtype),
            _matrix_info=info,
            _preview=arrays.preview(flat),
            view=DEFAULT_VIEW | {"layer": int(layers[0]), "color": "activation" if values.ndim == 3 else "effect"},
        )

    @t.validate("selected_token")
    def _token_in_range(self, proposal: t.Bunch) -> int | None:
        return checked_token(proposal["value"], len((self._tokens or {}).get("pieces", ())))

    @t.validate("selected_neuron")
    def _neuron_exists(self, proposal: t.Bunch) -> str | None:
        return checked_neuron(proposal["value"], self._model)


def checked_neuron(value: str | None, model: dict[str, Any]) -> str | None:
    """The canonical name of a neuron that the view shows, or None; raises TraitError otherwise."""
    if value is None or not model:
        return value
    try:
        neuron = Neuron.parse(value)
    except ValueError as error:
        raise t.TraitError(str(error)) from error
    same_place = neuron.site == model["site"] and neuron.stack == model.get("stack")
    if not same_place or neuron.layer not in model["layers"] or neuron.index >= model["width"]:
        layers, width = model["layers"], model["width"]
        shown = f"{model['site']} neurons 0 to {width - 1} of layers {layers[0]} to {layers[-1]}"
        raise t.TraitError(f"{value} is not among the neurons of this view: {shown}")
    return str(neuron)


def _matrix_of(result: Any, site: str | None) -> tuple[np.ndarray, tuple[int, ...], str, dict[str, Any]]:
    if isinstance(result, Activations):
        chosen = site or next(iter(result.values))
        return (
            result[chosen],
            result.layers[chosen],
            chosen,
            {"name": "activation", "of": "", "signed": True, "unit": ""},
        )
    if isinstance(result, Effects):
        info = {
            "name": "effect",
            "of": f"removing it ({result.ablation}) on {result.target}",
            "signed": True,
            "unit": "",
        }
        return (
            result.values,
            result.layers,
            f"{result.stack + '.' if result.stack else ''}{result.site}",
            info,
        )
    if isinstance(result, Attribution) and result.layers is not None:
        info = {
            "name": result.provenance.method.replace("_", " "),
            "of": result.target,
            "signed": True,
            "unit": "",
        }
        return result.scores, result.layers, result.provenance.site, info
    raise TypeError(f"NeuronHeatmap shows Activations, Effects or a neuron Attribution, got {type(result).__name__}")
