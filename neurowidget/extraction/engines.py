"""Where a job over a corpus runs: in this process, or on Ray.

A job is a function of the model and one part of the corpus; what it returns is small and comes back in the order of the
parts, each exactly once, whichever engine runs it. With the same parts, threads and kind of processor the engines give the
same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from neurowidget.extraction.corpus import Corpus
from neurowidget.extraction.sentence import Sentence
from neurowidget.models.progress import StopFlag, check

if TYPE_CHECKING:
    from neurowidget.models.batching import Text
    from neurowidget.models.loading import NeuronModel

T = TypeVar("T")
ENGINES = ("local", "ray")


@dataclass(frozen=True, eq=False)
class Part:
    """Consecutive texts of a corpus, the first of which is number `first`; `targets` are those of a seq2seq model."""

    number: int
    first: int
    texts: Corpus | tuple[Text, ...]
    targets: tuple[Text, ...] | None = None

    def __len__(self) -> int:
        return len(self.texts)


Job = Callable[["NeuronModel", Part], T]


def parts_of(
    items: Iterable[Sentence | Text], characters: int, name: str = "corpus", targets: Iterable[Text] | None = None
) -> Iterator[Part]:
    """The corpus in parts of at least `characters` characters (or ids), each of whole texts.

    The cuts depend on the texts alone, so that whoever reads the corpus, in whatever process, cuts it alike.
    """
    taken: list[Any] = []
    number, first, size = 0, 0, 0
    paired = None if targets is None else iter(targets)

    def made() -> Part:
        texts = Corpus.of(taken, name) if isinstance(taken[0], Sentence) else tuple(taken)
        wanted = None if paired is None else tuple(target for _, target in zip(taken, paired, strict=False))
        return Part(number, first, texts, wanted)

    for item in items:
        taken.append(item)
        size += max(1, len(item.text if isinstance(item, Sentence) else item))
        if size >= characters:
            yield made()
            number, first, size, taken = number + 1, first + len(taken), 0, []
    if taken:
        yield made()


def run_parts(
    model: NeuronModel,
    job: Job[Any],
    parts: Iterable[Part],
    settle: Callable[[Any], T] | None = None,
    *,
    engine: str = "local",
    threads: int | None = None,
    workers: int | None = None,
    should_stop: StopFlag | None = None,
) -> Generator[tuple[Part, T]]:
    """Run `job(model, part)` for each part and yield (part, result) in order.

    `settle` turns what the job returned into the result, here while the next part is computed (waiting for a disk). Torch
    uses `threads` threads meanwhile. On Ray, job and settle are sent to the workers and so must be picklable; `workers`
    is their number (None: one per GPU, or as many as there are processors for). Raises ValueError for an engine that is
    not there, ImportError without Ray.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine={engine!r}: expected one of {', '.join(map(repr, ENGINES))}")
    done: Callable[[Any], T] = _as_it_is if settle is None else settle
    if engine == "ray":
        from neurowidget.extraction.ray_engine import run_on_ray

        yield from run_on_ray(model, job, parts, done, threads or torch.get_num_threads(), workers, should_stop)
        return
    with using_threads(threads), ThreadPoolExecutor(1) as pool:
        pending: tuple[Part, Future[T]] | None = None
        for part in parts:
            check(should_stop)
            returned = job(model, part)
            if pending is not None:
                yield pending[0], pending[1].result()
            pending = part, pool.submit(done, returned)
        if pending is not None:
            yield pending[0], pending[1].result()


def device_of_jobs(model: NeuronModel, engine: str) -> str:
    """The kind of device that jobs run on: the model's, or "cuda" on a Ray cluster with GPUs."""
    if engine == "ray":
        from neurowidget.extraction.ray_engine import has_gpus

        return "cuda" if has_gpus() else model.device.type
    return model.device.type


@contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """Torch with so many threads, and as before afterwards; None changes nothing."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def characters_for(lengths: Sequence[int], tokens: Sequence[int], part_tokens: int) -> int:
    """How many characters make about `part_tokens` tokens, from some texts of which both are known."""
    return max(1, round(part_tokens * sum(lengths) / max(1, sum(tokens))))


def _as_it_is(returned: T) -> T:
    return returned
