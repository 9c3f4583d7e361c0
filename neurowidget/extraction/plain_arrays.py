"""Arrays in the zarr v3 format, one shard of uncompressed chunks each, every chunk followed by its crc32c.

Any zarr reader opens them (`zarr.open_array(folder)`). They are written and read here, since zarr's own code takes about
half a millisecond per chunk. Measured on 14,336 rows of six layers x 1,536 float16 neurons, zarr 3.1, one core, warm; one
neuron is scaled to a million rows, a sentence is 25 rows of all neurons:

    rows x neurons of a chunk      write       one neuron   a sentence   bytes per value
    zarr   4,096 x 32              171 MB/s       171 ms       146 ms         2.0
    zarr   2,048 x 64              327 MB/s       289 ms        81 ms         2.0
    zarr   4,096 x 32, zstd 1       88 MB/s       393 ms       284 ms         1.4 (values cut at -0.2)
    here   2,048 x 64              864 MB/s        22 ms         9 ms         2.0
    here   2,048 x 32              980 MB/s        11 ms        14 ms         2.0, chosen

Because chunks are not compressed, their places follow from shape and chunk alone: a reader needs no index, checks the size
of the file before it takes memory, and never trusts a number that the file does not bear out.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

CHECKSUM = 4  # bytes after each chunk, and after the index
ENTRY = 16  # bytes of the index per chunk: offset and length


class StoreError(ValueError):
    """A store that is none, is damaged, or was made with other settings."""


@dataclass(frozen=True)
class PlainArray:
    """One array on disk, of which any block can be read. `folder` has its zarr.json and its one shard."""

    folder: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    chunk: tuple[int, ...]

    @property
    def grid(self) -> tuple[int, ...]:
        """How many chunks there are along each axis."""
        return tuple(-(-size // step) for size, step in zip(self.shape, self.chunk, strict=True))

    @property
    def file(self) -> Path:
        """The shard."""
        return self.folder.joinpath("c", *["0"] * len(self.shape))

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk with its checksum."""
        return math.prod(self.chunk) * self.dtype.itemsize + CHECKSUM

    @property
    def file_bytes(self) -> int:
        """Bytes that the shard must have; 0 when the array is empty and there is no shard."""
        count = math.prod(self.grid)
        return count * (self.chunk_bytes + ENTRY) + CHECKSUM if count else 0

    def check_size(self) -> None:
        """Raise StoreError when the shard is missing, cut off or too long."""
        if not self.file_bytes:
            return
        try:
            found = self.file.stat().st_size
        except FileNotFoundError:
            raise StoreError(f"{self.file} is missing") from None
        if found != self.file_bytes:
            raise StoreError(f"{self.file} has {found:,} bytes, expected {self.file_bytes:,}: it is cut off or damaged")

    def read(self, *where: slice) -> np.ndarray:
        """The block at `where`, one slice per axis (missing ones take all).

        Raises StoreError where a chunk is missing or does not fit its checksum, OSError where the file cannot be read.
        """
        ranges = [slice(None)] * len(self.shape)
        ranges[: len(where)] = where
        bounds = [at.indices(size)[:2] for at, size in zip(ranges, self.shape, strict=True)]
        out = np.empty([max(0, stop - start) for start, stop in bounds], dtype=self.dtype)
        if not out.size:
            return out
        self.check_size()
        with self.file.open("rb", buffering=0) as stream:
            for number, inside, outside in self._chunks(bounds):
                out[outside] = self._chunk(stream, number)[inside]
        return out

    def _chunks(self, bounds: Sequence[tuple[int, int]]) -> Iterator[tuple[int, tuple[slice, ...], tuple[slice, ...]]]:
        """Each chunk that a block touches: its number, the part of the chunk, the part of the block."""
        axes = []
        for (start, stop), step, count in zip(bounds, self.chunk, self.grid, strict=True):
            along = []
            for index in range(start // step, -(-stop // step)):
                first, last = max(start, index * step), min(stop, (index + 1) * step)
                along.append(
                    (index, slice(first - index * step, last - index * step), slice(first - start, last - start))
                )
            axes.append((count, along))
        for picked in itertools.product(*(along for _, along in axes)):
            number = 0
            for (count, _), (index, _, _) in zip(axes, picked, strict=True):
                number = number * count + index
            yield number, tuple(one[1] for one in picked), tuple(one[2] for one in picked)

    def _chunk(self, stream: FileIO, number: int) -> np.ndarray:
        size = self.chunk_bytes
        stream.seek(number * size)
        values = stream.read(size - CHECKSUM)
        if len(values) != size - CHECKSUM or _checksum(values) != stream.read(CHECKSUM):
            raise StoreError(f"{self.file}: chunk {number} does not fit its checksum; the file is damaged")
        return np.frombuffer(values, dtype=self.dtype).reshape(self.chunk)

    def verify(self) -> None:
        """Read every chunk; raises StoreError at the first damaged one."""
        if self.file_bytes:
            self.check_size()
            with self.file.open("rb", buffering=0) as stream:
                for number in range(math.prod(self.grid)):
                    self._chunk(stream, number)

    def write(self, values: np.ndarray) -> None:
        """Write all of the array; `values` has its shape. The folder must not exist."""
        self.folder.mkdir(parents=True)
        (self.folder / "zarr.json").write_text(json.dumps(self._metadata(), indent=1))
        if not self.file_bytes:
            return
        self.file.parent.mkdir(parents=True)
        with self.file.open("wb") as stream:
            for corner in itertools.product(
                *(range(0, size, step) for size, step in zip(self.shape, self.chunk, strict=True))
            ):
                block = values[tuple(slice(at, at + step) for at, step in zip(corner, self.chunk, strict=True))]
                if block.shape != self.chunk:
                    whole = np.zeros(self.chunk, dtype=self.dtype)
                    whole[tuple(slice(0, size) for size in block.shape)] = block
                    block = whole
                content = block.astype(self.dtype, copy=False).tobytes()
                stream.write(content)
                stream.write(_checksum(content))
            places = np.arange(math.prod(self.grid), dtype="<u8") * self.chunk_bytes
            index = np.stack([places, np.full_like(places, self.chunk_bytes)], axis=1).tobytes()
            stream.write(index + _checksum(index))

    def _metadata(self) -> dict[str, Any]:
        numbers: dict[str, Any] = {"name": "bytes"}
        if self.dtype.itemsize > 1:
            numbers["configuration"] = {"endian": "little"}
        index = {"name": "bytes", "configuration": {"endian": "little"}}
        shard = [max(1, count) * step for count, step in zip(self.grid, self.chunk, strict=True)]
        sharding = {
            "chunk_shape": list(self.chunk),
            "codecs": [numbers, {"name": "crc32c"}],
            "index_codecs": [index, {"name": "crc32c"}],
            "index_location": "end",
        }
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": self.dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
            "attributes": {},
        }


def group_metadata(attributes: dict[str, Any]) -> str:
    """The zarr.json of a folder of arrays."""
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}, indent=1)


def _checksum(content: bytes) -> bytes:
    return int(google_crc32c.value(content)).to_bytes(CHECKSUM, "little")
