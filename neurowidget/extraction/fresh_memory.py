"""Large arrays for results, whose pages the system lays out while the first forwards run.

The first write to each page of new memory stops the writer until the system has cleared one. For MiniLM's 376 MB of
values that is a fifth of a whole extraction, with every thread waiting; in a thread of its own it costs a third of that.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import torch

POPULATE_WRITE = 23  # madvise(2), Linux 5.14: lays pages out and leaves what they hold; older kernels refuse, harmless
WORTH_A_THREAD = 2**24  # bytes
STEP = 2**22


def empty(shape: Sequence[int], dtype: torch.dtype) -> np.ndarray:
    """An array with arbitrary values.

    It is torch's memory: numpy asks the system for huge pages, and on a machine with fragmented memory finding those
    doubled the time of an extraction.
    """
    return torch.empty(tuple(shape), dtype=dtype).numpy()


def lay_out_ahead(arrays: Sequence[np.ndarray]) -> None:
    """Have the pages of large contiguous arrays laid out in the background; does nothing where the system cannot.

    Values written meanwhile stay. The thread keeps the arrays alive until it is through.
    """
    large = [array for array in arrays if array.nbytes >= WORTH_A_THREAD and array.flags.c_contiguous]
    if sys.platform == "linux" and large:
        threading.Thread(target=_lay_out, args=(large,), name="neurowidget-pages", daemon=True).start()


def _lay_out(arrays: Sequence[np.ndarray]) -> None:
    with suppress(AttributeError, OSError):
        madvise = ctypes.CDLL(None).madvise  # unlike mmap.madvise it lets go of the interpreter's lock
        madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for array in arrays:
            first = -(-array.ctypes.data // mmap.PAGESIZE) * mmap.PAGESIZE
            end = (array.ctypes.data + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
            for start in range(first, end, STEP):
                if madvise(start, min(STEP, end - start), POPULATE_WRITE) != 0:
                    return
