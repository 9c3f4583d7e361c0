"""Work that is done in pieces of so many rows, and again in smaller pieces when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from neurowidget.models.out_of_memory import give_back_memory, is_out_of_memory

logger = logging.getLogger(__name__)
T = TypeVar("T")


def halving(work: Callable[[int], T], rows: int) -> T:
    """`work(rows)`, tried again with half the rows each time that memory runs out.

    `work` must give the same numbers whatever the rows. The error is raised when one row is still too much.
    """
    while True:
        try:
            return work(rows)
        except (RuntimeError, MemoryError) as error:
            if rows <= 1 or not is_out_of_memory(error):
                raise
        rows //= 2
        logger.info("out of memory: going on with %d rows at a time", rows)
        give_back_memory()
