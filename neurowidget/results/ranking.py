"""Neurons in the order in which they carry a concept, and what speaks for and against that order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from neurowidget.neuron import LayerSite, Neuron
from neurowidget.results.base import read_only
from neurowidget.results.neuron_axis import OverNeurons
from neurowidget.results.probe import LinearProbe


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class RankingReport:
    """How far to believe a ranking. Every score is of held-out rows, which no choice was made on, unless it says dev.

    `held_out` is the score of a linear probe on all neurons, accuracy or R2 (`score_name`); `majority` what the most
    frequent class of the training rows gets (0 for R2), `control` what the same probe gets on random labels, one per
    word type (labels of texts: on permuted labels), `selectivity` = held_out - control; both NaN where they mean
    nothing, and `control_note` says why. `control_seen` is the share of held-out rows whose word type was in training.

    The curves are scores on the dev rows of probes trained again on the top `sizes[i]` neurons of the ranking, and of
    as many random ones: `top_scores` float32 (size,), `random_scores` (draw, size). `minimal_size` is the smallest size
    whose dev score is within 0.01 of `full_dev`, `size_for_95` the smallest that has 95 % of it; `minimal_held_out` and
    `random_held_out` are the held-out scores of the top `minimal_size` neurons and of random ones (draw,).

    `confusion` is int64 (given class, predicted class) on held-out rows, empty for numbers. `rows` counts texts and rows
    of train, dev and test and what was left out, `choices` states penalties, layers and stopping.
    """

    score_name: str
    held_out: float
    train: float
    majority: float
    control: float
    selectivity: float
    control_note: str
    control_seen: float
    classes: tuple[Any, ...]
    confusion: np.ndarray
    full_dev: float
    sizes: np.ndarray
    top_scores: np.ndarray
    random_scores: np.ndarray
    minimal_size: int | None
    size_for_95: int | None
    minimal_held_out: float
    random_held_out: np.ndarray
    split: str
    rows: dict[str, int]
    choices: dict[str, Any]
    untrained: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "confusion", read_only(self.confusion, np.int64))
        object.__setattr__(self, "sizes", read_only(self.sizes, np.int64))
        for name in ("top_scores", "random_scores", "random_held_out"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float32))
        count = len(self.classes)
        if self.confusion.shape != (count, count) or self.top_scores.shape != self.sizes.shape:
            raise ValueError(
                f"{count} classes and {len(self.sizes)} sizes do not fit confusion {self.confusion.shape} and"
                f" top_scores {self.top_scores.shape}"
            )

    @property
    def support(self) -> np.ndarray:
        """Held-out rows of each class, int64 (class,)."""
        return self.confusion.sum(axis=1)

    @property
    def recall(self) -> np.ndarray:
        """float64 (class,), NaN for a class without held-out rows."""
        return _share(np.diag(self.confusion), self.support)

    @property
    def precision(self) -> np.ndarray:
        """float64 (class,), NaN for a class that was never predicted."""
        return _share(np.diag(self.confusion), self.confusion.sum(axis=0))

    def __repr__(self) -> str:
        return f"RankingReport({self})"

    def __str__(self) -> str:
        rows = self.rows
        lines = [
            f"{self.score_name} {self.held_out:.3f} on {rows.get('test', 0):,} held-out rows (split by {self.split});"
            f" majority {self.majority:.3f}, train {self.train:.3f}",
            f"control {self.control:.3f}, selectivity {self.selectivity:.3f}"
            if np.isfinite(self.control)
            else f"control and selectivity n/a: {self.control_note}",
        ]
        if self.untrained is not None:
            lines.append(f"untrained model {self.untrained:.3f}")
        if self.minimal_size is not None:
            lines.append(
                f"top {self.minimal_size} neurons {self.minimal_held_out:.3f}, as many random ones"
                f" {np.mean(self.random_held_out):.3f} (dev within 0.01 of all neurons' {self.full_dev:.3f})"
            )
        elif len(self.sizes):
            lines.append(f"no set of up to {self.sizes[-1]} neurons comes within 0.01 of all neurons on dev")
        left_out = {name: count for name, count in rows.items() if name not in _KEPT and count}
        if left_out:
            lines.append("left out: " + ", ".join(f"{count:,} rows ({name})" for name, count in left_out.items()))
        return "\n".join(lines)

    def to_columns(self) -> dict[str, list[Any]]:
        """One row per class: precision, recall, support."""
        return {
            "class": list(self.classes),
            "precision": self.precision.tolist(),
            "recall": self.recall.tolist(),
            "support": self.support.tolist(),
        }


_KEPT = frozenset({"train", "dev", "test", "train texts", "dev texts", "test texts"})


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class NeuronRanking(OverNeurons):
    """All neurons of some layers and sites, ranked by how much they carry a concept.

    Neurons stand in the order of `sites` ("L0.mlp", "L1.mlp": `widths` neurons each), by index within: this is the
    neuron axis of every array. `scores` float32 (neuron,), larger = carries more, 0 for a constant neuron; what the
    number is, is `score_name`. `class_scores` float32 (class, neuron); `class_signs` int8 (class, neuron), +1 where the
    neuron is larger for the class, -1 where it is smaller. `order` int32 (neuron,): places from the first to the last;
    ties, and what the score does not say, by layer and index. `details` has what only one method has, `probe` is
    there for methods that train one, `report` unless it was switched off.
    """

    method: str
    score_name: str
    classes: tuple[Any, ...]
    scores: np.ndarray
    class_scores: np.ndarray
    class_signs: np.ndarray
    order: np.ndarray
    report: RankingReport | None = None
    probe: LinearProbe | None = None
    details: dict[str, Any] = field(default_factory=dict)

    absent: ClassVar[str] = "was not ranked; ranked were"

    def __post_init__(self) -> None:
        for name, dtype in (
            ("scores", np.float32),
            ("class_scores", np.float32),
            ("class_signs", np.int8),
            ("order", np.int32),
        ):
            object.__setattr__(self, name, read_only(getattr(self, name), dtype))
        count, of_classes = sum(self.widths), (len(self.classes), sum(self.widths))
        shapes = (self.scores.shape, self.class_scores.shape, self.class_signs.shape, self.order.shape)
        if len(self.sites) != len(self.widths) or shapes != ((count,), of_classes, of_classes, (count,)):
            raise ValueError(
                f"{count} neurons of {', '.join(self.sites)} and {len(self.classes)} classes do not fit scores,"
                f" class_scores, class_signs and order of {shapes}"
            )
        if not np.array_equal(np.sort(self.order), np.arange(count)):
            raise ValueError(f"order should have each of 0 to {count - 1} once")

    def __repr__(self) -> str:
        shown = ", ".join(str(self.neuron_at(place)) for place in self.order[:3])
        held_out = f"; held-out {self.report.score_name} {self.report.held_out:.3f}" if self.report else ""
        return (
            f"NeuronRanking({self.method}: {shown}, ... of {len(self)} neurons, {len(self.classes)} classes{held_out})"
        )

    def __len__(self) -> int:
        return len(self.scores)

    @cached_property
    def neurons(self) -> tuple[Neuron, ...]:
        """Every neuron, the one that carries most first."""
        names = [
            Neuron(address.layer, index, address.site, address.stack)
            for address, width in zip(map(LayerSite.parse, self.sites), self.widths, strict=True)
            for index in range(width)
        ]
        return tuple(names[place] for place in self.order.tolist())

    @property
    def signs(self) -> np.ndarray:
        """int8 (neuron,): the sign at the class that the neuron carries most; for two classes, at the second."""
        if len(self.classes) == 2:
            return self.class_signs[1]
        strongest = self.class_scores.argmax(axis=0)
        return self.class_signs[strongest, np.arange(len(self))]

    @cached_property
    def layers(self) -> np.ndarray:
        """int32 (neuron,): the layer of each neuron."""
        return np.repeat([LayerSite.parse(site).layer for site in self.sites], self.widths).astype(np.int32)

    def top(self, k: int = 20) -> list[tuple[Neuron, float]]:
        """The first k neurons with their scores."""
        return [(self.neuron_at(place), float(self.scores[place])) for place in self.order[:k]]

    def for_class(self, label: Any) -> NeuronRanking:
        """The ranking for one class: its scores and signs, ordered by them; raises KeyError for another label."""
        if label not in self.classes:
            raise KeyError(f"no class {label!r} here; there are {', '.join(map(repr, self.classes))}")
        row = self.classes.index(label)
        scores = self.class_scores[row]
        return replace(
            self,
            classes=(label,),
            scores=scores,
            class_scores=scores[None],
            class_signs=self.class_signs[row : row + 1],
            order=np.argsort(-scores, kind="stable"),
        )

    def score_of(self, neuron: Neuron | str) -> float:
        """The score of one neuron; raises IndexError when it was not ranked."""
        return float(self.scores[self.place_of(neuron)])

    def to_columns(self) -> dict[str, list[Any]]:
        """One row per neuron, the one that carries most first."""
        order = self.order
        columns: dict[str, list[Any]] = {
            "rank": list(range(1, len(self) + 1)),
            "neuron": [str(neuron) for neuron in self.neurons],
            "layer": self.layers[order].tolist(),
            self.score_name: self.scores[order].tolist(),
            "sign": self.signs[order].tolist(),
        }
        for label, scores in zip(self.classes, self.class_scores, strict=True):
            columns[f"{label}"] = scores[order].tolist()
        return columns
