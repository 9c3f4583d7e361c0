"""Files that are not what they say: each message has the file, the line, what was found and what was expected."""

from __future__ import annotations

import pickle
import re
import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurowidget.extraction.corpus import Corpus
from neurowidget.extraction.readers import FORMATS
from neurowidget.extraction.readers.malformed import MalformedFileError

CONLLU = "1\tA\t_\tX\t_\t_\t_\t_\t_\t_\n"

# name, content, options, line, found, expected
MALFORMED = [
    ("undecodable byte.txt", b"fine\nna\xefve\n", {}, 2, "the byte 0xef at offset 2", "utf-8 text"),
    ("NUL.txt", b"fine\nbin\0ary\n", {}, 2, "a NUL character after 'bin'", "text"),
    ("long line.txt", b"fine\n" + b"x" * 200, {"longest": 100}, 2, "more than 100 bytes", "a shorter line"),
    ("long paragraph.txt", b"a\n" * 200, {"longest": 100, "unit": "paragraph"}, 1, "more than 100 char", "blank lines"),
    ("UTF-16.txt", "fine".encode("utf-16"), {}, 1, "the byte order mark of UTF-16", "UTF-8: convert"),
    ("not JSON.jsonl", b'{"text": "a"}\n{"text": \n', {}, 2, "'{\"text\": '", "one JSON object (Expecting value"),
    ("array.jsonl", b'[{"text": "a"}]\n', {}, 1, "'[{\"text\": \"a\"}]'", "write an array of objects as one object per"),
    ("nesting.jsonl", b"[" * 100_000, {}, 1, "'[[[", "one JSON object (it nests too deeply)"),
    ("NaN.jsonl", b'{"text": "a", "label": NaN}', {}, 1, "'{\"text\"", "(NaN is not JSON)"),
    ("number.jsonl", b'{"text": 5}', {}, 1, "5 in 'text'", "a text as a string"),
    ("no field.jsonl", b'{"body": "a"}', {}, 1, "the fields 'body'", "'text'; choose with text="),
    ("no label.jsonl", b'{"text": "a"}', {"labels": "pos"}, 1, "the fields 'text'", "'pos'; choose"),
    ("empty text.jsonl", b'{"text": " "}', {}, 1, "no text in 'text'", "a text that is not empty"),
    ("surrogate.jsonl", b'{"text": "a\\ud800"}', {}, 1, "half of a character, '\\ud800'", "Unicode text"),
    ("labels.jsonl", b'{"text": "a b", "label": [1]}', {}, 1, "1 labels in 'label' for 2 words", "one label per word"),
    ("mapping.jsonl", b'{"text": "a", "label": {"x": 1}}', {}, 1, "{'x': 1} in 'label'", "a string or a number"),
    ("words.jsonl", b'{"w": ["a", ""]}', {"words": "w"}, 1, "['a', ''] in 'w'", "a list of words as strings"),
    ("placed.jsonl", b'{"text": "a c", "w": ["a", "b"]}', {"text": "text", "words": "w"}, 1, "'c' at character 2", "the words"),
    ("rest.jsonl", b'{"text": "a c", "w": ["a"]}', {"text": "text", "words": "w"}, 1, "'c' after the last word", "the words"),
    ("fields.csv", b'text,label\n"a\nb",POS\nb\n', {}, 4, "1 fields", "2 ('text', 'label')"),
    ("header.csv", b"body,label\na,b\n", {}, 1, "'body', 'label'", "'text'; choose with text="),
    ("two columns.csv", b"text,text\na,b\n", {}, 1, "two columns 'text'", "different names"),
    ("open quote.csv", b'text,label\n"a,b\nc,d\n', {}, 2, "a quote that is still open at the end of the file", "quoted="),
    ("long row.csv", b'text\n"' + b"a\n" * 99, {"longest": 100}, 2, "a row of more than 100 characters", "a quote to close"),
    ("quotes.tsv", b'text\tlabel\n"He" said\tPOS\n', {}, 2, "'\"He\" said\\tPOS' (", "quoted=False"),
    ("convert.csv", b"text,r\na,ten\n", {"labels": "r", "convert": {"r": float}}, 2, "'ten' in 'r'", "what float takes"),
    ("columns.conllu", CONLLU.encode() + b"2\tB\tX\n", {}, 2, "3 columns in '2\\tB\\tX'", "10 separated by tabs"),
    ("empty cell.conllu", CONLLU.replace("A", "").encode(), {}, 1, "an empty cell in the column form: ''", "or _ for none"),
    ("id.conllu", (CONLLU + CONLLU).encode(), {}, 2, "the id 1", "the id 2"),
    ("bad id.conllu", CONLLU.replace("1", "x").encode(), {}, 1, "Failed parsing field 'id'", "a row of CoNLL-U"),
    ("head.conllu", CONLLU.encode() + b"2\tB\t_\tX\t_\t_\tone\t_\t_\t_\n", {}, 2, "Failed parsing field 'head'", "a row of"),
    ("feature.conllu", CONLLU.replace("X\t_\t_", "X\t_\tPlur").encode(), {}, 1, "the feature 'Plur' without", "Name=Value"),
    ("multiword.conllu", b"1-3" + CONLLU[1:].encode() + CONLLU.encode(), {}, 2, "the end of the sentence in", "the id 2"),
    ("in multiword.conllu", b"1-2" + CONLLU[1:].encode() + b"1-3" + CONLLU[1:].encode(), {}, 2, "the id 1-3", "the id 1"),
    ("empty nodes.conllu", b"1.1" + CONLLU[1:].encode(), {}, 1, "a sentence of empty nodes", "a word"),
    ("text.conllu", b"# text = B\n" + CONLLU.encode(), {}, 1, "'B' at character 0 of the text, where", "# text 'B'"),
    ("columns.conll", b"A\tX\nB X Y\n", {}, 2, "3 columns in 'B X Y'", "2 columns (word, label)"),
    ("empty.conll", b"A\tX\nB\t\n", {}, 2, "an empty one in 'B\\t'", "2 columns"),
    ("tag.brown", b"The/at jury\n", {"format": "brown"}, 1, "'jury' in 'The/at jury'", "a word, a slash and a tag"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "options", "line", "found", "expected"), MALFORMED)
def test_message(tmp_path, name, content, options, line, found, expected):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MalformedFileError) as caught:
        Corpus.read(path, **options)
    error = caught.value
    assert str(error).startswith(f"{path}, line {line}: found ")
    assert (found in error.found, expected in error.expected) == (True, True), str(error)
    assert len(str(error)) < 400 + len(str(path))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_skipping_counts_and_tells_the_first(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "one"}\n' + b"x\n" * 7 + b'{"text": "two"}\n\xff\n')
    with pytest.warns(
        UserWarning, match=r"^8 malformed records were left out:\n.*a.jsonl, line 2: found 'x'"
    ) as caught:
        assert Corpus.read(path, errors="skip").texts == ("one", "two")
    assert str(caught[0].message).count("\n") == 6  # the first five places, and that there are more
    with pytest.raises(ValueError, match="line 2"):
        Corpus.read(path)
    streamed = Corpus.read(path, errors="skip", stream=True)
    with pytest.warns(UserWarning, match="^8 malformed"):
        assert list(streamed) == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "content", "kept"),
    [
        ("lines.txt", b"one\n" + b"x" * 300_000 + b"\ntwo\n", ("one", "two")),
        ("paragraph.txt", b"one\n\nbad\xff\nbad\xff\nrest\n\ntwo\n", ("one", "two")),
        ("long.conll", b"one X\n\n" + b"word X\n" * 20_000 + b"\ntwo X\n", ("one", "two")),
        ("fields.csv", b'text,label\none,\na\n"b\nb",c,d\ntwo,\n', ("one", "two")),
        ("quote.csv", b'text,label\none,\n"a"b,\n\xff,\ntwo,\n', ("one", "two")),
        ("columns.conllu", (CONLLU + "\n# text = B C\n2\n\n" + CONLLU).encode(), ("A", "A")),
    ],
)
def test_what_is_left_after_skipping(tmp_path, name, content, kept):
    """A bad line takes its whole sentence with it, and no other."""
    path = tmp_path / name
    path.write_bytes(content)
    options = {"unit": "paragraph"} if name == "paragraph.txt" else {}
    with pytest.warns(UserWarning, match=f"^{2 if name.endswith('csv') else 1} malformed records"):
        assert Corpus.read(path, errors="skip", longest=100_000, **options).texts == kept


def test_neurox_pairs(tmp_path):
    words, labels = tmp_path / "a.word", tmp_path / "a.label"
    words.write_text("The film\nso good\n")
    with pytest.raises(FileNotFoundError, match=r"needs its labels in .*a\.label"):
        Corpus.read(words)
    labels.write_text("DET NOUN\nADV\n")
    with pytest.raises(
        MalformedFileError, match=r"a\.label, line 2: found 1 labels \('ADV'\), expected 2, one for each"
    ):
        Corpus.read(words)
    labels.write_text("DET NOUN\n\n")
    with pytest.raises(MalformedFileError, match=r"a\.label, line 2: found 0 labels"):
        Corpus.read(words)
    labels.write_text("POS\n\n")
    with pytest.raises(MalformedFileError, match=r"a\.label, line 2: found an empty line"):
        Corpus.read(words, per="text")
    labels.write_text("DET NOUN\n")
    with pytest.raises(MalformedFileError, match=r"a\.label, line 2: found the end of the file, expected as many"):
        Corpus.read(words, errors="skip")


def test_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 this is not one PAR1")
    with pytest.raises(
        MalformedFileError, match=r"its header: found what pyarrow cannot read .*, expected a Parquet file"
    ):
        Corpus.read(path)


def test_nothing_to_read(tmp_path):
    (tmp_path / "a.txt").write_text("\n \n")
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "b.txt").write_bytes(b"\xff")
    for name in ("a.txt", "a.csv"):
        with pytest.raises(ValueError, match=f"{name} has no texts$"):
            Corpus.read(tmp_path / name)
    with (
        pytest.raises(ValueError, match=r"b.txt has no texts that could be read"),
        pytest.warns(UserWarning, match="1 malf"),
    ):
        Corpus.read(tmp_path / "b.txt", errors="skip")
    with pytest.raises(ValueError, match="there are no files"):
        Corpus.read([])
    with pytest.raises(FileNotFoundError, match=r"c\.txt is not there"):
        Corpus.read(tmp_path / "c.txt")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        Corpus.read(tmp_path, format="txt")


def test_options(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text\na\n")
    for call, error, match in [
        (
            lambda: Corpus.read(path, unit="paragraph"),
            TypeError,
            "unit: the options of the format 'csv' are text, labels",
        ),
        (lambda: Corpus.read(path, format="xml"), ValueError, "format='xml': expected one of txt, jsonl"),
        (lambda: Corpus.read(tmp_path / "a.doc"), ValueError, "no format has this suffix"),
        (lambda: Corpus.read(path, errors="ignore"), ValueError, "expected 'raise' or 'skip'"),
        (lambda: Corpus.read(path, encoding="utf-16"), ValueError, "a line feed is one byte"),
        (lambda: Corpus.read(path, encoding="klingon"), ValueError, "Python knows no such encoding"),
        (lambda: Corpus.read(path, convert={"x": float}), ValueError, "expected names of labels"),
        (lambda: Corpus.read(path, format="txt", unit="page"), ValueError, "'line' or 'paragraph'"),
        (lambda: Corpus.read(path, format="conll", columns=["a", "b"]), ValueError, "one of them 'word'"),
    ]:
        with pytest.raises(error, match=re.escape(match)):
            call()


def test_hostile_characters_are_not_in_messages(tmp_path):
    """A message prints what a file has as its repr: no escape sequence reaches a terminal."""
    path = Path(tmp_path) / "a.conll"
    path.write_bytes(b"\x1b[31mred\n")
    with pytest.raises(MalformedFileError, match=r"\\x1b\[31mred") as caught:
        Corpus.read(path)
    assert "\x1b" not in str(caught.value)


PIECES = [
    *(
        b"\n",
        b"\n\n",
        b"\r",
        b'"',
        b",",
        b"\t",
        b"  ",
        b"/",
        b"_",
        b"{",
        b"[",
        b"\xff",
        b"\0",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
    ),
    *(b"1", b"2-3", b"1.1", b"a", b"text", b"label", b"A=B", b"# text = a", b'{"text": "a b"}', CONLLU.encode()),
]


@pytest.mark.parametrize("format", FORMATS)
@given(content=st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_a_corpus_or_a_message(format, content):
    """No other error than ValueError; what is read has words with offsets and as many labels."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        path = Path(folder) / "a.word"
        for file in (path, path.with_suffix(".label")):
            file.write_bytes(content)
        for errors in ("raise", "skip"):
            try:
                corpus = Corpus.read(path, format=format, errors=errors)
            except ValueError:
                continue
            assert all(sentence.spans for sentence in corpus.sentences())
