"""Sites and texts of a store, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurowidget.results.activations import Activations

if TYPE_CHECKING:
    from neurowidget.extraction.store import ActivationStore


class StoredSite:
    """One site of a store; numbers and slices on the three axes read that block, as it is stored."""

    axes = Activations.axes
    ndim = 3

    def __init__(self, store: ActivationStore, site: str) -> None:
        self.store, self.site = store, site
        self.shape = (len(store.layers[site]), store.rows(site), store.header.widths[site])
        self.dtype = np.dtype(store.header.dtype)

    def __repr__(self) -> str:
        return f"StoredSite({self.site!r}, {self.dtype}{list(self.shape)} in {str(self.store.path)!r})"

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) > 3 or not all(isinstance(one, slice | int | np.integer) for one in keys):
            raise TypeError(f"{self!r} takes numbers and slices for (layer, token, neuron), got {key!r}")
        picked: list[slice] = []
        for one, size in zip((*keys, *[slice(None)] * (3 - len(keys))), self.shape, strict=True):
            if isinstance(one, slice):
                if one.step not in (None, 1):
                    raise ValueError(f"{self!r} is read in order, without steps; got {one}")
                picked.append(one)
            elif not -size <= one < size:
                raise IndexError(f"{one} is past the end of an axis of {size} in {self!r}")
            else:
                picked.append(slice(int(one) % size, int(one) % size + 1))
        values = self.store.read(self.site, *picked)
        return values[tuple(0 if not isinstance(one, slice) else slice(None) for one in keys)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = self[:]
        return values if dtype is None else values.astype(dtype, copy=False)


class StoredTexts(Sequence[str]):
    """The texts of a store; reads those that are asked for, and one part at a time in a loop."""

    def __init__(self, store: ActivationStore) -> None:
        self._store = store

    def __len__(self) -> int:
        return self._store.num_texts

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        part, text = self._store.place_of(index)
        return self._store.table(part, "").text_strings(slice(text, text + 1))[0]

    def __iter__(self) -> Iterator[str]:
        for part, manifest in enumerate(self._store.parts):
            yield from self._store.table(part, "").text_strings(slice(0, manifest.texts))
