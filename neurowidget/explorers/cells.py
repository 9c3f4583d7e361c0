"""Which notebook cell is running, and stopping what an interrupted cell had started."""

from __future__ import annotations

import itertools
import weakref
from typing import Any, Protocol


class Stoppable(Protocol):
    """Something with jobs that remember the cell that started them."""

    def cancel(self, cell: int | None = None) -> int: ...


_counter = itertools.count(1)
_watched: weakref.WeakSet[Any] = weakref.WeakSet()
_state: dict[str, Any] = {"cell": None, "shell": None}


def running_cell() -> int | None:
    """A number of the cell that runs now, or None between cells and outside of IPython."""
    return _state["cell"]


def watch(worker: Stoppable) -> None:
    """Cancel the jobs that a cell submitted when this cell is interrupted."""
    _watched.add(worker)
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is None or _state["shell"] is shell:
        return
    _state["shell"] = shell
    _state["cell"] = next(_counter)  # the cell that constructs the first explorer has already begun
    shell.events.register("pre_run_cell", _before)
    shell.events.register("post_run_cell", _after)


def _before(info: Any) -> None:
    _state["cell"] = next(_counter)


def _after(result: Any) -> None:
    cell, _state["cell"] = _state["cell"], None
    if isinstance(getattr(result, "error_in_exec", None), KeyboardInterrupt):
        for worker in list(_watched):
            worker.cancel(cell)
