"""Values written while pages are laid out stay; small or scattered arrays are left alone."""

import threading

import numpy as np
import pytest
import torch

from neurowidget.extraction import fresh_memory


def pages_thread() -> threading.Thread | None:
    return next((t for t in threading.enumerate() if t.name == "neurowidget-pages"), None)


def test_what_is_written_meanwhile_stays() -> None:
    array = fresh_memory.empty((4, 1500, 1024), torch.float32)
    fresh_memory.lay_out_ahead([array])
    array[:] = np.arange(1024)
    if (thread := pages_thread()) is not None:
        thread.join()
    assert array.shape == (4, 1500, 1024)
    assert (array == np.arange(1024)).all()


@pytest.mark.parametrize("array", [np.zeros(10), np.zeros((4096, 4096), np.float32)[:, ::2]])
def test_nothing_is_started_for_small_or_scattered_arrays(array: np.ndarray) -> None:
    fresh_memory.lay_out_ahead([array])
    assert pages_thread() is None


def test_a_system_without_the_call_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh_memory.ctypes, "CDLL", lambda name: object())
    array = np.ones((8, 1024, 1024), np.float32)
    fresh_memory._lay_out([array])
    assert (array == 1).all()
