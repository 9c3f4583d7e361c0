"""Which neurons carry this property, and can we believe it?"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from neurowidget.analysis.ranking import METHODS
from neurowidget.analysis.ranking.held_out import Labels, held_out, rows_of_untrained
from neurowidget.analysis.ranking.neuron_scores import NeuronScores
from neurowidget.analysis.ranking.report import Parts, make_report
from neurowidget.analysis.statistics.labelled_rows import ActivationSource, LabelledRows, Task, labelled_rows
from neurowidget.analysis.statistics.linear_probes import TrainingRows, choose_probe
from neurowidget.analysis.statistics.splits import WAYS, By
from neurowidget.models.progress import StopFlag, check
from neurowidget.results.base import Provenance
from neurowidget.results.pooling import Pool
from neurowidget.results.ranking import NeuronRanking


def rank_neurons(
    activations: ActivationSource,
    labels: Labels = None,
    method: str | Callable[..., NeuronScores] = "linear_probe",
    layers: int | Sequence[int] | None = None,
    sites: str | Sequence[str] | None = None,
    seed: int = 0,
    *,
    task: Task = "classes",
    classes: Sequence[Any] | None = None,
    pool: Pool = "mean",
    split: By = "sentence",
    test: float | ActivationSource | tuple[ActivationSource, Sequence[Any]] = 0.2,
    dev: float = 0.1,
    l1: float | Sequence[float] = 5e-4,
    l2: float | Sequence[float] = 5e-4,
    report: bool = True,
    control: bool = True,
    untrained: ActivationSource | None = None,
    sizes: Sequence[int] | None = None,
    progress: bool = True,
    should_stop: StopFlag | None = None,
    **options: Any,
) -> NeuronRanking:
    """All neurons of the given layers and sites (all if None), the one that carries the labels most first.

    `activations` are Activations, or a store with the same attributes. `labels` names labels that they carry (None: the
    only ones), or has one entry per row or per text; rows without one (None, NaN), special tokens and labels not among
    `classes` are left out and counted. Labels of texts make one row per text: the "mean" or "max" over its tokens, its
    "first" or its "last" (`pool`). `task="numbers"` is for labels that are numbers (linear_probe and random only).

    `method` is a name in `neurowidget.analysis.ranking.METHODS`, whose module says what its score is and which `options`
    it takes, or a function of the same form. Held out are whole sentences (`split="word_type"`: whole word types): a
    share `test` for scores only, or other activations that carry the same labels, or a pair of those and their labels;
    and a share `dev` to choose on. Means, deviations, the ranking and the probes come from the rest. The penalties
    l1 |W|_1 + l2 |W|^2 are fixed unless several are given: then dev chooses.

    The report has the held-out score of a linear probe on all neurons, the majority's, a control task (Hewitt and Liang
    2019) with selectivity, precision and recall, and how few neurons of this order are enough, beside random ones: on
    dev rows, for `sizes`, by default 1, 2, 5, 10, ... 1000 until 0.01 below all neurons. `untrained` are activations of an
    untrained model on the same texts.

    Raises ValueError for counts of labels that do not fit, fewer than two classes, a class that is only in `test`,
    activations that are NaN or infinite; Cancelled when `should_stop()` says True.
    """
    chosen = _method(method)
    if split not in WAYS:
        raise ValueError(f"split={split!r}: expected one of {', '.join(map(repr, WAYS))}")
    where: dict[str, Any] = {"layers": layers, "sites": sites, "task": task, "pool": pool}
    rows, left_out = labelled_rows(activations, labels, classes=classes, **where)
    train, held_dev, held_test = held_out(rows, labels, test, dev, split, seed, where, classes)
    training: TrainingRows | None = None
    shared: dict[str, Any] = {"l1": l1, "l2": l2, "progress": progress, "should_stop": should_stop}
    names = inspect.signature(chosen).parameters
    if "training" in names or report:
        training = TrainingRows.of(train)
        shared["training"] = training
    given = {name: value for name, value in shared.items() if name in names} | options
    unknown = [name for name in options if name not in names]
    if unknown and not any(item.kind is inspect.Parameter.VAR_KEYWORD for item in names.values()):
        raise TypeError(f"{_name(method)} has no option {unknown[0]!r}; it has {', '.join(_options(names))}")
    scores = _checked(chosen(train, held_dev, seed=seed, **given), train, _name(method))
    check(should_stop)
    order = np.argsort(-scores.overall, kind="stable") if scores.order is None else scores.order
    ranking = NeuronRanking(
        method=_name(method),
        score_name=scores.name,
        sites=train.sites,
        widths=train.widths,
        classes=train.classes or ("numbers",),
        scores=scores.overall,
        class_scores=scores.of_classes,
        class_signs=scores.signs,
        order=order,
        probe=scores.probe,
        details=scores.details,
        provenance=_provenance(
            activations,
            rows,
            _name(method),
            seed,
            labels,
            split=split,
            test=test if isinstance(test, float | int) else "given",
            dev=dev,
            l1=l1,
            l2=l2,
            pool=rows.pool,
            **options,
        ),
    )
    if not report or training is None:
        return ranking
    probe = scores.probe
    if probe is None:
        probe, _ = choose_probe(training, held_dev, l1, l2, should_stop=should_stop)
    other = (
        rows_of_untrained(untrained, labels, where, rows, train, held_dev, held_test, split)
        if untrained is not None
        else None
    )
    found = make_report(
        Parts(training, held_dev, held_test, split),
        order,
        probe,
        seed=seed,
        control=control,
        untrained=other,
        sizes=sizes,
        left_out=left_out,
        choices={
            "penalties": "fixed" if np.size(l1) * np.size(l2) == 1 else "chosen on dev",
            "layers": "all" if layers is None else "given",
        },
        progress=progress,
        should_stop=should_stop,
    )
    return replace(ranking, report=found)


def _method(method: str | Callable[..., NeuronScores]) -> Callable[..., NeuronScores]:
    if callable(method):
        return method
    if method not in METHODS:
        raise ValueError(f"no method {method!r}: expected {', '.join(METHODS)}, or a function of the same form")
    return METHODS[method]


def _name(method: str | Callable[..., NeuronScores]) -> str:
    return method if isinstance(method, str) else getattr(method, "__name__", type(method).__name__)


def _options(names: Any) -> list[str]:
    return [name for name in names if name not in ("train", "dev", "seed", "training", "should_stop", "progress")]


def _checked(scores: NeuronScores, train: LabelledRows, name: str) -> NeuronScores:
    expected = ((max(len(train.classes), 1), train.width), (train.width,))
    if (scores.of_classes.shape, scores.overall.shape) != expected or scores.signs.shape != expected[0]:
        raise ValueError(
            f"{name} gave scores of shape {scores.of_classes.shape} and {scores.overall.shape}, expected {expected[0]} and"
            f" {expected[1]}"
        )
    if not (np.isfinite(scores.overall).all() and np.isfinite(scores.of_classes).all()):
        raise ValueError(f"{name} gave scores that are NaN or infinite")
    return scores


def _provenance(
    activations: ActivationSource, rows: LabelledRows, method: str, seed: int, labels: Labels, **parameters: Any
) -> Provenance:
    made = getattr(activations, "provenance", Provenance(method="", model=""))
    return replace(
        made,
        method=f"rank_neurons ({method})",
        site=", ".join(dict.fromkeys(part.site for part in rows.parts)),
        target=labels if isinstance(labels, str) else "labels",
        seed=seed,
        parameters={name: _plain(value) for name, value in parameters.items()} | {"activations": dict(made.parameters)},
        versions=dict(made.versions) | {"numpy": np.__version__},
    )


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list | np.ndarray):
        return tuple(_plain(item) for item in value)
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)
