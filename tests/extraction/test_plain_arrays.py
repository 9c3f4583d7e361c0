"""Arrays on disk: zarr reads what we write, any block comes back, damage is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from neurowidget.extraction.plain_arrays import PlainArray, StoreError

CASES = [
    ((3, 10, 7), "float16", (1, 4, 3)),
    ((2, 5, 4), "float32", (1, 5, 4)),
    ((13,), "uint8", (5,)),
    ((4, 9), "int32", (1, 9)),
    ((2, 0, 3), "float16", (1, 1, 2)),
]


def written(folder: Path, shape: tuple[int, ...], dtype: str, chunk: tuple[int, ...]) -> tuple[PlainArray, np.ndarray]:
    values = (np.arange(int(np.prod(shape))).reshape(shape) % 97).astype(dtype)
    array = PlainArray(folder / "a", shape, np.dtype(dtype), chunk)
    array.write(values)
    return array, values


@pytest.mark.parametrize(("shape", "dtype", "chunk"), CASES)
def test_zarr_reads_what_is_written(tmp_path: Path, shape: tuple[int, ...], dtype: str, chunk: tuple[int, ...]) -> None:
    array, values = written(tmp_path, shape, dtype, chunk)
    opened = zarr.open_array(array.folder, mode="r")
    assert opened.dtype == values.dtype
    np.testing.assert_array_equal(opened[:], values)
    np.testing.assert_array_equal(array.read(), values)
    array.verify()


def test_any_block_comes_back(tmp_path: Path) -> None:
    array, values = written(tmp_path, (3, 10, 7), "float16", (1, 4, 3))
    generator = np.random.default_rng(0)
    for _ in range(50):
        where = tuple(slice(*sorted(generator.integers(0, size + 1, 2).tolist())) for size in values.shape)
        np.testing.assert_array_equal(array.read(*where), values[where])
    np.testing.assert_array_equal(array.read(slice(1, 2)), values[1:2])


@pytest.mark.parametrize("damage", ["cut", "longer", "flipped", "missing"])
def test_damage_is_noticed(tmp_path: Path, damage: str) -> None:
    array, values = written(tmp_path, (3, 10, 7), "float16", (1, 4, 3))
    content = bytearray(array.file.read_bytes())
    if damage == "flipped":
        content[array.chunk_bytes * 2 + 5] ^= 1
    changed = {"cut": content[:-9], "longer": content + b"x", "flipped": content, "missing": content}[damage]
    array.file.write_bytes(changed)
    if damage == "missing":
        array.file.unlink()
    with pytest.raises(StoreError, match=str(array.file)):
        array.read()
    with pytest.raises(StoreError, match=str(array.file)):
        array.verify()
    if damage == "flipped":  # what is not damaged can still be read
        np.testing.assert_array_equal(array.read(slice(0, 1), slice(0, 4), slice(0, 6)), values[:1, :4, :6])
