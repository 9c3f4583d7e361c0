"""What a store says about itself: one header, and one manifest for each finished part.

    acts.zarr/zarr.json                  the header, in the attributes of the root group
    acts.zarr/complete.json              all manifests in order; there once the last part is finished
    acts.zarr/parts/000000/zarr.json     the manifest of the part, in the attributes of its group
    acts.zarr/parts/000000/mlp/          one array (layer, row, neuron) per site
    acts.zarr/parts/000000/token-*/      the rows and texts of the part, see token_table.py

A part is written under another name and renamed when all of it is on the disk: a folder `parts/NNNNNN` is finished.
Everything is JSON and arrays of numbers. What is read is checked against the annotations here, bounded, and never unpickled.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from neurowidget.extraction.plain_arrays import PlainArray, StoreError, group_metadata
from neurowidget.results.checking import check_fields

FORMAT, VERSION = "neurowidget store", 1
DTYPES = ("float16", "float32")
MOST_BYTES = 2**28  # of a JSON file
MOST_NEURONS, MOST_LAYERS, MOST_ROWS = 2**24, 2**14, 2**31
SITE = re.compile(r"((encoder|decoder)\.)?[a-z_]+")
TABLE_DTYPES = {"columns": "int32", "texts": "int32", "pieces": "uint8", "raw": "uint8", "characters": "uint8"}


@dataclass(frozen=True, kw_only=True)
class Header:
    """What all parts of a store have in common; a store is only continued by a call with the same."""

    model: str
    weights_hash: str
    tokenizer_hash: str
    corpus: str
    corpus_hash: str
    targets_hash: str
    layers: Mapping[str, tuple[int, ...]]
    widths: Mapping[str, int]
    dtype: str
    words: str | None
    special_tokens: str
    window: str | None
    interventions: tuple[str, ...]
    batch_tokens: int
    threads: int
    part_characters: int
    device: str
    versions: Mapping[str, str]

    def check(self) -> None:
        """Raise ValueError for numbers and names that no store has."""
        if not self.layers or self.layers.keys() != self.widths.keys():
            raise ValueError("layers and widths should name the same sites, one or more")
        for site, layers in self.layers.items():
            if not SITE.fullmatch(site) or not 0 < self.widths[site] <= MOST_NEURONS:
                raise ValueError(f"{site[:40]!r} with {self.widths[site]} neurons is no site")
            if not 0 < len(layers) <= MOST_LAYERS or len(set(layers)) != len(layers) or min(layers) < 0:
                raise ValueError(f"the layers of {site!r} should be different numbers from 0")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype {self.dtype[:40]!r} should be one of {', '.join(DTYPES)}")
        if min(self.batch_tokens, self.threads, self.part_characters) < 1:
            raise ValueError("batch_tokens, threads and part_characters should be 1 or more")

    def stack(self, site: str) -> str:
        """Which tokens the rows of a site are: "decoder", or "" for those of the only stack or the encoder."""
        return "decoder" if site.startswith("decoder.") else ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Sizes of the tokens of one stack in one part, and its labels: `of` "row" or "text", the values that codes stand for."""

    rows: int
    level: str
    columns: tuple[str, ...]
    text_columns: tuple[str, ...]
    bytes: Mapping[str, int]  # of pieces, raw, characters
    labels: Mapping[str, tuple[Any, ...]]  # name -> values; its codes are the column "label:NAME"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One finished part: texts `first_text` to `first_text + texts`, and what its arrays look like."""

    number: int
    first_text: int
    texts: int
    chunk_rows: int
    chunk_neurons: int
    tables: Mapping[str, Mapping[str, Any]]  # stack -> the fields of a Table

    def table(self, stack: str) -> Table:
        """The sizes of the tokens of a stack, "" or "decoder"."""
        return _made(Table, self.tables[stack])

    def rows(self, stack: str) -> int:
        """How many rows the part has in a stack."""
        return int(self.tables[stack]["rows"]) if stack in self.tables else 0

    def check(self) -> None:
        """Raise ValueError for numbers that no part has."""
        counts = [self.number, self.first_text, self.texts]
        if not self.tables or not self.tables.keys() <= {"", "decoder"}:
            raise ValueError("tables should be those of the stacks '' and 'decoder'")
        for stack in self.tables:
            table = self.table(stack)
            counts += [table.rows, *table.bytes.values()]
            if table.level not in ("token", "word") or table.bytes.keys() != {"pieces", "raw", "characters"}:
                raise ValueError("level should be token or word, and bytes those of pieces, raw and characters")
        if not (all(0 <= count < MOST_ROWS for count in counts) and self.texts):
            raise ValueError("a count is out of range")
        if not (0 < self.chunk_rows <= 2**20 and 0 < self.chunk_neurons <= 2**20):
            raise ValueError("a chunk has a size out of range")


Described = TypeVar("Described", Header, Manifest, Table)


def site_array(folder: Path, header: Header, manifest: Manifest, site: str) -> PlainArray:
    """The array of a site in one part."""
    width = header.widths[site]
    shape = (len(header.layers[site]), manifest.rows(header.stack(site)), width)
    chunk = (1, manifest.chunk_rows, min(width, manifest.chunk_neurons))
    return PlainArray(folder / site, shape, np.dtype(header.dtype), chunk)


def table_arrays(folder: Path, manifest: Manifest, stack: str) -> dict[str, PlainArray]:
    """The arrays of the tokens of a stack in one part, see token_table.py."""
    table = manifest.table(stack)
    prefix = f"{stack}-token" if stack else "token"
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
        "columns": ((len(table.columns), table.rows), (1, min(2**14, max(1, table.rows)))),
        "texts": ((len(table.text_columns), manifest.texts), (1, min(2**14, manifest.texts))),
    }
    shapes |= {name: ((size,), (min(2**16, max(1, size)),)) for name, size in table.bytes.items()}
    return {
        name: PlainArray(folder / f"{prefix}-{name}", shape, np.dtype(TABLE_DTYPES[name]), chunk)
        for name, (shape, chunk) in shapes.items()
    }


def part_folder(root: Path, number: int) -> Path:
    """Where the finished part `number` is."""
    return root / "parts" / f"{number:06d}"


def described(described: Header | Manifest) -> dict[str, Any]:
    """A header or manifest as the attributes of a zarr group."""
    return {"neurowidget": {"format": FORMAT, "version": VERSION, **asdict(described)}}


def read_header(root: Path) -> Header:
    """The header of the store at `root`; raises StoreError where there is none or it is damaged."""
    file = root / "zarr.json"
    if not file.is_file():
        raise StoreError(f"{root} is no store: it has no zarr.json. Make one with nw.extract(..., store={str(root)!r})")
    return _checked(Header, _attributes(file), file)


def read_manifest(root: Path, number: int) -> Manifest:
    """The manifest of a finished part; raises StoreError where it is damaged."""
    file = part_folder(root, number) / "zarr.json"
    manifest = _checked(Manifest, _attributes(file), file)
    if manifest.number != number:
        raise StoreError(f"{file} is the manifest of part {manifest.number}, expected {number}")
    return manifest


def read_manifests(root: Path, header: Header) -> tuple[list[Manifest], bool]:
    """The manifests of the finished parts from the first without a gap, and whether these are all."""
    file = root / "complete.json"
    if complete := file.is_file():
        listed = _json(file)
        if not isinstance(listed, list) or not listed:
            raise StoreError(f"{file} should be a list of manifests")
        found = [_checked(Manifest, one, file) for one in listed]
    else:
        found = []
        while (part_folder(root, len(found)) / "zarr.json").is_file():
            found.append(read_manifest(root, len(found)))
    texts = 0
    for number, manifest in enumerate(found):
        if (manifest.number, manifest.first_text) != (number, texts):
            raise StoreError(f"{root}: the parts do not follow each other at part {number}")
        if any(header.stack(site) not in manifest.tables for site in header.layers):
            raise StoreError(f"{root}: part {number} lacks the tokens of a stack")
        texts += manifest.texts
    return found, complete


def finished_numbers(root: Path) -> set[int]:
    """The numbers of all finished parts, with gaps where several processes wrote."""
    return {int(item.name) for item in (root / "parts").glob("[0-9]*") if item.name.isdigit()}


def write_atomically(file: Path, text: str) -> None:
    """Write a file that appears whole or not at all, and survives a power cut."""
    temporary = file.with_name(f".{file.name}.tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk (where the system knows how)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def start_store(root: Path, header: Header) -> None:
    """Make the folder of a new store; its zarr.json comes last."""
    (root / "parts").mkdir(parents=True, exist_ok=True)
    write_atomically(root / "parts" / "zarr.json", group_metadata({}))
    write_atomically(root / "zarr.json", group_metadata(described(header)))


def _json(file: Path) -> Any:
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise StoreError(f"{file} has {size:,} bytes, more than the {MOST_BYTES:,} that are read")
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{file} is damaged: {error}") from None


def _attributes(file: Path) -> Any:
    content = _json(file)
    attributes = content.get("attributes") if isinstance(content, dict) else None
    return attributes.get("neurowidget") if isinstance(attributes, dict) else None


def _checked(kind: type[Described], content: Any, file: Path) -> Described:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise StoreError(f"{file} is not part of a store that neurowidget wrote")
    if content.get("version") != VERSION:
        raise StoreError(
            f"{file} has version {str(content.get('version'))[:20]} of the format, this neurowidget reads {VERSION}"
        )
    named = {name: value for name, value in content.items() if name not in ("format", "version")}
    try:
        made = _made(kind, named)
        if isinstance(made, Header | Manifest):
            made.check()
        return made
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{file} is damaged: {error}") from None


def _made(kind: type[Described], content: Mapping[str, Any]) -> Described:
    check_fields(kind, content)
    return kind(**{one.name: _tuples(content[one.name]) for one in fields(kind)})


def _tuples(value: Any) -> Any:
    """JSON lists as tuples, one level into mappings."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        return {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
    return value
