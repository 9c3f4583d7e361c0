"""Arrays on the wire and in pages: `{"data", "dtype", "shape", "scale"?}`, little-endian, C order (ARCHITECTURE.md, Wire)."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

FLOATS = ("float32", "float16", "int32")
MAX_PREVIEW_CELLS = 65_536


def encode(array: np.ndarray, dtype: str = "float16") -> dict[str, Any]:
    """A wire array of `array`; `uint8` is square-root quantised with one scale per index of the first axis.

    Raises ValueError when a finite value does not fit into float16 (65,504).
    """
    if dtype == "uint8":
        codes, scale = quantise(array)
        return {
            "data": codes.tobytes(),
            "dtype": "uint8",
            "shape": list(array.shape),
            "scale": scale.tolist(),
        }
    if dtype not in FLOATS:
        raise ValueError(f"expected dtype 'uint8' or one of {FLOATS}, got {dtype!r}")
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(array, dtype=np.dtype(dtype).newbyteorder("<"))
    if dtype == "float16" and bool((np.isinf(values) & np.isfinite(array)).any()):
        raise ValueError("a value past 65,504 does not fit into float16: use float32")
    return {"data": values.tobytes(), "dtype": dtype, "shape": list(array.shape)}


def decode(wire: Mapping[str, Any]) -> np.ndarray:
    """The float32 array behind a wire array; `data` may be bytes or base64 text; raises ValueError on a size mismatch."""
    data = wire["data"]
    raw = base64.b64decode(data, validate=True) if isinstance(data, str) else bytes(data)
    shape = tuple(int(n) for n in wire["shape"])
    dtype = wire["dtype"]
    if dtype not in (*FLOATS, "uint8"):
        raise ValueError(f"unknown array dtype {dtype!r}")
    kind = np.dtype(dtype).newbyteorder("<")
    if math.prod(shape) * kind.itemsize != len(raw):
        raise ValueError(f"{len(raw)} bytes do not make a {dtype} array of shape {shape}")
    values = np.frombuffer(raw, dtype=kind).reshape(shape)
    return dequantise(values, np.asarray(wire["scale"])) if dtype == "uint8" else values.astype(np.float32)


def quantise(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 codes and one scale per index of the first axis: s = (q - 128) / 127, value = scale * s * |s|; q = 0 is NaN.

    The square root keeps small activations apart beside a few huge ones: the relative error of a value v is at most
    sqrt(scale / |v|) / 127.
    """
    flat = np.asarray(array, dtype=np.float32).reshape(len(array), -1)
    finite = np.where(np.isfinite(flat), np.abs(flat), 0)
    scale = finite.max(axis=1, initial=0) if flat.size else np.zeros(len(array), np.float32)
    relative = flat / np.where(scale > 0, scale, 1)[:, None]
    with np.errstate(invalid="ignore"):
        codes = np.rint(np.sign(relative) * np.sqrt(np.abs(np.clip(relative, -1, 1))) * 127) + 128
    codes = np.where(np.isnan(flat), 0, codes)
    return codes.astype(np.uint8).reshape(array.shape), scale.astype(np.float32)


def dequantise(codes: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The inverse of `quantise`, float32."""
    s = (codes.astype(np.float32) - 128) / 127
    values = s * np.abs(s) * scale.astype(np.float32).reshape(-1, *[1] * (codes.ndim - 1))
    return np.where(codes == 0, np.float32("nan"), values)


def pool_columns(array: np.ndarray, cells: int = MAX_PREVIEW_CELLS) -> np.ndarray:
    """(row, column) pooled by signed max-|v| over neighbouring columns to at most `cells` cells."""
    rows, columns = array.shape
    step = max(1, -(-rows * columns // cells))
    if step == 1:
        return array
    padded = np.full((rows, -(-columns // step) * step), np.nan, dtype=np.float32)
    padded[:, :columns] = array
    return signed_max(padded.reshape(rows, -1, step), axis=2)


def signed_max(array: np.ndarray, axis: int) -> np.ndarray:
    """The value of largest magnitude along an axis, with its sign; NaN only where all are NaN."""
    magnitude = np.where(np.isnan(array), -1, np.abs(array))
    index = np.expand_dims(magnitude.argmax(axis=axis), axis)
    return np.take_along_axis(array, index, axis=axis).squeeze(axis)


def preview(array: np.ndarray) -> dict[str, Any]:
    """A first picture that needs no binary buffer: base64 uint8 of (row, column), at most 65,536 cells."""
    pooled = pool_columns(np.asarray(array, dtype=np.float32))
    wire = encode(pooled, "uint8")
    return wire | {"data": base64.b64encode(wire["data"]).decode("ascii"), "columns": int(array.shape[1])}
