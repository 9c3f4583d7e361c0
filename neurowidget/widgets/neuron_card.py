"""One neuron over a corpus: where its values lie, what it fires on, what it may stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import traitlets as t

from neurowidget.export import neuron_cards
from neurowidget.export.neuron_cards import Card
from neurowidget.export.snapshot import Snapshot
from neurowidget.neuron import Neuron
from neurowidget.results.examples import Examples
from neurowidget.results.explanations import Explanation
from neurowidget.widgets.base import status
from neurowidget.widgets.noted import NotedView, NotesLike

DEFAULT_VIEW = {"group": "top", "context": 5}
SAVED_CARDS = 24  # of the neurons that were looked at last: what a page holds when nothing else is asked for


class NeuronCard(NotedView):
    """The card of a neuron from `examples`, with a chooser of neurons: type one, or a word that it fires on.

    `explanations` of any neurons are shown with their held-out score and the random neurons beside it. `notes` is a
    path or Notes: what is written on a card is kept there. `selected_neuron` is read and written by both sides.
    """

    stem: ClassVar[str] = "neuron-card"
    height: ClassVar[int] = 720

    selected_neuron = t.Unicode(None, allow_none=True).tag(sync=True)
    """The neuron that is shown, such as `L5.mlp[131]`."""
    view = t.Dict(DEFAULT_VIEW).tag(sync=True)
    """Which group of examples is shown ("top", ..., or "all"), and how many tokens of context (0: all)."""
    _source = t.Dict().tag(sync=True)
    _neurons = t.List(t.Unicode(), None, allow_none=True).tag(sync=True)
    _card: Any = t.Dict(None, allow_none=True).tag(sync=True)
    _cards = t.Dict().tag(sync=True)

    def __init__(
        self,
        examples: Examples | None,
        neuron: Neuron | str | None = None,
        *,
        explanations: Iterable[Explanation] = (),
        notes: NotesLike = None,
    ) -> None:
        if examples is not None and not isinstance(examples, Examples):
            raise TypeError(f"NeuronCard shows Examples (nw.top_examples), got {type(examples).__name__}")
        self._examples, self._explanations = examples, neuron_cards.by_neuron(explanations)
        self._kept: dict[str, Card] = {}  # those that were looked at last
        self._saved: dict[str, Card] = {}  # those that a page is being written with
        names = neuron_cards.names_of(examples, self._explanations)
        empty = names == []
        super().__init__(
            view=dict(DEFAULT_VIEW),
            _source=neuron_cards.source_of(examples, self._explanations),
            _neurons=names,
            _status=status("empty" if empty else "ready"),
        )
        self._handlers |= {"card": self._card_command, "index": lambda _: self._index, "note": self._note_command}
        self.keep_notes(notes)
        self.observe(self._on_neuron, "selected_neuron")
        if neuron is not None or not empty:
            self.selected_neuron = str(neuron) if neuron is not None else self._first()

    def _first(self) -> str:
        return next(iter(self._explanations)) if self._explanations else str(self._examples.neurons[0])  # type: ignore[union-attr]

    def card(self, neuron: Neuron | str) -> Card:
        """The card of a neuron as the view gets it; raises IndexError when it is not here."""
        name = self._checked(str(neuron))
        kept = self._kept.pop(name, None)
        self._kept[name] = kept or self._made(name)
        while len(self._kept) > SAVED_CARDS:
            del self._kept[next(iter(self._kept))]
        return self._kept[name]

    def _made(self, name: str) -> Card:
        return neuron_cards.card_of(self._examples, name, self._explanations.get(name, ()))

    def to_html(
        self,
        path: str | Path,
        *,
        title: str | None = None,
        precision: str = "uint8",
        neurons: Sequence[Neuron | str] = (),
    ) -> Path:
        """Write one offline page with the cards of `neurons`, and of those that were looked at last.

        For hundreds of neurons there is `nw.report`.
        """
        names = [self._checked(str(neuron)) for neuron in neurons]
        self._saved = {name: self._made(name) for name in names}
        try:
            return super().to_html(path, title=title, precision=precision)
        finally:
            self._saved = {}

    def snapshot(self, precision: str = "uint8") -> Snapshot:
        made = super().snapshot(precision)
        cards = {**self._saved, **self._kept}
        total = len(self._explanations) if self._examples is None else len(self._examples)
        said = f"{len(cards)} of {total:,} neurons are on this page; nw.report writes them all."
        notes = [*self._notes, said] if len(cards) < total else list(self._notes)
        state = {"_cards": cards, "_card": None, "_neurons": sorted(cards, key=_place), "_notes": notes}
        return replace(made, state={**made.state, **state})

    @cached_property
    def _index(self) -> dict[str, Any]:
        count = 0 if self._examples is None else len(self._examples)
        return neuron_cards.index_of(self._examples, range(count), self._explanations)

    def _checked(self, name: str) -> str:
        canonical = str(Neuron.parse(name))
        if self._examples is None:
            if canonical not in self._explanations:
                raise IndexError(f"{canonical} is not here: the explanations are about {', '.join(self._explanations)}")
        else:
            self._examples.row(canonical)
        return canonical

    @t.validate("selected_neuron")
    def _neuron_exists(self, proposal: t.Bunch) -> str | None:
        if proposal["value"] is None:
            return None
        try:
            return self._checked(str(proposal["value"]))
        except (ValueError, IndexError) as error:
            raise t.TraitError(str(error)) from error

    @t.validate("view")
    def _view_is_whole(self, proposal: t.Bunch) -> dict[str, Any]:
        return DEFAULT_VIEW | dict(proposal["value"])

    def _on_neuron(self, change: t.Bunch) -> None:
        with self.showing_errors(), self.publishing():
            self._card = None if self.selected_neuron is None else self.card(self.selected_neuron)
            self.last_error, self._status = None, status("ready")

    def _card_command(self, message: Mapping[str, Any]) -> Card:
        return self.card(str(message.get("neuron")))


def _place(name: str) -> tuple[int, int]:
    neuron = Neuron.parse(name)
    return neuron.layer, neuron.index
