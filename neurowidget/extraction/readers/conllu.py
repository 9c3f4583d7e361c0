"""CoNLL-U and CoNLL-U Plus treebanks (universaldependencies.org/format.html), parsed by the `conllu` package."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from neurowidget.extraction.readers.lines import LONGEST, Line, blocks
from neurowidget.extraction.readers.malformed import Bad, MalformedFileError, shown
from neurowidget.extraction.readers.treebank_words import Unit, WrongLineError, text_of, units_of
from neurowidget.extraction.sentence import Sentence

LABELS = ("upos", "xpos", "deprel", "feats")
COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_NO_LABELS = {"id", "form", "head", "deps", "misc"}
_GLOBAL = re.compile(r"#\s*global\.columns\s*=\s*(.+)")
_FEATURE = re.compile(r"[A-Z][A-Za-z0-9]*(\[[a-z0-9]+\])?")


def conllu(
    path: Path,
    bad: Bad,
    labels: str | Sequence[str] = LABELS,
    multiword: Literal["joined", "none"] = "joined",
    encoding: str = "utf-8",
    longest: int = LONGEST,
) -> Iterator[Sentence]:
    """Sentences with the labels that are chosen: columns ("upos", "xpos", "deprel", "lemma"), features by name, or "feats".

    "Number" is a label with the values "Plur", "Sing" and None; "feats" makes one such label of every feature that a sentence
    has. "_" is None. The text is that of `# text`, where the words must be found in order, or is made of the words and their
    SpaceAfter=No. Empty nodes are left out. The words of a multiword token are words of their own where they spell it
    (do + n't); otherwise (du = de + le) the token is one word, its labels joined by "+", or None with `multiword="none"`.
    """
    try:
        import conllu as package
        from conllu.exceptions import ParseException
    except ImportError:
        raise ModuleNotFoundError(
            f"{path} needs the package conllu: pip install 'neurowidget[corpus]'", name="conllu"
        ) from None
    if multiword not in ("joined", "none"):
        raise ValueError(f"multiword={multiword!r}: expected 'joined' or 'none'")
    chosen = [labels] if isinstance(labels, str) else list(labels)
    columns: Sequence[str] = ()
    unseen: dict[str, None] = {}
    for block in blocks(path, bad, encoding, longest):
        if not columns:
            columns = _columns(path, block)
            unseen = dict.fromkeys(_features(chosen, columns))
        rows = [(number, line) for number, line in block if not line.startswith("#")]
        if not rows:
            continue
        try:
            _check_cells(rows, columns)
            parsed = next(iter(package.parse_incr(io.StringIO("\n".join(line for _, line in block)), fields=columns)))
            _check_features(rows, parsed)
            units = units_of(parsed, [number for number, _ in rows])
            text, spans = text_of(parsed.metadata.get("text"), units, block[0][0])
        except ParseException as error:
            number, found = _culprit(rows, columns, package.parse, ParseException) or (rows[0][0], str(error))
            bad(MalformedFileError(str(path), f"line {number}", found, "a row of CoNLL-U"))
        except WrongLineError as error:
            number, found, expected = error.args
            bad(MalformedFileError(str(path), f"line {number}", found, expected))
        else:
            unseen = {name: None for name in unseen if not any(name in unit.features for unit in units)}
            yield Sentence(text, spans, _labels(units, chosen, multiword == "joined"))
    if unseen:
        warnings.warn(f"no word of {path} has the feature {', '.join(map(repr, unseen))}", stacklevel=2)


def _columns(path: Path, first: Sequence[Line]) -> Sequence[str]:
    """The columns as CoNLL-U Plus names them at the top of a file, or those of CoNLL-U."""
    named = next(((number, found) for number, line in first if (found := _GLOBAL.match(line))), None)
    if named is None:
        return COLUMNS
    columns = named[1][1].lower().split()
    if not {"id", "form"} <= set(columns):
        raise MalformedFileError(
            str(path), f"line {named[0]}", f"the columns {shown(columns)}", "ID and FORM among them"
        )
    return columns


def _features(chosen: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Those of the chosen labels that are features; raises ValueError for a name that can be neither."""
    possible = [name for name in columns if name not in _NO_LABELS]
    for name in chosen:
        if name not in possible and not ("feats" in columns and _FEATURE.fullmatch(name)):
            hint = f"; {name.partition('=')[0]!r} has such values" if "=" in name else ""
            raise ValueError(f"labels={name!r}: expected {', '.join(possible)} or a feature such as 'Number'{hint}")
    return [name for name in chosen if name not in possible]


def _check_cells(rows: Sequence[Line], columns: Sequence[str]) -> None:
    """What the package lets pass: missing columns, empty cells, and two spaces, which it takes for a tab."""
    for number, line in rows:
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise WrongLineError(number, f"{len(cells)} columns in {shown(line)}", f"{len(columns)} separated by tabs")
        for name, cell in zip(columns, cells, strict=True):
            if not cell.strip() or "  " in cell:
                wrong = "two spaces" if cell.strip() else "an empty cell"
                raise WrongLineError(number, f"{wrong} in the column {name}: {shown(cell)}", "a value, or _ for none")


def _check_features(rows: Sequence[Line], parsed: Sequence[Any]) -> None:
    for (number, _), row in zip(rows, parsed, strict=True):
        for name, value in (row.get("feats") or {}).items():
            if not name or not value:
                raise WrongLineError(
                    number, f"the feature {shown(name)} without a value", "Name=Value pairs, | between"
                )


def _culprit(
    rows: Sequence[Line], columns: Sequence[str], parse: Callable[..., Any], refused: type[Exception]
) -> tuple[int, str] | None:
    """The line that the package cannot parse, and what it says."""
    for number, line in rows:
        try:
            parse(line, fields=columns)
        except refused as error:
            return number, str(error)
    return None


def _labels(units: Sequence[Unit], chosen: Sequence[str], joined: bool) -> dict[str, tuple[str | None, ...]]:
    names: dict[str, None] = {}
    for name in chosen:
        names |= dict.fromkeys(f for unit in units for f in unit.features) if name == "feats" else {name: None}
    return {
        name: tuple(unit.value(name) if joined or len(unit.rows) == 1 else None for unit in units) for name in names
    }
