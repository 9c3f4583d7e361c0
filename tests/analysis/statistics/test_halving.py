"""Memory that runs out."""

from __future__ import annotations

import pytest
import torch

from neurowidget.analysis.statistics.halving import halving
from neurowidget.models.out_of_memory import is_out_of_memory


def work_up_to(limit: int, error: BaseException, tried: list[int]):
    def work(rows: int) -> int:
        tried.append(rows)
        if rows > limit:
            raise error
        return rows

    return work


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("x"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_half_as_many_each_time(error):
    tried: list[int] = []
    assert halving(work_up_to(3, error, tried), 25) == 3
    assert tried == [25, 12, 6, 3]
    with pytest.raises(type(error)):
        halving(work_up_to(0, error, tried), 2)
    assert tried[-2:] == [2, 1]


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("out of memory")]
)
def test_other_errors_pass(error):
    tried: list[int] = []
    with pytest.raises(type(error)):
        halving(work_up_to(0, error, tried), 8)
    assert tried == [8]
    assert not is_out_of_memory(error)
