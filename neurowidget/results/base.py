"""What every result has: provenance, meaning (`signed`), saving, a table and a picture in a notebook cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a number comes from: enough to compute it again."""

    method: str
    model: str
    weights_hash: str = ""
    tokenizer_hash: str = ""
    site: str = ""
    target: str = ""
    seed: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def read_only(values: Any, dtype: Any = None) -> np.ndarray:
    """`values` as a contiguous array that cannot be written to; the caller's array is copied if it could."""
    array = np.ascontiguousarray(values, dtype=dtype)
    if array.flags.writeable:
        array = array.copy() if array is values or array.base is not None else array
        array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """Base of all results: frozen, numpy only, shown by the hook that `neurowidget/__init__` fills."""

    provenance: Provenance

    signed: ClassVar[bool] = True
    show_hook: ClassVar[Callable[[Any], Any] | None] = None

    def save(self, path: str | Path) -> Path:
        """Write to `path` (.npz with a JSON header, never pickle) and return the path written."""
        from neurowidget.results.storage import save

        return save(self, path)

    def to_pandas(self) -> pd.DataFrame:
        """The numbers as a pandas table, one row per token, neuron or label."""
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_pandas needs pandas: pip install 'neurowidget[pandas]'") from error
        return pd.DataFrame(self.to_columns())

    def to_columns(self) -> dict[str, list[Any]]:
        """The numbers as columns of equal length: what `to_pandas` and CSV export are made of."""
        raise TypeError(f"{type(self).__name__} has no table form")

    def __repr__(self) -> str:
        parts = []
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                parts.append(f"{item.name}={value.dtype}{list(value.shape)}")
            elif isinstance(value, str | int | float | bool) and value != "":
                parts.append(f"{item.name}={value!r}"[:80])
        return f"{type(self).__name__}({', '.join(parts)})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        widget = self._view()
        if widget is None:
            return {"text/plain": str(self)}
        return widget._repr_mimebundle_(include=include, exclude=exclude)

    def _ipython_display_(self) -> None:
        # Two outputs, the view and its static copy, can only be made here: a mimebundle is one output.
        widget = self._view()
        if widget is None:
            print(self)
        else:
            widget._ipython_display_()

    def _view(self) -> Any:
        return None if Result.show_hook is None else Result.show_hook(self)
