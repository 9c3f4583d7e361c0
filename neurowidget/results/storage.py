"""Saving and loading results: one .npz file of plain arrays, one of which, `header`, is JSON as UTF-8 bytes.

The JSON is a tree: null, true, strings and finite numbers stand for themselves, everything else is a list whose first
entry says what it is: `["list", ...]`, `["tuple", ...]`, `["dict", [key, value], ...]`, `["number", "nan"]`,
`["array", "a0"]` (the member a0.npy), `["neuron", "L5.mlp[131]"]`, `["Tokens", [field, value], ...]`. Nothing is ever
unpickled, and members are stored uncompressed, so that a file cannot ask for more memory than it has bytes.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from neurowidget.neuron import LayerSite, Neuron
from neurowidget.results.activations import Activations
from neurowidget.results.agreement import RankingAgreement
from neurowidget.results.attribution import Attribution
from neurowidget.results.base import Provenance, Result
from neurowidget.results.checking import check_fields
from neurowidget.results.curves import DoseResponse
from neurowidget.results.effects import Effects
from neurowidget.results.examples import Examples
from neurowidget.results.explanations import Explanation, Statement
from neurowidget.results.faithfulness import Faithfulness
from neurowidget.results.firing import FiringNeurons
from neurowidget.results.groups import LayerSimilarity, NeuronFactors, NeuronGroups, NeuronMap, NeuronMatches
from neurowidget.results.kept_texts import KeptTexts
from neurowidget.results.knowledge import KnowledgeNeurons
from neurowidget.results.mediation import MediationEffects
from neurowidget.results.patching import PatchingEffects
from neurowidget.results.paths import PathEffects
from neurowidget.results.prediction import Prediction
from neurowidget.results.probe import LinearProbe
from neurowidget.results.ranking import NeuronRanking, RankingReport
from neurowidget.results.steering import SteeringSweep, SteeringVector
from neurowidget.results.tokens import Tokens
from neurowidget.results.vocabulary import LogitLens, PromotedTokens

FORMAT = "neurowidget result"
VERSION = 1
_KINDS: tuple[type[Result], ...] = (
    Activations,
    Attribution,
    DoseResponse,
    Effects,
    Examples,
    Explanation,
    Faithfulness,
    FiringNeurons,
    KnowledgeNeurons,
    LayerSimilarity,
    LogitLens,
    MediationEffects,
    NeuronFactors,
    NeuronGroups,
    NeuronMap,
    NeuronMatches,
    NeuronRanking,
    RankingAgreement,
    PatchingEffects,
    PathEffects,
    Prediction,
    PromotedTokens,
    SteeringSweep,
    SteeringVector,
)
RESULTS: Mapping[str, type[Result]] = MappingProxyType({kind.__name__: kind for kind in _KINDS})
_CLASSES: dict[str, type[Any]] = {
    **RESULTS,
    "Tokens": Tokens,
    "KeptTexts": KeptTexts,
    "Statement": Statement,
    "Provenance": Provenance,
}
_CLASSES |= {"LinearProbe": LinearProbe, "RankingReport": RankingReport}
_DEEPEST = 50
_HEADER_BYTES = 256_000_000
_STORED_TYPES = "biuf"  # kinds of arrays: booleans, integers, floats


class ResultFileError(ValueError):
    """A file that is no saved result, is damaged, or comes from a newer version."""


def save(result: Result, path: str | Path) -> Path:
    """Write `result` to `path`, which gets the suffix .npz when it has another, and return the path written.

    The file appears complete or not at all. Raises TypeError naming the field that cannot be written without pickle,
    and ValueError naming a field of another type than it should be.
    """
    if type(result).__name__ not in RESULTS:
        raise TypeError(f"expected a result ({', '.join(RESULTS)}), got {type(result).__name__}")
    path = Path(path)
    path = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
    arrays: dict[str, np.ndarray] = {}
    tree = {"format": FORMAT, "version": VERSION, "result": _packed(result, type(result).__name__, arrays)}
    text = json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    header = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)

    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        os.chmod(temporary, 0o666 & ~_umask())
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, allow_pickle=False, header=header, **arrays)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def load(path: str | Path) -> Result:
    """Read a result that `save` wrote; needs no torch.

    Raises ResultFileError, saying what is wrong, for any other file, and the usual OSError where there is none. A
    hostile file can at most cost memory in proportion to its own size.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            members = _members(archive, path.stat().st_size)
            text = _array(archive, members, "header").tobytes().decode("utf-8", "surrogatepass")
            tree = json.loads(text, parse_constant=_no_constant)
            if not isinstance(tree, dict) or tree.get("format") != FORMAT:
                raise ResultFileError("its header is not that of a saved result")
            if tree.get("version") != VERSION:
                raise ResultFileError(
                    f"it has version {tree.get('version')!r} of the format, this neurowidget reads {VERSION}; "
                    "update neurowidget"
                )
            result = _unpacked(tree.get("result"), archive, members, 0)
    except OSError:
        raise
    except (ResultFileError, zipfile.BadZipFile) as error:
        raise ResultFileError(f"{path} cannot be loaded as a result: {error}") from None
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RecursionError,
        EOFError,
        NotImplementedError,
    ) as error:
        raise ResultFileError(f"{path} cannot be loaded as a result: {type(error).__name__}: {error}") from error
    if not isinstance(result, Result):
        raise ResultFileError(f"{path} holds {type(result).__name__}, expected one of {', '.join(RESULTS)}")
    return result


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _packed(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """`value` as the tree described at the top; arrays go to `arrays`. `name` says where in the result it stands."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else ["number", repr(value)]
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in _STORED_TYPES:
            raise TypeError(f"{name} has the dtype {value.dtype}, which cannot be saved: only numbers and booleans can")
        arrays[f"a{len(arrays)}"] = value
        return ["array", f"a{len(arrays) - 1}"]
    if isinstance(value, Neuron | LayerSite):
        return ["neuron", str(value)]
    if isinstance(value, Mapping):
        pairs = (
            [_packed(key, f"{name} key", arrays), _packed(item, f"{name}[{key!r}]", arrays)]
            for key, item in value.items()
        )
        return ["dict", *pairs]
    if isinstance(value, tuple | list):
        items = [_packed(item, f"{name}[{i}]", arrays) for i, item in enumerate(value)]
        return ["tuple" if isinstance(value, tuple) else "list", *items]
    kind = type(value).__name__
    if _CLASSES.get(kind) is type(value):
        named = {f.name: getattr(value, f.name) for f in fields(value)}
        check_fields(type(value), named)  # so that whatever is written can be loaded
        return [kind, *([field, _packed(item, f"{name}.{field}", arrays)] for field, item in named.items())]
    raise TypeError(
        f"{name} is a {kind}, which cannot be saved; use numbers, strings, tuples, dicts or arrays of numbers"
    )


def _unpacked(node: Any, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], depth: int) -> Any:
    """The value that a node of the tree stands for."""
    if depth > _DEEPEST:
        raise ResultFileError(f"its header is nested more than {_DEEPEST} deep")
    if node is None or isinstance(node, bool | str | int | float):
        return node
    if not isinstance(node, list) or not node or not isinstance(node[0], str):
        raise ResultFileError(f"its header holds {str(node)[:60]!r} where a value was expected")
    kind, rest = node[0], node[1:]
    if kind in ("list", "tuple"):
        items = [_unpacked(item, archive, members, depth + 1) for item in rest]
        return items if kind == "list" else tuple(items)
    if kind == "dict" or kind in _CLASSES:
        pairs = [[_unpacked(part, archive, members, depth + 1) for part in pair] for pair in rest if len(pair) == 2]
        if len(pairs) != len(rest):
            raise ResultFileError(f"a {kind} in its header has an entry that is no pair")
        named = dict(pairs)
        if len(named) != len(pairs):
            raise ResultFileError(f"a {kind} in its header has a key twice")
        if kind == "dict":
            return named
        check_fields(_CLASSES[kind], named)
        return _CLASSES[kind](**named)
    if len(rest) == 1 and isinstance(rest[0], str):
        if kind == "array":
            return _array(archive, members, rest[0])
        if kind == "number" and rest[0] in ("nan", "inf", "-inf"):
            return float(rest[0])
        if kind == "neuron":
            return Neuron.parse(rest[0]) if rest[0].endswith("]") else LayerSite.parse(rest[0])
    raise ResultFileError(f"its header holds {kind[:40]!r}, which this version does not know")


def _no_constant(name: str) -> float:
    raise ResultFileError(f"its header holds {name}, which is no JSON")


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The arrays of a file by name; refuses whatever `save` does not write."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise ResultFileError(f"{info.filename!r} is compressed or encrypted, which `save` never writes")
        if not info.filename.endswith(".npy") or name in members:
            raise ResultFileError(f"it has the unexpected or repeated member {info.filename!r}")
        members[name] = info
    if "header" not in members:
        raise ResultFileError("it has no header; arrays of your own become a result with activations_from_array")
    if sum(info.file_size for info in members.values()) > size:
        raise ResultFileError("its members claim more bytes than the file has")
    if members["header"].file_size > _HEADER_BYTES:
        raise ResultFileError(f"its header has more than {_HEADER_BYTES:,} bytes")
    return members


def _array(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str) -> np.ndarray:
    """One member, its shape checked against its size before memory is taken."""
    if name not in members:
        raise ResultFileError(f"its header names the array {name[:40]!r}, which is missing")
    with archive.open(members[name]) as stream:
        shape, fortran, dtype = _npy_header(stream, name)
        if dtype.kind not in _STORED_TYPES or dtype.itemsize > 8 or dtype.hasobject:
            raise ResultFileError(f"the array {name!r} has the dtype {dtype}, expected numbers or booleans")
        count = math.prod(shape)
        if min(shape, default=0) < 0 or count * dtype.itemsize > members[name].file_size:
            raise ResultFileError(f"the array {name!r} claims the shape {shape}, for which it has too few bytes")
        content = stream.read(count * dtype.itemsize)
        if len(content) != count * dtype.itemsize:
            raise ResultFileError(f"the array {name!r} is cut off")
        if stream.read(1):
            raise ResultFileError(f"the array {name!r} has bytes beyond its shape {shape}")
    return np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if fortran else "C")


def _npy_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(stream)
    if version == (1, 0):
        return npy.read_array_header_1_0(stream)
    if version == (2, 0):
        return npy.read_array_header_2_0(stream)
    raise ResultFileError(f"the array {name!r} has version {version} of the .npy format")
