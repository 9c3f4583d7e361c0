"""Names for exact weights and tokenizers."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def hash_of_weights(module: nn.Module) -> str:
    """sha256 over the names, shapes, dtypes and bytes of the state dict; tensors without data count by shape."""
    digest = hashlib.sha256()
    seen: dict[tuple[int, object], str] = {}
    for name, value in module.state_dict().items():
        digest.update(f"{name}:".encode())
        if not isinstance(value, torch.Tensor):
            digest.update(repr(value).encode())
            continue
        digest.update(f"{tuple(value.shape)}:{value.dtype};".encode())
        if value.device.type == "meta":
            continue
        first = seen.setdefault((value.data_ptr(), value.stride()), name) if value.numel() else name
        if first != name:  # tied weights
            digest.update(first.encode())
            continue
        plain = value.dequantize() if value.is_quantized else value
        flat = plain.detach().contiguous().cpu().reshape(-1)
        if flat.numel():
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def state_of_weights(module: nn.Module) -> object:
    """Something that differs after a parameter was replaced or changed in place (but not through `.data`)."""
    tensors = [*module.parameters(), *module.buffers()]
    return [(t.data_ptr(), None if t.is_inference() else t._version) for t in tensors]


def hash_of_tokenizer(tokenizer: Any) -> str:
    """sha256 of the tokenizer's serialised form; truncation and padding, which calls change, do not count."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        content: Any = {k: v for k, v in json.loads(backend.to_str()).items() if k not in ("truncation", "padding")}
    else:
        content = tokenizer.get_vocab()
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@functools.cache
def versions() -> Mapping[str, str]:
    """The versions of the packages that numbers depend on."""
    found = {}
    for package in ("neurowidget", "torch", "transformers", "tokenizers", "numpy"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
