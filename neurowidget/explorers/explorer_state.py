"""The state of the neuron explorer: its traits, and what they may hold."""

from __future__ import annotations

from typing import Any, ClassVar

import traitlets as t

from neurowidget.models.interventions import from_json
from neurowidget.widgets.neuron_heatmap import DEFAULT_VIEW, checked_neuron
from neurowidget.widgets.noted import NotedView
from neurowidget.widgets.token_strip import checked_token

MAX_TEXT = 100_000
MAX_INTERVENTIONS = 200


class ExplorerState(NotedView):
    """Public traits are read and written by both sides, the others by Python only (ARCHITECTURE.md, Wire)."""

    stem: ClassVar[str] = "neuron-explorer"
    height: ClassVar[int] = 1040

    text = t.Unicode().tag(sync=True)
    """The text that is looked at; setting it runs the model."""
    selected_token = t.Int(None, allow_none=True).tag(sync=True)
    """Index of the selected token of the answered text, or None."""
    selected_neuron = t.Unicode(None, allow_none=True).tag(sync=True)
    """The selected neuron, such as `L5.mlp[131]`, or None."""
    pinned_neurons = t.List(t.Unicode()).tag(sync=True)
    """Neurons that are kept at hand."""
    interventions = t.List(t.Dict()).tag(sync=True)
    """What is changed: `{"kind": "ablate" | "set" | "scale", "neuron": ..., "how"?: "mean" | "zero", "value"?: number}`."""
    target = t.Unicode("auto").tag(sync=True)
    """What is explained: "auto", a class or token, "POS - NEG", or a neuron."""
    view = t.Dict(DEFAULT_VIEW).tag(sync=True)
    """Which tab, layer, order, colour and range is shown."""

    _model = t.Dict().tag(sync=True)
    _tokens = t.Dict().tag(sync=True)
    _activations = t.Dict().tag(sync=True)
    _preview = t.Dict().tag(sync=True)
    _attribution: Any = t.Dict(None, allow_none=True).tag(sync=True)
    _effects: Any = t.Dict(None, allow_none=True).tag(sync=True)
    _spread: Any = t.Dict(None, allow_none=True).tag(sync=True)
    _before: Any = t.Dict(None, allow_none=True).tag(sync=True)
    _after: Any = t.Dict(None, allow_none=True).tag(sync=True)
    _card: Any = t.Dict(None, allow_none=True).tag(sync=True)
    _cards = t.Dict().tag(sync=True)
    _text_answered = t.Unicode().tag(sync=True)
    _code = t.Unicode().tag(sync=True)
    _held_out_name = t.Unicode().tag(sync=True)
    _legend = t.Dict().tag(sync=True)
    _prompts = t.List(t.Unicode()).tag(sync=True)

    @t.validate("text")
    def _text_fits(self, proposal: t.Bunch) -> str:
        if len(proposal["value"]) > MAX_TEXT:
            raise t.TraitError(
                f"text has {len(proposal['value'])} characters, at most {MAX_TEXT} are read here: use nw.extract"
            )
        return str(proposal["value"])

    @t.validate("selected_token")
    def _token_in_range(self, proposal: t.Bunch) -> int | None:
        return checked_token(proposal["value"], len(self._tokens.get("pieces", ())))

    @t.validate("selected_neuron")
    def _neuron_exists(self, proposal: t.Bunch) -> str | None:
        return checked_neuron(proposal["value"], self._model)

    @t.validate("pinned_neurons")
    def _pins_exist(self, proposal: t.Bunch) -> list[str]:
        return [checked_neuron(name, self._model) or name for name in proposal["value"][:50]]

    @t.validate("interventions")
    def _interventions_are_sound(self, proposal: t.Bunch) -> list[dict[str, Any]]:
        items = [dict(item) for item in proposal["value"]]
        if len(items) > MAX_INTERVENTIONS:
            raise t.TraitError(f"{len(items)} interventions, at most {MAX_INTERVENTIONS} at once here")
        for item in items:
            try:
                from_json(item)
                checked_neuron(item["neuron"], self._model)
            except (ValueError, TypeError, KeyError) as error:
                raise t.TraitError(f"intervention {item!r}: {error}") from error
        return items

    @t.validate("view")
    def _view_is_whole(self, proposal: t.Bunch) -> dict[str, Any]:
        return DEFAULT_VIEW | dict(proposal["value"])
