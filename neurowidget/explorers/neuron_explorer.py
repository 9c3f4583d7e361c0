"""Type a sentence, see every neuron, click one, switch it off."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import traitlets as t

from neurowidget.explorers import code
from neurowidget.explorers import targets as explorer_targets
from neurowidget.explorers.analysis_steps import Analysis, ShouldStop, analyse
from neurowidget.explorers.cards import Card, Evidence
from neurowidget.explorers.corpus_sample import CorpusSample
from neurowidget.explorers.explorer_state import ExplorerState
from neurowidget.explorers.payload import (
    checked_examples,
    corpus_of,
    prompts,
    spread_of,
    wire_activations,
    wire_effects,
    wire_spread,
)
from neurowidget.explorers.worker import Job, Step, Steps, Worker
from neurowidget.export import arrays
from neurowidget.export.neuron_cards import by_neuron
from neurowidget.export.snapshot import Snapshot
from neurowidget.extraction.corpus import Corpus
from neurowidget.models.interventions import from_json
from neurowidget.models.loading import NeuronModel, load_model
from neurowidget.neuron import Neuron
from neurowidget.results import Activations, Attribution
from neurowidget.results.examples import Examples
from neurowidget.results.explanations import Explanation
from neurowidget.widgets import wire
from neurowidget.widgets.base import status
from neurowidget.widgets.neuron_heatmap import DEFAULT_VIEW, checked_neuron
from neurowidget.widgets.noted import NotesLike

MAX_CARDS = 200
URGENT, INTERACTIVE, BACKGROUND = 0, 1, 2


class NeuronExplorer(ExplorerState):
    """All neurons of one site for one text, live and linked: text, tokens, heatmaps, the card of a neuron, interventions.

    `corpus` (texts or a Corpus) gives the densities, examples and held-out effects; without one the bundled sample is
    used, and the view says so. `examples` (nw.top_examples) give the densities and examples of their own corpus instead, at
    once, and `explanations` what the neurons may stand for; `notes` is a path or Notes, where what is written on a card is
    kept. `reference` are the texts of mean ablation (1,000 tokens or more; None: the bundled ones).
    Work runs on a background thread: `wait()` blocks until it is done, Cancel or an interrupt of the cell stops it.
    """

    def __init__(
        self,
        model: NeuronModel | str | Any,
        text: str = "",
        *,
        site: str = "mlp",
        target: str = "auto",
        corpus: Corpus | Sequence[str] | None = None,
        examples: Examples | None = None,
        explanations: Iterable[Explanation] = (),
        notes: NotesLike = None,
        reference: Sequence[str] | None = None,
        held_out: int = 32,
        dtype: str = "float16",
    ) -> None:
        self.model = model if isinstance(model, NeuronModel) else load_model(model)
        if site.rpartition(".")[0] == "decoder":
            raise ValueError(
                f"NeuronExplorer shows the encoder or a decoder-only model, "
                f"got site={site!r}; use nw.extract(..., targets=) for a decoder"
            )
        self.site, self._dtype, self._held_out, self._reference = site, dtype, held_out, reference
        self._analysis: Analysis | None = None
        layers = tuple(range(self.model.num_layers)) if site.rpartition(".")[2] != "embed" else (0,)
        # With examples of every neuron the sample's activations are not needed, its texts are: for held-out effects.
        self._covered = checked_examples(examples, self.model, site, layers)
        self._layers, self._corpus_texts, said, name = layers, *corpus_of(self.model, corpus, self._covered)
        self._corpus_name = name
        self._sample = CorpusSample(self.model, self._corpus_texts, site, layers, name, without=text)
        self._evidence = Evidence(self._sample, examples, by_neuron(explanations))
        self._worker = Worker(self._on_status, self.show_error)
        stack, _, bare = site.rpartition(".")
        super().__init__(
            target=target,
            view=DEFAULT_VIEW | {"layer": layers[-1]},
            _notes=said,
            _status=status("empty" if not text else "running", what="" if not text else "reading the text"),
            _held_out_name=name,
            _prompts=prompts(self.model),
            _model={
                "name": self.model.name,
                "family": self.model.family,
                "kind": self.model.kind,
                "site": bare,
                "stack": stack or None,
                "num_layers": len(layers),
                "layers": list(layers),
                "width": self.model.width(site),
                "classes": None if self.model.labels is None else list(self.model.labels),
                "targets": explorer_targets.offered(self.model, target),
                "hash": self.model.weights_hash[:12],
            },
        )
        self._handlers |= {
            "cancel": lambda _: self._worker.cancel(),
            "rerun": lambda _: self._submit_text(),
            "card": self._card_command,
            "note": self._note_command,
            "export": lambda _: {"html": self.html_page(), "name": "neurowidget.html"},
        }
        self.observe(self._on_text, ["text", "target"])
        self.observe(self._on_interventions, "interventions")
        self.observe(self._on_neuron, "selected_neuron")
        self.observe(self._write_code, ["text", "target", "interventions", "selected_neuron", "selected_token"])
        self.keep_notes(notes)
        if self._covered:
            self._spread = spread_of(examples)  # type: ignore[arg-type]
        else:
            self._submit_sample()
        self.text = text
        self._write_code()

    # -- what a reader of the notebook calls ---------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> bool:
        """Block until nothing is computed any more; False on a time-out. Interrupting it stops the work."""
        return self._worker.wait(timeout)

    def cancel(self) -> None:
        """Stop what is being computed; what is finished stays."""
        self._worker.cancel()

    def precompute(self, neurons: Sequence[str | Neuron] | int = 24) -> None:
        """Make the cards of these neurons (or of the n with the strongest effects), so that they work in an exported page."""
        self.wait()
        wanted = self.strongest(neurons) if isinstance(neurons, int) else [str(n) for n in neurons]
        wanted = [checked_neuron(name, self._model) or "" for name in wanted]

        def steps(stop: ShouldStop) -> Steps:
            for number, name in enumerate(wanted[:MAX_CARDS]):
                yield number, len(wanted)
                if name not in self._cards:
                    self._keep(self._complete_card(Neuron.parse(name), stop))

        self._worker.submit("precompute", "making cards", steps, priority=BACKGROUND)
        self.wait()

    def strongest(self, count: int) -> list[str]:
        """The neurons with the largest effect on the target for this text, strongest first."""
        return [row["neuron"] for row in (self._effects or {}).get("top", [])[:count]]

    def effect_of(self, neuron: str | Neuron) -> float:
        """Effect of removing a neuron on the target for this text; raises ValueError before it is computed."""
        return self._finished().effects_or_raise().for_neuron(neuron)

    def card(self, neuron: str | Neuron) -> Card:
        """The card of a neuron, made now if it is not there yet."""
        name = checked_neuron(str(neuron), self._model) or ""
        if name not in self._cards:
            self.precompute([name])
        return dict(self._cards[name])

    def cards(self) -> list[str]:
        """The neurons whose cards are made."""
        return list(self._cards)

    @property
    def attribution(self) -> Attribution:
        """The token attribution of this text; raises ValueError before it is computed."""
        found = self._finished().attribution
        if found is None:
            raise ValueError("there is no attribution: the model has no head, or the work was stopped")
        return found

    @property
    def activations(self) -> Activations:
        """The activations of this text; raises ValueError before they are computed."""
        return self._finished().activations

    @property
    def prediction(self) -> dict[str, Any]:
        """The prediction as the view shows it, without interventions."""
        return dict(self._before or {})

    @property
    def changed_prediction(self) -> dict[str, Any]:
        """The prediction as the view shows it, under the interventions; empty when there are none."""
        return dict(self._after or {})

    def _finished(self) -> Analysis:
        if self._analysis is None:
            raise ValueError("nothing is computed yet: set text and call wait()")
        return self._analysis

    def to_html(self, path: str | Path, *, title: str | None = None, precision: str = "uint8", cards: int = 0) -> Path:
        """Write one offline page; `cards` neurons with the strongest effects get their full card first (see `precompute`)."""
        if cards:
            self.precompute(cards)
        return super().to_html(path, title=title, precision=precision)

    def snapshot(self, precision: str = "uint8") -> Snapshot:
        self.wait()
        return super().snapshot(precision)

    def close(self) -> None:
        """Stop the work and release the view."""
        if hasattr(self, "_worker"):  # not where the arguments were refused
            self._worker.cancel()
        super().close()

    def __repr__(self) -> str:
        return f"NeuronExplorer({self._model.get('name')!r}, {self.text[:60]!r}, site={self.site!r})"

    # -- traits --------------------------------------------------------------------------------------------------------

    def _on_text(self, change: t.Bunch) -> None:
        with self.showing_errors():
            if change["name"] == "target":
                self._model = self._model | {"targets": explorer_targets.offered(self.model, self.target)}
            self._submit_text()

    def _on_interventions(self, change: t.Bunch) -> None:
        with self.showing_errors():
            if not self.interventions:
                self._worker.submit("interventions", "", lambda stop: self._clear_after(), priority=URGENT)
            else:
                self._worker.submit("interventions", "changing neurons", self._after_steps, priority=URGENT)

    def _on_neuron(self, change: t.Bunch) -> None:
        with self.showing_errors():
            if self.selected_neuron is not None:
                self._show_quick_card()
                self._worker.submit(
                    "card", f"looking at {self.selected_neuron}", self._card_steps, priority=INTERACTIVE
                )

    def _write_code(self, change: t.Bunch | None = None) -> None:
        source = self.model.source
        chosen = (self.interventions, self.selected_neuron, self.selected_token)
        given = self._evidence.examples is not None
        self._code = code.reproduce(source, self.text, self.site, self.target, *chosen, examples=given)

    # -- jobs (on the worker's thread) ---------------------------------------------------------------------------------

    def _submit_text(self) -> None:
        if not self.text.strip():
            self._analysis = None
            with self.publishing():
                self._tokens, self._activations, self._preview = {}, {}, {}
                self._attribution = self._effects = self._before = self._after = self._card = None
                self._cards, self._text_answered, self.selected_token = {}, self.text, None
                self._status = status("empty")
            return
        self._worker.submit("text", "reading the text", self._text_steps, priority=INTERACTIVE)

    def _submit_sample(self) -> None:
        self._worker.submit(
            "sample",
            f"reading the corpus sample ({self._corpus_name})",
            self._sample_steps,
            priority=BACKGROUND,
        )

    def _text_steps(self, stop: ShouldStop) -> Steps:
        text, started = self.text, time.perf_counter()
        yield 0, 4
        options: dict[str, Any] = {"target": self.target, "reference": self._reference}
        options |= {"held_out": self._held_out, "should_stop": stop}
        steps = analyse(self.model, text, self.site, self._layers, self._evidence, **options)
        for number, analysis in enumerate(steps):
            self._analysis = analysis
            if number == 0:
                self._publish_text(analysis)
                if self.interventions:
                    self._on_interventions(t.Bunch())
                if self.selected_neuron is not None:
                    self._on_neuron(t.Bunch())
            else:
                self._publish_effects(analysis)
            seconds = round(time.perf_counter() - started, 2)
            self._legend = {
                "seconds": seconds,
                "method": analysis.method,
                "neurons": len(self._layers) * self.model.width(self.site),
            }
            yield number + 1, 4
        self._refresh_fallback()

    def _publish_text(self, analysis: Analysis) -> None:
        values = analysis.activations[self.site]
        with self.publishing():
            self.last_error = None
            self._tokens = wire.tokens(analysis.activations.tokens)
            self._activations = wire_activations(values, self._dtype)
            self._preview = arrays.preview(arrays.signed_max(values, axis=1))
            self._before = analysis.before
            self._after = self._attribution = self._effects = self._card = None
            self._cards = {}
            self._text_answered = analysis.text
            if self.selected_token is not None and self.selected_token >= len(analysis.activations.tokens):
                self.selected_token = None

    def _publish_effects(self, analysis: Analysis) -> None:
        with self.publishing():
            self._attribution = None if analysis.attribution is None else wire.attribution(analysis.attribution)
            self._effects = wire_effects(analysis)
            self._notes = [*dict.fromkeys([*self._notes, *analysis.notes])]

    def _sample_steps(self, stop: ShouldStop) -> Steps:
        yield from self._sample.read()
        if self._sample.token_count:
            with self.publishing():
                sample = self._sample
                self._spread = wire_spread(sample.spread(), sample.mean(), sample.name, sample.token_count)
        if self.selected_neuron is not None and self._analysis is not None:
            self._on_neuron(t.Bunch())

    def _card_steps(self, stop: ShouldStop) -> Steps:
        yield 0, 2
        analysis, name = self._analysis, self.selected_neuron
        if analysis is None or name is None:
            return
        kept = self._cards.get(name)
        self._card = card = kept or analysis.cards.quick(Neuron.parse(name))
        if kept is not None:
            return
        yield 1, 2
        card = analysis.cards.complete(card, stop)
        if analysis is self._analysis and name == self.selected_neuron:
            self._card = card
        if analysis is self._analysis and card["corpus"] is not None:
            self._keep(card)

    def _show_quick_card(self) -> None:
        """Show at once what is known without a forward pass: the worker may be in the middle of one."""
        analysis, name = self._analysis, self.selected_neuron
        if analysis is not None and name is not None and self._evidence.of(Neuron.parse(name)) is not None:
            self._card = self._cards.get(name) or analysis.cards.quick(Neuron.parse(name))

    def _complete_card(self, neuron: Neuron, stop: ShouldStop) -> Card:
        if self._analysis is None:
            raise ValueError("there is no text yet: set text first")
        return self._analysis.cards.complete(self._analysis.cards.quick(neuron), stop)

    def _keep(self, card: Card) -> None:
        kept = {name: self._cards[name] for name in list(self._cards)[-(MAX_CARDS - 1) :]}
        self._cards = kept | {card["neuron"]: card}

    def _card_command(self, message: Mapping[str, Any]) -> Future[Card]:
        name = checked_neuron(str(message.get("neuron")), self._model)
        answer: Future[Card] = Future()

        def steps(stop: ShouldStop) -> Steps:
            yield 0, 1
            assert name is not None
            answer.set_result(self._cards.get(name) or self._complete_card(Neuron.parse(name), stop))

        job = self._worker.submit(f"card {name}", f"looking at {name}", steps, priority=INTERACTIVE)
        job.add_done_callback(lambda done: _pass_on(done, answer))
        return answer

    def _after_steps(self, stop: ShouldStop) -> Steps:
        yield 0, 1
        asked, analysis = [dict(item) for item in self.interventions], self._analysis
        if analysis is None or not asked:
            return
        changes = [from_json(item, reference=self._reference) for item in asked]
        with self.model.intervene(*changes):
            after = self.model.predict(analysis.text, top=50) if analysis.before is not None else None
            value = analysis.target.value(self.model, analysis.text) if analysis.target is not None else float("nan")
        if after is None:
            raise ValueError("this model has no head: there is no prediction to change")
        name = analysis.target.name if analysis.target is not None else ""
        self._after = wire.prediction(after, (name, value)) | {"asked": asked}

    def _clear_after(self) -> Steps:
        self._after = None
        yield 1, 1

    def _on_status(self, job: Job | None, step: Step) -> None:
        if job is not None and job.what:
            self._status = status("running", job.what, *step)
        elif job is None and self._status.get("state") == "running":
            self._status = status("ready" if self._analysis is not None else "empty")


def _pass_on(done: Future[None], answer: Future[Card]) -> None:
    if answer.done():
        return
    error = None if done.cancelled() else done.exception()
    answer.set_exception(error if error is not None else RuntimeError("the request was replaced or cancelled"))
