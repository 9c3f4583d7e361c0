"""Work that is done in pieces of so many rows, and again in smaller pieces when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

logger = logging.getLogger(__name__)
T = TypeVar("T")
_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device, or the computer, had no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS)


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
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
