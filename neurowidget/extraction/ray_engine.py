"""Jobs over a corpus on Ray: actors that load the model once, one GPU each where there are any.

A worker that dies is started again by Ray with the part that it had; a part that kills its worker several times is an error.
The results come back in the order of the parts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from neurowidget.models.interventions import active_interventions
from neurowidget.models.progress import StopFlag, check

if TYPE_CHECKING:
    from neurowidget.extraction.engines import Part
    from neurowidget.models.loading import NeuronModel

T = TypeVar("T")
RETRIES = 3
WAITING = 3  # parts that each worker has at hand


def run_on_ray(
    model: NeuronModel,
    job: Callable[..., Any],
    parts: Iterable[Part],
    settle: Callable[[Any], T],
    threads: int,
    workers: int | None,
    should_stop: StopFlag | None,
) -> Iterator[tuple[Part, T]]:
    """`run_parts` on the cluster that this process is connected to, or that RAY_ADDRESS names, or on this machine.

    Raises ValueError with interventions open, which only this thread has, and RuntimeError for a part that keeps killing
    its worker.
    """
    if active := active_interventions(model):
        raise ValueError(f"engine='ray' cannot run inside model.intervene ({active[0]}): use engine='local'")
    ray = connected()
    gpus = 1 if has_gpus() else 0
    resources = ray.cluster_resources()
    processors = min(threads, max(1, int(resources.get("CPU", 1))))
    if workers is None:
        workers = max(1, int(resources["GPU"] if gpus else resources.get("CPU", 1) // processors))
    remote = ray.remote(num_cpus=processors, num_gpus=gpus, max_restarts=-1, max_task_retries=RETRIES)(Worker)
    carried = ray.put((model.module, model.tokenizer, model.given_sites, model.name, model.revision))
    actors = [remote.remote(carried, threads) for _ in range(workers)]
    waiting: deque[tuple[Part, Any]] = deque()

    def first() -> tuple[Part, T]:
        part, reference = waiting.popleft()
        while not ray.wait([reference], timeout=0.5)[0]:
            check(should_stop)
        try:
            return part, ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from error
        except ray.exceptions.RayActorError as error:
            raise RuntimeError(
                f"part {part.number} (texts {part.first} to {part.first + len(part)}) ended its worker"
                f" {RETRIES + 1} times, most often for lack of memory; what was finished is kept"
            ) from error

    try:
        for number, part in enumerate(parts):
            check(should_stop)
            waiting.append((part, actors[number % workers].run.remote(job, settle, part)))
            if len(waiting) >= WAITING * workers:
                yield first()
        while waiting:
            yield first()
    finally:
        for actor in actors:
            with suppress(Exception):
                ray.kill(actor)


class Worker:
    """One process with one model."""

    def __init__(self, carried: tuple[Any, ...], threads: int) -> None:
        from neurowidget.models.loading import NeuronModel

        torch.set_num_threads(threads)
        module, tokenizer, sites, name, revision = carried
        if torch.cuda.is_available():  # Ray shows a worker the GPU that it was given, and only that
            module = module.to("cuda")
        self.model = NeuronModel(module, tokenizer, name=name, sites=sites, revision=revision)

    def run(self, job: Callable[..., Any], settle: Callable[[Any], Any], part: Part) -> Any:
        """One part, to its end."""
        return settle(job(self.model, part))


def connected() -> Any:
    """The module `ray`, connected to a cluster; a local one is started where there is none."""
    try:
        import ray
    except ImportError as error:
        raise ImportError("engine='ray' needs Ray: pip install 'neurowidget[ray]'") from error
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False)
    return ray


def has_gpus() -> bool:
    """Whether the cluster has GPUs."""
    return connected().cluster_resources().get("GPU", 0) >= 1
