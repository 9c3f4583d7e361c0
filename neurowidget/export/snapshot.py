"""The synced state of a widget as plain JSON and buffers: what pages embed, what fixtures hold, what JS tests mount."""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurowidget.export import arrays

_BINARY = (bytes, bytearray, memoryview)
_HOST_ONLY = ("_esm", "_css", "_anywidget_id", "layout", "tabbable", "tooltip", "comm", "keys")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One view at one moment: its kind (the stem of its JS file) and its state; buffers are still bytes in it."""

    kind: str
    state: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The state as JSON, arrays as base64 text."""
        return {
            "kind": self.kind,
            "state": _map_bytes(self.state, lambda raw: base64.b64encode(raw).decode("ascii")),
        }

    def split(self) -> tuple[dict[str, Any], list[tuple[list[str | int], bytes]]]:
        """The state without its buffers, and the buffers with the path each one belongs to."""
        buffers: list[tuple[list[str | int], bytes]] = []
        return _take_bytes(self.state, [], buffers), buffers


def snapshot(widget: Any, precision: str = "uint8") -> Snapshot:
    """The snapshot of a widget without a kernel; float arrays are stored as `precision` (uint8, float16 or float32)."""
    state = {key: value for key, value in widget.get_state().items() if key not in _HOST_ONLY and not _is_plumbing(key)}
    state = _requantise(copy.deepcopy(_map_bytes(state, bytes)), precision)
    return Snapshot(kind=state["_kind"], state=state | {"_live": False})


def _is_plumbing(key: str) -> bool:
    return key.startswith(("_model_", "_view_", "_dom_"))


def _map_bytes(value: Any, convert: Any) -> Any:
    if isinstance(value, _BINARY):
        return convert(bytes(value))
    if isinstance(value, Mapping):
        return {key: _map_bytes(item, convert) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_map_bytes(item, convert) for item in value]
    return value


def _take_bytes(value: Any, path: list[str | int], buffers: list[tuple[list[str | int], bytes]]) -> Any:
    if isinstance(value, _BINARY):
        buffers.append((path, bytes(value)))
        return None
    if isinstance(value, Mapping):
        return {key: _take_bytes(item, [*path, key], buffers) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_take_bytes(item, [*path, i], buffers) for i, item in enumerate(value)]
    return value


def _requantise(value: Any, precision: str) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("data"), bytes) and value.get("dtype") in ("float32", "float16"):
            return value if precision == value["dtype"] else arrays.encode(arrays.decode(value), precision)
        return {key: _requantise(item, precision) for key, item in value.items()}
    if isinstance(value, list):
        return [_requantise(item, precision) for item in value]
    return float(value) if isinstance(value, np.floating) else value
