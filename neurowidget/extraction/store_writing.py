"""Activations of a corpus to disk, part by part: what `extract(..., store=)` does.

A part is consecutive texts, about 256 MB of values. It is computed like any extraction, written under another name, and
renamed when all of it is on the disk; the disk is waited for while the next part is computed. Plan and number of threads are
in the header, so that a run that was killed and started again ends with the same bytes as one that was not.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from neurowidget.extraction.corpus import Corpus, StreamedCorpus
from neurowidget.extraction.engines import Part, characters_for, parts_of, run_parts
from neurowidget.extraction.plain_arrays import StoreError, group_metadata
from neurowidget.extraction.sentence import UNNAMED, Sentence
from neurowidget.extraction.store import ActivationStore
from neurowidget.extraction.store_format import (
    Header,
    Manifest,
    described,
    finished_numbers,
    part_folder,
    read_header,
    read_manifest,
    site_array,
    start_store,
    sync_folder,
    table_arrays,
    write_atomically,
)
from neurowidget.extraction.token_table import table_of
from neurowidget.models.batching import Text, encode_one
from neurowidget.models.progress import StopFlag
from neurowidget.results.activations import Activations

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

PART_BYTES = 2**28
FEWEST_TOKENS, MOST_TOKENS = 1024, 2**16  # of a part
CHUNK_ROWS, CHUNK_NEURONS = 2048, 32
MOST_SPECIAL = 8  # tokens that a tokenizer adds to a text
SAMPLE = 200  # texts that say how many characters a token has
NAMES_ONLY = ("model", "corpus")  # two names may stand for the same weights and texts, whose hashes count


@dataclass(frozen=True)
class Source:
    """The texts, as often as they are asked for, and what says which they are."""

    items: Callable[[], Iterable[Sentence | Text]]
    name: str
    hash: str
    count: int | None


def source_of(texts: Corpus | StreamedCorpus | Sequence[Text] | str) -> Source:
    """Where the texts of a store come from; raises ValueError where there are none."""
    if isinstance(texts, Corpus | StreamedCorpus):
        count = len(texts) if isinstance(texts, Corpus) else None
        source = Source(texts.sentences, texts.name, texts.hash, count)
    else:
        given = [texts] if isinstance(texts, str) else list(texts)
        if all(isinstance(text, str) for text in given):
            return source_of(Corpus([str(text) for text in given], name="texts")) if given else _no_texts()
        source = Source(lambda: given, "texts", hash_of_texts(given), len(given))
    if source.count == 0 or next(iter(source.items()), None) is None:
        return _no_texts()
    return source


def _no_texts() -> Source:
    raise ValueError("there are no texts: expected a list of strings, a list of lists of ids, or a Corpus")


def check_texts(model: NeuronModel, source: Source, window: str | None) -> None:
    """Raise ValueError for texts that `extract` would refuse, before hours are spent on those before them."""
    longest = None if window else model.max_length
    over: list[str] = []
    for index, item in enumerate(source.items()):
        text = item.text if isinstance(item, Sentence) else item
        if not text:
            raise ValueError(f"text {index} is empty; leave it out: corpus.filter(lambda sentence: sentence.text)")
        size = len(text.encode(errors="replace")) if isinstance(text, str) else len(text)
        if longest is not None and size + MOST_SPECIAL > longest:  # else no tokenizer makes too many tokens of it
            count = len(encode_one(model, text, index, "text", any_length=True).ids)
            over += [f"{index} ({count})"] if count > longest else []
    if over:
        shown = ", ".join(over[:5]) + (", ..." if over[5:] else "")
        raise ValueError(
            f"{len(over)} texts have more tokens than the {longest} that {model.name} takes: {shown}; shorten them, or pass"
            " window='overlap' (nothing is cut off silently)"
        )


def hash_of_texts(texts: Iterable[Text] | None) -> str:
    """sha256 of texts or ready ids, "" for None."""
    if texts is None:
        return ""
    content = json.dumps([text if isinstance(text, str) else list(text) for text in texts])
    return hashlib.sha256(content.encode()).hexdigest()


def write_store(
    model: NeuronModel,
    root: Path,
    source: Source,
    header: Header,
    options: Mapping[str, Any],
    *,
    targets: Sequence[Text] | None,
    engine: str,
    progress: bool,
    should_stop: StopFlag | None,
) -> ActivationStore:
    """Compute and write the parts that are not finished; `options` are those of `extract` for each part.

    Raises StoreError where another process writes, or a finished part is damaged; OSError where the disk is full.
    """
    lock = FileLock(root / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreError(f"{root} is being written by another process; wait for it, or use another folder") from None
    try:
        if not (root / "zarr.json").exists():
            start_store(root, header)
        _remove_unfinished(root)
        finished = _finished(root, header)
        if finished.keys() != _complete(root):
            (root / "complete.json").unlink(missing_ok=True)
            job = StoreJob(root, header, options, should_stop if engine == "local" else None)
            bar = tqdm(total=source.count, desc=f"extract to {root.name}", unit=" texts", disable=not progress)
            parts = parts_of(source.items(), header.part_characters, source.name, targets)
            todo = _unfinished(parts, dict(finished), bar)
            done = run_parts(
                model, job, todo, job.settle, engine=engine, threads=header.threads, should_stop=should_stop
            )
            with bar, closing(done):
                for part, manifest in done:
                    finished[part.number] = manifest
                    bar.update(len(part))
            ordered = [described(finished[number])["neurowidget"] for number in sorted(finished)]
            write_atomically(root / "complete.json", json.dumps(ordered))
    finally:
        _remove_unfinished(root)
        lock.release()
    return ActivationStore(root)


def _complete(root: Path) -> set[int]:
    """The numbers of all parts where the last one was finished, else {-1}."""
    try:
        store = ActivationStore(root)
    except StoreError:
        return {-1}
    return {manifest.number for manifest in store.parts} if store.complete else {-1}


def header_for(
    model: NeuronModel,
    root: Path,
    source: Source,
    layers: Mapping[str, tuple[int, ...]],
    options: Mapping[str, Any],
    *,
    targets: Sequence[Text] | None,
    interventions: tuple[str, ...],
    part_tokens: int | None,
    threads: int,
    device: str,
    default_batch_tokens: int,
) -> Header:
    """The header of this call: that of the store at `root` where there is one, which has to be the same.

    Raises StoreError naming everything that differs, and for a folder with other things in it.
    """
    before = _header_before(root)
    batch_tokens = options["batch_tokens"]
    if batch_tokens is None:
        batch_tokens = before.batch_tokens if before else default_batch_tokens
    if before is None:
        check_texts(model, source, options["window"])
    if before is not None and part_tokens is None:
        characters = before.part_characters
    else:
        widths = sum(len(numbers) * model.width(site) for site, numbers in layers.items())
        itemsize = torch.finfo(getattr(torch, options["dtype"])).bits // 8
        usual = min(max(PART_BYTES // (widths * itemsize), FEWEST_TOKENS), MOST_TOKENS)
        characters = _characters(model, source, usual if part_tokens is None else part_tokens)
    provenance = model.provenance("extract")
    header = Header(
        model=provenance.model,
        weights_hash=provenance.weights_hash,
        tokenizer_hash=provenance.tokenizer_hash,
        corpus=source.name,
        corpus_hash=source.hash,
        targets_hash=hash_of_texts(targets),
        layers=dict(layers),
        widths={site: model.width(site) for site in layers},
        dtype=options["dtype"],
        words=options["words"],
        special_tokens=options["special_tokens"],
        window=options["window"],
        interventions=interventions,
        batch_tokens=batch_tokens,
        threads=before.threads if before else threads,
        part_characters=characters,
        device=device,
        versions=dict(provenance.versions),
    )
    if before is not None:
        _require_same(root, before, header)
    return header


def _header_before(root: Path) -> Header | None:
    if (root / "zarr.json").exists():
        return read_header(root)
    if root.exists() and not root.is_dir():
        raise StoreError(f"{root} is a file; a store is a folder, such as 'acts.zarr'")
    ours = {".lock", "parts", ".zarr.json.tmp"}
    if root.exists() and (others := sorted(item.name for item in root.iterdir() if item.name not in ours)):
        raise StoreError(f"{root} is a folder with other things in it ({', '.join(others[:3])}); name a new one")
    root.mkdir(parents=True, exist_ok=True)
    return None


def _require_same(root: Path, before: Header, now: Header) -> None:
    differing = []
    for one in fields(Header):
        old, new = getattr(before, one.name), getattr(now, one.name)
        if one.name not in NAMES_ONLY and old != new:
            shown = [str(value)[:60] for value in (old, new)]
            differing.append(f"{one.name} is {shown[0]} there and {shown[1]} here")
    if differing:
        raise StoreError(
            f"{root} was made with other settings, and a store is never mixed: {'; '.join(differing)}."
            " Use another folder, or the settings of the store"
        )


def _characters(model: NeuronModel, source: Source, part_tokens: int) -> int:
    if part_tokens < 1:
        raise ValueError(f"part_tokens={part_tokens}: expected 1 or more")
    sample = [item.text if isinstance(item, Sentence) else item for item in itertools.islice(source.items(), SAMPLE)]
    tokens = [len(encode_one(model, text, i, "text", any_length=True).ids) for i, text in enumerate(sample)]
    return characters_for([len(text) for text in sample], tokens, part_tokens)


def _finished(root: Path, header: Header) -> dict[int, Manifest]:
    """The manifests of the finished parts, their files all there and of the right size."""
    found = {}
    for number in sorted(finished_numbers(root)):
        folder = part_folder(root, number)
        try:
            manifest = read_manifest(root, number)
            for site in header.layers:
                site_array(folder, header, manifest, site).check_size()
            for stack in manifest.tables:
                for array in table_arrays(folder, manifest, stack).values():
                    array.check_size()
        except (StoreError, OSError) as error:
            raise StoreError(
                f"{error}. Delete the folder {folder} and run this again: only that part is computed anew"
            ) from error
        found[number] = manifest
    return found


def _unfinished(parts: Iterable[Part], finished: Mapping[int, Manifest], bar: Any) -> Iterator[Part]:
    for part in parts:
        if part.targets is not None and len(part.targets) != len(part):
            raise ValueError(f"there are {part.first + len(part.targets)} targets, fewer than texts: one per text")
        manifest = finished.get(part.number)
        if manifest is None:
            yield part
        elif (manifest.first_text, manifest.texts) != (part.first, len(part)):
            raise StoreError(
                f"part {part.number} of the store has texts {manifest.first_text} to"
                f" {manifest.first_text + manifest.texts}, expected {part.first} to {part.first + len(part)}"
            )
        else:
            bar.update(len(part))


def _remove_unfinished(root: Path) -> None:
    """Remove what was begun; each is renamed first, so that a worker that still lives cannot finish half of it."""
    for leftover in (root / "parts").glob(".*"):
        doomed = leftover.with_name(f".removed.{uuid.uuid4().hex}")
        with suppress(OSError):
            os.rename(leftover, doomed)
            shutil.rmtree(doomed) if doomed.is_dir() else doomed.unlink()


@dataclass(frozen=True)
class StoreJob:
    """Computes and writes one part; `settle` finishes it. Picklable, since Ray sends it to its workers."""

    root: Path
    header: Header
    options: Mapping[str, Any]
    should_stop: StopFlag | None = None

    def __call__(self, model: NeuronModel, part: Part) -> tuple[Path, Manifest]:
        """Write the part under another name; what is written so far is removed when that fails."""
        from neurowidget.extraction.activations import extract

        if model.weights_hash != self.header.weights_hash:
            raise StoreError(f"part {part.number}: the weights here are not those that {self.root} was begun with")
        try:
            found = extract(
                model,
                part.texts,
                list(self.header.layers),
                targets=part.targets,
                progress=False,
                should_stop=self.should_stop,
                **self.options,
            )
        except ValueError as error:
            error.add_note(
                f"In this message text 0 is text {part.first} of the corpus (part {part.number} of the store)."
            )
            raise
        folder = self.root / "parts" / f".{part.number:06d}.{uuid.uuid4().hex}"
        try:
            return folder, self.write(folder, part, found)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise self._failed(error, part.number) from error
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def write(self, folder: Path, part: Part, found: Activations) -> Manifest:
        """The arrays of a part and its manifest."""
        folder.mkdir()
        tables, arrays = {}, {}
        for stack, tokens in (("", found.tokens), ("decoder", found.decoder_tokens)):
            if tokens is not None:
                table, arrays[stack] = table_of(tokens, _named_labels(found) if not stack else {})
                tables[stack] = asdict(table)
        rows = max(1, *(array.shape[1] for array in found.values.values()))
        manifest = Manifest(
            number=part.number,
            first_text=part.first,
            texts=len(part),
            chunk_rows=-(-rows // -(-rows // CHUNK_ROWS)),  # so that the last chunk is about as full as the others
            chunk_neurons=CHUNK_NEURONS,
            tables=tables,
        )
        for site, values in found.values.items():
            site_array(folder, self.header, manifest, site).write(values)
        for stack, columns in arrays.items():
            for name, array in table_arrays(folder, manifest, stack).items():
                array.write(columns[name])
        (folder / "zarr.json").write_text(group_metadata(described(manifest)))
        return manifest

    def settle(self, written: tuple[Path, Manifest]) -> Manifest:
        """Have the part on the disk and give it its name; a part that is there already, from a worker that died, stays."""
        folder, manifest = written
        final = part_folder(self.root, manifest.number)
        try:
            for place, _, names in os.walk(folder):
                for name in names:
                    handle = os.open(os.path.join(place, name), os.O_RDWR)
                    try:
                        os.fsync(handle)
                    finally:
                        os.close(handle)
                sync_folder(Path(place))
            if final.exists():
                shutil.rmtree(folder)
            else:
                os.rename(folder, final)
                sync_folder(final.parent)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise self._failed(error, manifest.number) from error
        return manifest

    def _failed(self, error: OSError, number: int) -> OSError:
        return OSError(
            error.errno,
            f"part {number} of {self.root} cannot be written ({error.strerror or error}); the finished parts are kept:"
            " make room and run the same call again, it goes on after them",
        )


def _named_labels(found: Activations) -> Mapping[str, Sequence[Any]]:
    if found.labels is None:
        return {}
    return found.labels if isinstance(found.labels, Mapping) else {UNNAMED: found.labels}
