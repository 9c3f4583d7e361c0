"""The command line: `neurowidget demo`, `explore MODEL --text ...`, `extract MODEL CORPUS --store DIR`, `lab`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

app = typer.Typer(
    help="Neurons and causes in NLP models: interactive pages from the command line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("neurowidget-demo.html"),
    language_model: Annotated[bool, typer.Option(help="Include the part about the language model.")] = True,
) -> None:
    """Write an interactive page about a real sentiment model and a real language model."""
    from neurowidget.explorers.demo_page import write_demo

    print(write_demo(out, language_model=language_model, say=_say))


@app.command()
def explore(
    model: Annotated[str, typer.Argument(help="A Hugging Face name, a local folder, demo:sentiment or demo:lm.")],
    text: Annotated[list[str], typer.Option(help="A text to look at; repeat for several.")],
    out: Annotated[Path, typer.Option(help="The page to write.")],
    corpus: Annotated[
        Path | None,
        typer.Option(help="A corpus by its suffix (.txt: one text a line), for densities and held-out effects."),
    ] = None,
    site: Annotated[str, typer.Option(help="Which neurons: mlp, attention, residual, embed.")] = "mlp",
    target: Annotated[
        str, typer.Option(help='What is explained: auto, a class or token, or a contrast "A - B".')
    ] = "auto",
    cards: Annotated[int, typer.Option(help="How many neurons get their full card in the page.", min=0, max=200)] = 12,
    precision: Annotated[str, typer.Option(help="uint8, float16 or float32.")] = "uint8",
) -> None:
    """Write an interactive page about any model and text."""
    from neurowidget.explorers.demo_page import write_exploration
    from neurowidget.extraction.corpus import Corpus

    texts = None if corpus is None else Corpus.read(corpus).texts
    path = write_exploration(
        model, text, out, corpus=texts, site=site, target=target, cards=cards, precision=precision, say=_say
    )
    print(path)


@app.command()
def extract(
    model: Annotated[str, typer.Argument(help="A Hugging Face name, a local folder, demo:sentiment or demo:lm.")],
    corpus: Annotated[
        Path,
        typer.Argument(help="A corpus by its suffix: .txt, .jsonl, .csv, .tsv, .conllu, .word, ...; never in memory."),
    ],
    store: Annotated[Path, typer.Option(help="The folder to write; the same command again goes on after a stop.")],
    site: Annotated[list[str] | None, typer.Option(help="mlp, attention, residual, embed; repeat for several.")] = None,
    layer: Annotated[list[int] | None, typer.Option(help="A layer; repeat for several. All if left out.")] = None,
    words: Annotated[str | None, typer.Option(help="One row per word: its first or last token, or the mean.")] = None,
    window: Annotated[str | None, typer.Option(help="overlap: cut texts that are too long into windows.")] = None,
    dtype: Annotated[str, typer.Option(help="float16 or float32.")] = "float16",
    corpus_format: Annotated[str | None, typer.Option("--format", help="The format, if not by the suffix.")] = None,
    errors: Annotated[str, typer.Option(help="raise, or skip: leave malformed records out and count them.")] = "raise",
    engine: Annotated[str, typer.Option(help="local, or ray: a cluster that shares the folder.")] = "local",
) -> None:
    """Write the activations of a corpus to a folder, from which any neuron or text can be read."""
    from neurowidget.extraction.activations import extract as extracted
    from neurowidget.extraction.corpus import Corpus
    from neurowidget.models.loading import load_model

    options: dict[str, Any] = {"words": words, "window": window, "dtype": dtype, "engine": engine}
    reading: dict[str, Any] = {"format": corpus_format, "errors": errors}
    texts = Corpus.read(corpus, stream=True, **reading)
    print(extracted(load_model(model), texts, site or ["mlp"], layer or None, store=store, **options))


@app.command()
def lab(folder: Annotated[Path, typer.Argument(help="The folder to open.")] = Path("notebooks")) -> None:
    """Open JupyterLab."""
    import importlib.util
    import subprocess

    if importlib.util.find_spec("jupyterlab") is None:
        _stop("JupyterLab is not installed here: pip install 'neurowidget[lab]'")
    raise typer.Exit(subprocess.call([sys.executable, "-m", "jupyter", "lab", str(folder)]))


def main() -> None:
    """Run the command line; an expected error is one line on stderr and exit code 1."""
    try:
        app()
    except (ValueError, OSError, ImportError) as error:
        _stop(f"{type(error).__name__}: {error}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _stop(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
