"""engine="ray": the same bits as here, although a worker dies; results in order, each once; errors as they are here."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest

from neurowidget.extraction import engines, ray_engine
from neurowidget.extraction.activations import extract
from neurowidget.extraction.corpus import Corpus
from neurowidget.extraction.engines import Part, parts_of, run_parts
from neurowidget.extraction.store_writing import StoreJob

pytestmark = pytest.mark.slow
HERE = Path(__file__).resolve()
TEXTS = [
    f"{text} {word}" for text in ("the plot was", "a warm film and", "one") for word in ("good", "funny", "two", "by")
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Ray on this machine with two processors."""
    import ray

    # Every process of Ray imports jsonschema, which builds the grammar of this optional package: seconds each time.
    shadow = tmp_path_factory.mktemp("shadow")
    (shadow / "rfc3987_syntax.py").write_text("raise ImportError('slow to import, and not needed')")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(shadow), str(HERE.parents[2]), str(HERE.parents[1])]))
        patch.setenv("OMP_NUM_THREADS", "1")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=10**8)
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield ray
        ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
        ray.shutdown()


@dataclass(frozen=True)
class DyingJob(StoreJob):
    """Kills its process once: with part 2 written and not finished, and with part 4 finished and not reported."""

    def settle(self, written: Any) -> Any:
        number = written[1].number
        marker = self.root.parent / f"died-{number}"
        if number == 2 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        manifest = super().settle(written)
        if number == 4 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return manifest


def test_with_a_worker_that_dies_twice_the_store_is_that_of_this_process(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = families.model("bert")
    corpus = Corpus(TEXTS, {"n": list(range(len(TEXTS)))})
    options: dict[str, Any] = {"part_tokens": 12, "dtype": "float16", "progress": False}
    here = extract(model, corpus, ["mlp"], store=tmp_path / "here.zarr", **options)
    monkeypatch.setattr("neurowidget.extraction.store_writing.StoreJob", DyingJob)
    there = extract(model, corpus, ["mlp"], store=tmp_path / "there.zarr", engine="ray", **options)
    assert {item.name for item in tmp_path.glob("died-*")} == {"died-2", "died-4"}
    assert len(here.parts) >= 5
    np.testing.assert_array_equal(there["mlp"][:], here["mlp"][:])

    def contents(folder: Path) -> dict[str, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    assert contents(there.path) == contents(here.path)


def lengths(model: Any, part: Part) -> tuple[int, list[int]]:
    """A job whose result is small: which part, and the tokens of its texts."""
    if any("raise" in text for text in part.texts if isinstance(text, str)):
        raise KeyError("from the worker")
    if any("die" in text for text in part.texts if isinstance(text, str)):
        os.kill(os.getpid(), signal.SIGKILL)
    return part.number, [len(model.tokenizer(text)["input_ids"]) for text in part.texts]


def test_results_come_in_order_each_once_and_errors_as_they_are(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = families.model("bert")
    parts = list(parts_of(TEXTS, 20))
    here = list(run_parts(model, lengths, parts))
    there = list(run_parts(model, lengths, parts, engine="ray", workers=1))
    assert [result for _, result in there] == [result for _, result in here]
    assert [part.number for part, _ in there] == list(range(len(parts)))
    assert [count for _, (_, counts) in there for count in counts] == [
        len(model.tokenizer(text)["input_ids"]) for text in TEXTS
    ]
    with pytest.raises(KeyError, match="from the worker"):
        list(run_parts(model, lengths, parts_of(["one", "raise", "two"], 3), engine="ray", workers=1))
    monkeypatch.setattr(ray_engine, "RETRIES", 0)
    with pytest.raises(RuntimeError, match=r"part 0 \(texts 0 to 1\) ended its worker 1 times"):
        list(run_parts(model, lengths, parts_of(["die"], 3), engine="ray", workers=1))


def test_inside_an_intervention_it_is_refused(cluster: Any) -> None:
    from neurowidget.models.interventions import Set

    model = families.model("bert")
    with model.intervene(Set("L0.mlp[1]", 3.0)):
        model.predict("one")
        with pytest.raises(ValueError, match=r"inside model\.intervene"):
            list(run_parts(model, lengths, parts_of(TEXTS, 20), engine="ray"))


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'neurowidget\[ray\]'"):
        extract(families.model("bert"), TEXTS, store=tmp_path / "acts.zarr", engine="ray", progress=False)
    with pytest.raises(ValueError, match="'local', 'ray'"):
        list(run_parts(families.model("bert"), lengths, [], engine="spark"))


def test_parts_are_cut_by_characters_alone() -> None:
    parts = list(engines.parts_of(["abc", "de", "f", "ghijkl", "m"], 4, targets=["1", "2", "3", "4", "5"]))
    assert [(part.number, part.first, part.texts, part.targets) for part in parts] == [
        (0, 0, ("abc", "de"), ("1", "2")),
        (1, 2, ("f", "ghijkl"), ("3", "4")),
        (2, 4, ("m",), ("5",)),
    ]
