"""One background thread that runs an explorer's jobs: the newest of a kind wins, urgent ones go first."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass, field

from neurowidget.explorers import cells
from neurowidget.models.progress import Cancelled

Step = tuple[int, int]  # (done, total)
Steps = Generator[Step, None, None]
IDLE_SECONDS = 5.0


@dataclass(eq=False)
class Job:
    """Work in steps: `steps(should_stop)` yields (done, total) between them, outside of any hook."""

    kind: str
    what: str
    priority: int
    steps: Callable[[Callable[[], bool]], Steps]
    future: Future[None] = field(default_factory=Future)
    stop: threading.Event = field(default_factory=threading.Event)
    cell: int | None = None
    number: int = 0


class Worker:
    """Runs jobs one at a time; lower priority numbers first.

    `on_status(job or None, step)` tells what runs; `on_error(exception)` gets what a job raised.
    """

    def __init__(
        self, on_status: Callable[[Job | None, Step], None], on_error: Callable[[BaseException], None]
    ) -> None:
        self._on_status, self._on_error = on_status, on_error
        self._condition = threading.Condition()
        self._waiting: dict[str, Job] = {}
        self._running: list[Job] = []
        self._thread: threading.Thread | None = None
        self._numbers = itertools.count()
        self._told = 0.0
        cells.watch(self)

    def submit(
        self,
        kind: str,
        what: str,
        steps: Callable[[Callable[[], bool]], Steps],
        *,
        priority: int,
        replace_running: bool = True,
    ) -> Future[None]:
        """Queue a job; one of the same kind that waits is dropped, one that runs is stopped (if `replace_running`)."""
        job = Job(kind, what, priority, steps, cell=cells.running_cell(), number=next(self._numbers))
        with self._condition:
            older = self._waiting.pop(kind, None)
            if older is not None:
                older.future.cancel()
            if replace_running:
                for running in self._running:
                    if running.kind == kind:
                        running.stop.set()
            self._waiting[kind] = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="neurowidget-explorer", daemon=True)
                self._thread.start()
            self._condition.notify_all()
        return job.future

    def cancel(self, cell: int | None = None) -> int:
        """Stop what runs and drop what waits (only what `cell` started, if given); returns how many jobs that was."""
        with self._condition:
            chosen = [job for job in (*self._waiting.values(), *self._running) if cell is None or job.cell == cell]
            for job in chosen:
                job.stop.set()
                if self._waiting.get(job.kind) is job:
                    del self._waiting[job.kind]
                    job.future.cancel()
            self._condition.notify_all()
        return len(chosen)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until no job is left; False on a time-out. An interrupt of the cell stops the jobs."""
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            with self._condition:
                while self._waiting or self._running:
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        return False
                    self._condition.wait(0.2 if left is None else min(left, 0.2))
            return True
        except KeyboardInterrupt:
            self.cancel()
            raise

    def _loop(self) -> None:
        while True:
            with self._condition:
                if not self._waiting:
                    self._condition.wait(IDLE_SECONDS)
                job = self._most_urgent(None)
                if job is None:
                    self._thread = None
                    return
            self._run(job)
            with self._condition:
                idle = not self._waiting
            if idle:
                self._tell(None, (0, 0), force=True)

    def _most_urgent(self, than: Job | None) -> Job | None:
        with self._condition:
            ready = [job for job in self._waiting.values() if than is None or job.priority < than.priority]
            if not ready:
                return None
            job = min(ready, key=lambda j: (j.priority, j.number))
            del self._waiting[job.kind]
            self._running.append(job)
            return job

    def _run(self, job: Job) -> None:
        failure: BaseException | None = None
        steps = job.steps(job.stop.is_set)
        try:
            self._tell(job, (0, 0), force=True)
            for step in steps:
                if job.stop.is_set():
                    raise Cancelled(job.what)
                self._tell(job, step)
                while (urgent := self._most_urgent(job)) is not None:
                    self._run(urgent)
                    self._tell(job, step, force=True)
        except BaseException as error:
            failure = error
        finally:
            steps.close()
            if failure is not None and not isinstance(failure, Cancelled):
                self._on_error(failure)
            with self._condition:
                self._running.remove(job)
                self._condition.notify_all()
            _finish(job.future, failure)

    def _tell(self, job: Job | None, step: Step, force: bool = False) -> None:
        now = time.monotonic()
        if force or now - self._told > 0.1:
            self._told = now
            self._on_status(job, step)


def _finish(future: Future[None], failure: BaseException | None) -> None:
    if future.cancelled():
        return
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)
