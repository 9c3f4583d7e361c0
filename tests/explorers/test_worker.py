"""The worker: the newest of a kind wins, urgent work goes first, errors and cancels are told, nothing is lost."""

import threading

import pytest

from neurowidget.explorers import cells
from neurowidget.explorers.worker import Worker


class Log:
    def __init__(self):
        self.errors, self.states = [], []
        self.worker = Worker(lambda job, step: self.states.append(job.what if job else None), self.errors.append)


@pytest.fixture
def log():
    return Log()


def test_a_job_runs_to_its_end(log):
    done = []

    def steps(stop):
        yield 0, 2
        done.append(1)
        yield 1, 2
        done.append(2)

    log.worker.submit("a", "doing a", steps, priority=1)
    assert log.worker.wait(10)
    assert done == [1, 2]
    assert log.states[0] == "doing a"


def test_the_newest_of_a_kind_wins(log):
    gate, ran = threading.Event(), []

    def blocking(stop):
        yield 0, 1
        gate.wait(10)

    def numbered(n):
        def steps(stop):
            ran.append(n)
            yield 0, 1

        return steps

    log.worker.submit("block", "", blocking, priority=0)
    futures = [log.worker.submit("slider", "", numbered(n), priority=1) for n in range(50)]
    gate.set()
    assert log.worker.wait(10)
    assert ran == [49]
    assert all(f.cancelled() for f in futures[:-1])


def test_urgent_work_goes_between_the_steps_of_slow_work(log):
    order, started, submitted = [], threading.Event(), threading.Event()

    def slow(stop):
        for n in range(3):
            order.append(f"slow {n}")
            started.set()
            submitted.wait(10)
            yield n, 3

    def urgent(stop):
        order.append("urgent")
        yield 0, 1

    log.worker.submit("slow", "", slow, priority=2)
    started.wait(10)
    log.worker.submit("urgent", "", urgent, priority=0)
    submitted.set()
    assert log.worker.wait(10)
    assert order == ["slow 0", "urgent", "slow 1", "slow 2"]


def test_cancel_stops_at_the_next_step_and_closes_the_generator(log):
    started, closed, cancelled = threading.Event(), threading.Event(), threading.Event()

    def endless(stop):
        try:
            while True:
                started.set()
                cancelled.wait(10)
                yield 0, 0
        finally:
            closed.set()

    future = log.worker.submit("endless", "", endless, priority=1)
    started.wait(10)
    assert log.worker.cancel() == 1
    cancelled.set()
    assert log.worker.wait(10)
    assert closed.is_set()
    assert future.exception() is not None
    assert log.errors == []


def test_an_error_is_told_and_the_next_job_runs(log):
    def broken(stop):
        yield 0, 1
        raise ValueError("broken on purpose")

    ran = []

    def fine(stop):
        ran.append(1)
        yield 1, 1

    log.worker.submit("broken", "", broken, priority=1)
    assert log.worker.wait(10)
    log.worker.submit("fine", "", fine, priority=1)
    assert log.worker.wait(10)
    assert ran == [1]
    assert [str(e) for e in log.errors] == ["broken on purpose"]


def test_only_what_the_interrupted_cell_started_is_cancelled(log, monkeypatch):
    gate = threading.Event()

    def waiting(stop):
        yield 0, 1
        gate.wait(10)

    monkeypatch.setitem(cells._state, "cell", 7)
    old = log.worker.submit("old", "", waiting, priority=0)
    monkeypatch.setitem(cells._state, "cell", 8)
    new = log.worker.submit("new", "", waiting, priority=1)
    assert log.worker.cancel(cell=8) == 1
    gate.set()
    assert log.worker.wait(10)
    assert new.cancelled()
    assert old.exception() is None


def test_interrupting_wait_stops_the_work(log, monkeypatch):
    started, release = threading.Event(), threading.Event()

    def endless(stop):
        while True:
            started.set()
            release.wait(0.01)
            yield 0, 0

    log.worker.submit("endless", "", endless, priority=1)
    started.wait(10)

    def interrupted(timeout=None):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(log.worker._condition, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            log.worker.wait(10)
    assert log.worker.wait(10)
