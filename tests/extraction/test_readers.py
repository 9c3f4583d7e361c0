"""Readers of files: the texts, words and labels of each format, and what streaming holds."""

from __future__ import annotations

import csv
import gc
import io
import json
import pickle
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

from neurowidget.extraction.corpus import Corpus, StreamedCorpus
from neurowidget.extraction.readers import FORMATS, SUFFIXES

FILES = Path(__file__).parent / "files"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def words_of(corpus: Corpus) -> list[list[str]]:
    return [sentence.word_texts for sentence in corpus.sentences()]


class TestText:
    def test_a_text_per_line(self, tmp_path):
        """Only a line feed ends a line: U+2028 and a form feed are in texts."""
        path = written(tmp_path, "a.txt", "one text\r\n\n  two\u2028 three\x0c\n \nlast")
        corpus = Corpus.read(path)
        assert corpus.texts == ("one text", "  two\u2028 three\x0c", "last")
        assert (corpus.name, corpus.labels) == ("a.txt", None)

    def test_a_text_per_paragraph(self, tmp_path):
        path = written(tmp_path, "a.txt", "one\ntext\n\n\ntwo\n  \nthree")
        assert Corpus.read(path, unit="paragraph").texts == ("one\ntext", "two", "three")

    @pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
    def test_byte_order_mark(self, tmp_path, mark):
        assert Corpus.read(written(tmp_path, "a.txt", mark + "naïve 🙂\n".encode())).texts == ("naïve 🙂",)

    def test_other_encodings(self, tmp_path):
        path = written(tmp_path, "a.txt", "naïve\n".encode("latin-1"))
        assert Corpus.read(path, encoding="latin-1").texts == ("naïve",)

    def test_several_files(self, tmp_path):
        paths = [written(tmp_path, f"{name}.txt", f"{name} 1\n{name} 2\n") for name in "ab"]
        corpus = Corpus.read(paths, name="both")
        assert (corpus.texts, corpus.name) == (("a 1", "a 2", "b 1", "b 2"), "both")
        assert Corpus.read(paths).name == "a.txt"


class TestJsonLines:
    def test_text_and_labels(self, tmp_path):
        rows = [{"text": "good", "label": 1}, {"text": "bad film", "label": None}, {"text": "so"}]
        corpus = Corpus.read(written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows))))
        assert (corpus.texts, corpus.labels) == (("good", "bad film", "so"), (1, None, None))

    def test_words_with_labels(self, tmp_path):
        row = {"tokens": ["New York", "'s"], "ner": ["LOC", "O"], "year": 1990}
        corpus = Corpus.read(written(tmp_path, "a.jsonl", json.dumps(row)), words="tokens", labels=["ner", "year"])
        assert (corpus.texts, words_of(corpus)) == (("New York 's",), [["New York", "'s"]])
        assert corpus.labels == {"ner": (("LOC", "O"),), "year": (1990,)}

    def test_words_in_a_text(self, tmp_path):
        """Words are placed where the text has them, so white space is that of the text."""
        row = {"text": " New York's\tplot", "tokens": ["New York", "'s", "plot"]}
        corpus = Corpus.read(written(tmp_path, "a.jsonl", json.dumps(row)), text="text", words="tokens")
        assert next(corpus.sentences()).words == ((1, 9), (9, 11), (12, 16))

    def test_names_and_conversion(self, tmp_path):
        path = written(tmp_path, "a.jsonl", '{"s": "a film", "r": "4.5", "t": ["1", null]}')
        corpus = Corpus.read(path, text="s", labels={"rating": "r", "tag": "t"}, convert={"rating": float, "tag": int})
        assert corpus.labels == {"rating": (4.5,), "tag": ((1, None),)}


class TestTables:
    TABLE = 'id,text,label\n1,"two\nlines, ""quoted""",POS\n\n2,plain,\n'

    def test_quotes_and_line_ends(self, tmp_path):
        corpus = Corpus.read(written(tmp_path, "a.csv", self.TABLE))
        assert (corpus.texts, corpus.labels) == (('two\nlines, "quoted"', "plain"), ("POS", None))

    def test_tabs(self, tmp_path):
        path = written(tmp_path, "a.tsv", 'sentence\tlabel\n"He said\t1\n')
        corpus = Corpus.read(path, text="sentence", quoted=False, convert={"label": int}, labels="label")
        assert (corpus.texts, corpus.labels) == (('"He said',), (1,))

    def test_header_of_the_caller(self, tmp_path):
        path = written(tmp_path, "a.csv", "POS;a film\n")
        corpus = Corpus.read(path, header=["gold", "text"], labels="gold", delimiter=";")
        assert (corpus.texts, corpus.labels) == (("a film",), {"gold": ("POS",)})

    def test_long_field(self, tmp_path):
        """Longer than the limit of the csv module, which is the same afterwards."""
        limit = csv.field_size_limit()
        text = "word " * 40_000
        assert Corpus.read(written(tmp_path, "a.csv", f"text\n{text}\n")).texts == (text,)
        assert csv.field_size_limit() == limit == 131_072

    def test_parquet(self, tmp_path):
        table = pyarrow.table({"tokens": [["a", "film"], ["so"]], "pos": [["DET", "NOUN"], ["ADV"]], "id": [1, 2]})
        parquet.write_table(table, tmp_path / "a.parquet")
        corpus = Corpus.read(tmp_path / "a.parquet", words="tokens", labels="pos")
        assert (corpus.texts, corpus.labels) == (("a film", "so"), {"pos": (("DET", "NOUN"), ("ADV",))})


class TestTreebank:
    def test_words_and_labels(self):
        """don't is two words, which spell it; du is one; the empty node is none."""
        corpus = Corpus.read(FILES / "made_up.conllu")
        assert corpus.texts == ("The cats don't sleep.", "Elle parle du chat!")
        english, french = corpus.sentences()
        assert english.words == ((0, 3), (4, 8), (9, 11), (11, 14), (15, 20), (20, 21))
        assert french.word_texts == ["Elle", "parle", "du", "chat", "!"]
        assert english.labels["upos"] == ("DET", "NOUN", "AUX", "PART", "VERB", "PUNCT")
        assert french.labels["upos"] == ("PRON", "VERB", "ADP+DET", "NOUN", "PUNCT")
        assert english.labels["Number"] == (None, "Plur", None, None, None, None)
        assert french.labels["Number"] == ("Sing", "Sing", None, "Sing", None)
        assert french.labels["xpos"] == (None,) * 5
        assert "lemma" not in corpus.label_names
        assert "Polarity" in corpus.label_names

    def test_text_of_words_alone(self, tmp_path):
        """Without # text a space follows each word but where SpaceAfter=No; inside don't there is none."""
        rows = [
            ("1-2", "don't", "_"),
            ("1", "do", "_"),
            ("2", "n't", "_"),
            ("3", "go", "SpaceAfter=No"),
            ("4", "!", "_"),
        ]
        lines = [f"{number}\t{form}" + "\t_" * 7 + f"\t{misc}\n" for number, form, misc in rows]
        corpus = Corpus.read(written(tmp_path, "a.conllu", "".join(lines)))
        assert (corpus.texts, words_of(corpus)) == (("don't go!",), [["do", "n't", "go", "!"]])

    def test_columns_choose_the_labels(self):
        path = FILES / "made_up.conllu"
        corpus = Corpus.read(path, labels=["lemma", "Number"], multiword="none")
        assert corpus.label_names == ("lemma", "Number")
        assert corpus.labels["lemma"][1] == ("il", "parler", None, "chat", "!")
        with pytest.warns(UserWarning, match="no word of .*made_up.conllu has the feature 'Nmber'"):
            Corpus.read(path, labels="Nmber")
        with pytest.raises(ValueError, match=r"labels='upso': expected lemma, upos, xpos, feats, deprel or a feature"):
            Corpus.read(path, labels="upso")
        with pytest.raises(ValueError, match="'Number' has such values"):
            Corpus.read(path, labels="Number=Plur")

    def test_other_columns(self, tmp_path):
        path = written(
            tmp_path, "a.conllup", "# global.columns = ID FORM MY:TAG\n1\tOne\tA\n\n1\tTwo\t_\n2\twords\tB\n"
        )
        corpus = Corpus.read(path, labels="my:tag")
        assert (corpus.texts, corpus.labels) == (("One", "Two words"), {"my:tag": (("A",), (None, "B"))})

    def test_needs_its_package(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "conllu", None)
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'neurowidget\[corpus\]'"):
            Corpus.read(FILES / "made_up.conllu")


class TestColumns:
    def test_two_columns(self, tmp_path):
        corpus = Corpus.read(written(tmp_path, "a.conll", "The\tDET\nNew York\tPROPN\n\n\nso\tADV\n"))
        assert (corpus.texts, words_of(corpus)) == (("The New York", "so"), [["The", "New York"], ["so"]])
        assert corpus.labels == (("DET", "PROPN"), ("ADV",))

    def test_four_columns(self, tmp_path):
        content = "-DOCSTART- -X- O O\n\n# id 1\nEU NNP I-NP B-ORG\nrejects VBZ I-VP O\n"
        path = written(tmp_path, "a.conll", content)
        corpus = Corpus.read(path, columns=("word", "pos", "chunk", "ner"), comments="# ")
        assert (corpus.texts, corpus.labels["ner"]) == (("EU rejects",), (("B-ORG", "O"),))

    def test_brown(self):
        corpus = Corpus.read(FILES / "made_up.brown", format="brown")
        assert corpus.texts == ("The Fulton jury said `` either/or .", "It did *")
        assert corpus.labels == (("at", "np-tl", "nn", "vbd", "``", "cc", "."), ("pps", "dod", "*"))

    def test_neurox(self, tmp_path):
        path = written(tmp_path, "a.word", "The film\n\nso  1\u00a0000 \n")
        written(tmp_path, "a.label", "DET NOUN\n\nADV NUM\n")
        corpus = Corpus.read(path)
        assert (words_of(corpus), corpus.labels) == (
            [["The", "film"], ["so", "1\u00a0000"]],
            (("DET", "NOUN"), ("ADV", "NUM")),
        )
        other = written(tmp_path, "b", "POS\n\nNEG\n")
        assert Corpus.read(path, labels=other, per="text").labels == ("POS", "NEG")


class MadeUpDataset:
    """What `from_dataset` asks of a `datasets.Dataset`: features that know their names, selected columns, rows."""

    def __init__(self, rows: list[dict[str, Any]], names: dict[str, list[str]]) -> None:
        self.rows = rows
        kinds = {
            field: SimpleNamespace(names=names[field]) if field in names else SimpleNamespace() for field in rows[0]
        }
        listed = {field for field, value in rows[0].items() if isinstance(value, list)}
        self.features = {f: SimpleNamespace(feature=kind) if f in listed else kind for f, kind in kinds.items()}

    def select_columns(self, columns: list[str]) -> MadeUpDataset:
        chosen = MadeUpDataset.__new__(MadeUpDataset)
        chosen.rows = [{field: row[field] for field in columns} for row in self.rows]
        return chosen

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)


class TestObjects:
    def test_dataset(self):
        """Class numbers become names; 5 is the rating of a class label that a dataset does not name."""
        rows = [
            {"text": "a film", "tokens": ["a", "film"], "tags": [0, 0], "label": 1, "rating": 5},
            {"text": "Rome", "tokens": ["Rome"], "tags": [1], "label": -1, "rating": float("nan")},
        ]
        dataset = MadeUpDataset(rows, {"tags": ["O", "LOC"], "label": ["NEG", "POS"]})
        corpus = Corpus.from_dataset(dataset)
        assert (corpus.texts, corpus.labels) == (("a film", "Rome"), ("POS", None))
        assert Corpus.from_dataset(dataset, labels="rating").labels == {"rating": (5, None)}
        corpus = Corpus.from_dataset(dataset, labels="tags", words="tokens")
        assert corpus.labels == {"tags": (("O", "O"), ("LOC",))}
        streamed = Corpus.from_dataset(dataset, labels="tags", words="tokens", stream=True)
        assert (type(streamed), streamed.hash) == (StreamedCorpus, corpus.hash)
        with pytest.raises(
            ValueError, match=r"the dataset, its columns: found 'text', 'tokens', .* expected 'sentence'"
        ):
            Corpus.from_dataset(dataset, text="sentence")

    def test_frame(self):
        frame = pd.DataFrame(
            {"text": ["a film", "so"], "rating": [4.5, float("nan")], "sure": [True, None], "n": [1, 2]}
        )
        corpus = Corpus.from_pandas(frame, labels=["rating", "sure", "n"])
        assert corpus.labels == {"rating": (4.5, None), "sure": (True, None), "n": (1, 2)}
        assert [type(label) for label in corpus.labels["n"]] == [int, int]
        frame["text"] = ["a film", None]
        with pytest.raises(ValueError, match="the frame, row 1: found None in 'text', expected a text as a string"):
            Corpus.from_pandas(frame)
        with pytest.warns(UserWarning, match="1 malformed records were left out"):
            assert len(Corpus.from_pandas(frame, errors="skip")) == 1


def rows_of(format: str, count: int) -> str | bytes:
    """A file with `count` sentences of 19 words, in a treebank of 4."""
    sentence = "some words that are not much of a sentence but long enough to be counted among the others here"
    words = sentence.split()
    match format:
        case "jsonl":
            return f'{{"text": "{sentence}"}}\n' * count
        case "csv" | "tsv":
            comma = "," if format == "csv" else "\t"
            return f"text{comma}label\n" + f"{sentence}{comma}POS\n" * count
        case "conll":
            return ("".join(f"{word}\tTAG\n" for word in words) + "\n") * count
        case "conllu":
            lines = [f"{i}\t{word}\t_\tX\t_\t_\t_\t_\t_\t_" for i, word in enumerate(words[:4], 1)]
            return ("\n".join(lines) + "\n\n") * count
        case "brown":
            return ("/TAG ".join(words) + "/TAG\n") * count
        case "parquet":
            sink = io.BytesIO()
            table = pyarrow.table({"text": [f"{sentence} {i}" for i in range(count)]})
            parquet.write_table(table, sink, row_group_size=300, compression="none")
            return sink.getvalue()
    return f"{sentence}\n" * count


@pytest.mark.parametrize("format", FORMATS)
def test_streaming_holds_one_part(tmp_path, format):
    """A file of 40 parts takes no more memory than one of 10 while it is read."""
    peaks = []
    gc.freeze()  # so that collecting what is in cycles, which would blur the peaks, is quick
    for count in (300, 1200):
        path = written(tmp_path, f"{count}.word", rows_of(format, count))
        written(tmp_path, f"{count}.label", ("TAG " * 19 + "\n") * count)
        corpus = Corpus.read(path, format=format, stream=True)
        tracemalloc.start()
        assert sum(len(part) for part in corpus.parts(30) if gc.collect() >= 0) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    gc.unfreeze()
    assert peaks[1] < 1.1 * peaks[0] + 30_000  # 900 sentences more take 400,000
    assert corpus.first(50).hash == Corpus.read(path, format=format)[:50].hash


def test_every_suffix_has_its_reader():
    assert set(SUFFIXES.values()) == set(FORMATS) - {"brown"}


def test_streams_travel():
    """A streamed corpus goes to another process."""
    corpus = Corpus.read(FILES / "made_up.conllu", stream=True).annotate({"cats": {"cats"}})
    assert corpus.label_counts("cats") == {False: 10, True: 1}
    plain = Corpus.read(FILES / "made_up.conllu", stream=True)
    assert pickle.loads(pickle.dumps(plain)).hash == plain.hash
