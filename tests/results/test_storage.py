"""What is saved comes back equal; what is hostile is refused with a sentence."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pkgutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import neurowidget.results
from neurowidget.neuron import LayerSite, Neuron
from neurowidget.results.base import Result
from neurowidget.results.storage import RESULTS, ResultFileError, load, save


def assert_same(a: Any, b: Any, where: str = "result") -> None:
    """The same types and values, arrays to the bit."""
    assert type(a) is type(b) or isinstance(a, Mapping), where
    if isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), where
        np.testing.assert_array_equal(a, b, err_msg=where)
        assert not b.flags.writeable, where
    elif is_dataclass(a) and not isinstance(a, Neuron | LayerSite):
        for field in fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name), f"{where}.{field.name}")
    elif isinstance(a, Mapping):
        assert list(a) == list(b), where
        for key in a:
            assert_same(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, tuple | list):
        assert len(a) == len(b), where
        for one, other in zip(a, b, strict=True):
            assert_same(one, other, where)
    else:
        assert a == b or (a != a and b != b), where


def all_result_classes() -> set[type[Result]]:
    for module in pkgutil.iter_modules(neurowidget.results.__path__):
        importlib.import_module(f"neurowidget.results.{module.name}")
    found, waiting = set(), [Result]
    while waiting:
        waiting += (children := waiting.pop().__subclasses__())
        found.update(child for child in children if child.__module__.startswith("neurowidget."))
    return {kind for kind in found if not kind.__subclasses__()}


def test_every_result_class_can_be_saved_and_is_tested(made):
    assert set(RESULTS.values()) == all_result_classes()
    assert set(made) == set(RESULTS)


def test_round_trip(result, tmp_path):
    path = result.save(tmp_path / "result.npz")
    assert path == tmp_path / "result.npz"
    assert_same(result, load(path))


def test_a_result_says_what_it_is_in_one_line(result):
    text = repr(result)
    assert text.startswith(f"{type(result).__name__}(")
    assert "array(" not in text
    assert "\n" not in text


def test_table_has_one_length(result):
    columns = result.to_columns()
    assert len({len(column) for column in columns.values()}) == 1
    assert list(result.to_pandas().columns) == list(columns)


def test_suffix_is_added(result, tmp_path):
    assert save(result, tmp_path / "a.b") == tmp_path / "a.b.npz"
    assert_same(result, load(str(tmp_path / "a.b.npz")))


def test_addresses_keep_their_type(made, tmp_path):
    provenance = replace(
        made["Effects"]().provenance, parameters={"n": Neuron(1, 2, stack="decoder"), "s": LayerSite(3)}
    )
    result = replace(made["Effects"](), provenance=provenance)
    assert load(save(result, tmp_path / "x")).provenance.parameters == provenance.parameters


def test_numpy_reads_the_arrays_without_pickle(result, tmp_path):
    with np.load(save(result, tmp_path / "x"), allow_pickle=False) as file:
        assert json.loads(file["header"].tobytes())["format"] == "neurowidget result"
        assert all(file[name].dtype.kind in "biufu" for name in file.files)


def test_big_endian_and_fortran_arrays(tmp_path, made):
    result = made["Effects"]()
    path = save(result, tmp_path / "x")
    content = members(path)
    stream = io.BytesIO()
    np.save(stream, np.asfortranarray(result.values.astype(">f8")))
    write(path, content | {"a0.npy": stream.getvalue()})
    np.testing.assert_array_equal(load(path).values, result.values)


def test_values_that_need_pickle_are_refused_by_name(made, tmp_path):
    result = replace(made["Activations"](), labels=(object(),) * 6)
    with pytest.raises(TypeError, match=r"Activations\.labels\[0\] is a object"):
        save(result, tmp_path / "x.npz")
    wrong = replace(made["Effects"]().provenance, parameters={"a": np.array(["text"])})
    with pytest.raises(TypeError, match=r"parameters\['a'\] has the dtype"):
        save(replace(made["Effects"](), provenance=wrong), tmp_path / "x.npz")
    with pytest.raises(TypeError, match="expected a result"):
        save({"a": 1}, tmp_path / "x.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_keeps_the_old_file(made, tmp_path, monkeypatch):
    path = save(made["Effects"](), tmp_path / "x.npz")
    before = path.read_bytes()

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        save(made["Prediction"](), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_the_file(made, tmp_path):
    before = os.umask(0o022)
    try:
        assert stat.S_IMODE(save(made["Effects"](), tmp_path / "x").stat().st_mode) == 0o644
    finally:
        os.umask(before)


def test_results_need_no_torch(made, tmp_path):
    path = save(made["Activations"](), tmp_path / "x.npz")
    code = (
        "import sys, importlib, pkgutil, neurowidget.results\n"
        "for m in pkgutil.iter_modules(neurowidget.results.__path__): importlib.import_module('neurowidget.results.' + m.name)\n"
        "from neurowidget.results.storage import load\n"
        f"load({str(path)!r}).to_columns()\n"
        "print(*sorted({'torch', 'transformers', 'captum', 'pandas', 'anywidget'} & set(sys.modules)))"
    )
    root = Path(neurowidget.results.__path__[0]).parent.parent
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert (run.returncode, run.stdout.strip()) == (0, ""), run.stderr


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, content: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def with_header(path: Path, change: Any) -> Path:
    """The file with its header changed: a function of the tree, or text."""
    content = members(path)
    tree = json.loads(np.load(io.BytesIO(content["header.npy"])).tobytes())
    text = change if isinstance(change, str) else json.dumps(change(tree))
    stream = io.BytesIO()
    np.save(stream, np.frombuffer(text.encode(), dtype=np.uint8))
    return write(path, content | {"header.npy": stream.getvalue()})


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def deep(depth: int) -> Any:
    return ["list", deep(depth - 1)] if depth else 1


HEADERS: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "JSONDecodeError"),
    "another format": (lambda tree: tree | {"format": "x"}, "not that of a saved result"),
    "a list": (lambda tree: [1], "not that of a saved result"),
    "a newer version": (lambda tree: tree | {"version": 2}, "update neurowidget"),
    "another class": (lambda tree: tree | {"result": ["Popen", ["args", "ls"]]}, "Popen"),
    "no result": (lambda tree: tree | {"result": ["tuple", 1]}, "holds tuple"),
    "only provenance": (lambda tree: tree | {"result": ["Provenance", ["method", "a"], ["model", "b"]]}, "holds Provenance"),
    "a field too few": (lambda tree: tree | {"result": tree["result"][:1] + tree["result"][3:]}, "Effects needs provenance"),
    "a field too many": (lambda tree: tree | {"result": [*tree["result"], ["__class__", "x"]]}, "has no field __class__"),
    "a field twice": (lambda tree: tree | {"result": [*tree["result"], tree["result"][-1]]}, "key twice"),
    "a pair of three": (lambda tree: tree | {"result": ["Effects", [1, 2, 3]]}, "no pair"),
    "a string for a pair": (lambda tree: tree | {"result": ["Effects", "ab"]}, "Effects"),
    "a number for a pair": (lambda tree: tree | {"result": ["Effects", 5]}, "TypeError"),
    "nested deep": (lambda tree: tree | {"result": deep(200)}, "nested more than"),
    "nested very deep": ('{"format":"neurowidget result","version":1,"result":' + "[" * 100_000, "RecursionError|JSON"),
    "a missing array": (lambda tree: tree | {"result": ["array", "a99"]}, "is missing"),
    "the header as array": (lambda tree: tree | {"result": ["array", "header"]}, "holds ndarray"),
    "NaN": ('{"format":"neurowidget result","version":1,"result":NaN}', "NaN"),
    "a bad number": (lambda tree: tree | {"result": ["number", "1e5"]}, "does not know"),
    "a bad neuron": (lambda tree: tree | {"result": ["neuron", "x]"]}, "expected a neuron"),
    "a wrong type": (
        lambda tree: tree | {"result": ["Effects", *[[n, ["dict"]] if n == "site" else [n, v] for n, v in tree["result"][1:]]]},
        r"Effects\.site should be",
    ),
    "a list for a key": (lambda tree: tree | {"result": ["dict", [["list"], 1]]}, "TypeError"),
    "many digits": ('{"format":"neurowidget result","version":1,"result":' + "1" * 5000 + "}", "ValueError"),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADERS)
def test_hostile_headers(case, made, tmp_path):
    change, message = HEADERS[case]
    path = with_header(save(made["Effects"](), tmp_path / "x.npz"), change)
    with pytest.raises(ResultFileError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(118 - 10 + 9) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


ARRAYS = {
    "claims too much": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}"), "too few bytes"),
    "overflows": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}"), "too few bytes"),
    "negative": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}"), "too few bytes"),
    "two negatives": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -1)}", bytes(8)), "too few bytes"),
    "pickled": (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"\x80\x04N."), "has the dtype object"),
    "text": (npy("{'descr': '<U4', 'fortran_order': False, 'shape': (1,)}", bytes(16)), "has the dtype"),
    "structured": (npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", bytes(4)), "has the dtype"),
    "no size": (npy("{'descr': '|V0', 'fortran_order': False, 'shape': (99999999,)}"), "has the dtype"),
    "cut off": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (30,)}", bytes(8)), "cut off"),
    "too long": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", bytes(8)), "beyond its shape"),
    "code": (npy("{'descr': __import__('os').getcwd(), 'fortran_order': False, 'shape': (1,)}"), "ValueError"),
    "empty": (b"", "ValueError"),
    "another version": (b"\x93NUMPY\x03\x00" + bytes(40), "version"),
    "another shape": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", bytes(12)), "need"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_hostile_arrays(case, made, tmp_path):
    content, message = ARRAYS[case]
    path = save(made["Effects"](), tmp_path / "x.npz")
    with pytest.raises(ResultFileError, match=message):
        load(write(path, members(path) | {"a0.npy": content}))


def test_pickles_are_never_opened(made, tmp_path):
    marker = tmp_path / "was-unpickled"
    path = save(made["Effects"](), tmp_path / "x.npz")
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb(marker)], dtype=object), allow_pickle=True)
    with pytest.raises(ResultFileError):
        load(write(path, members(path) | {"a0.npy": stream.getvalue()}))
    np.save(path, np.array([Bomb(marker)], dtype=object), allow_pickle=True)
    with pytest.raises(ResultFileError):
        load(path)
    assert not marker.exists()


def test_files_of_others(made, tmp_path):
    path = save(made["Effects"](), tmp_path / "x.npz")
    content = members(path)
    np.savez(tmp_path / "own.npz", a=np.zeros(3))
    with pytest.raises(ResultFileError, match="no header; arrays of your own"):
        load(tmp_path / "own.npz")
    with pytest.raises(ResultFileError, match="compressed"):
        load(write(tmp_path / "b.npz", content, zipfile.ZIP_DEFLATED))
    with pytest.raises(ResultFileError, match=r"unexpected or repeated member 'x\.py'"):
        load(write(tmp_path / "c.npz", content | {"x.py": b""}))
    with pytest.raises(ResultFileError, match="not a zip"):
        load(Path(__file__))
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.npz")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a0.npy", content["a0.npy"])
    with pytest.raises(ResultFileError, match="repeated member"):
        load(path)


def test_members_that_overlap_are_refused(made, tmp_path):
    """The zip bomb without compression: many entries that point at the same bytes."""
    path = save(made["Effects"](), tmp_path / "x.npz")
    with zipfile.ZipFile(path, "a") as archive:
        first = archive.infolist()[0]
        for number in range(2000):
            copy = zipfile.ZipInfo(f"b{number}.npy")
            copy.header_offset, copy.CRC = first.header_offset, first.CRC
            copy.file_size = copy.compress_size = first.file_size
            archive.filelist.append(copy)
            archive.NameToInfo[copy.filename] = copy
        archive._didModify = True
    with pytest.raises(ResultFileError, match="more bytes than the file has"):
        load(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_never_raise_anything_else(data, made, tmp_path):
    path = save(made["Prediction"](), tmp_path / "x.npz")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(bytes(content[:cut]) if data.draw(st.booleans()) else bytes(content))
    with contextlib.suppress(ResultFileError):
        assert isinstance(load(path), Result)


def test_a_result_defined_elsewhere_is_refused(made, tmp_path):
    @dataclass(frozen=True, eq=False, kw_only=True)
    class Own(Result):
        pass

    with pytest.raises(TypeError, match=r"expected a result .*, got Own"):
        Own(provenance=made["Effects"]().provenance).save(tmp_path / "x")
