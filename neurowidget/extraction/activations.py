"""Activations of any sites and layers over texts: `extract`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import torch
from tqdm.auto import tqdm

from neurowidget.extraction.corpus import UNNAMED, Corpus, Sentence, StreamedCorpus
from neurowidget.extraction.forwards import run
from neurowidget.extraction.in_memory import DTYPES, InMemory
from neurowidget.extraction.planning import Piece, pieces_of
from neurowidget.extraction.tokens import WORD_VALUES, Rows, WordValue, token_rows, word_rows
from neurowidget.models.batching import Encoded, Text, encode_one
from neurowidget.models.display import decoder_row, special_strings, tokens_of_encoded
from neurowidget.models.interventions import active_interventions
from neurowidget.models.progress import StopFlag
from neurowidget.models.words import Span
from neurowidget.neuron import LayerSite
from neurowidget.results.activations import Activations
from neurowidget.results.tokens import Tokens

if TYPE_CHECKING:
    from neurowidget.extraction.store import ActivationStore
    from neurowidget.models.loading import NeuronModel

# Measured on MiniLM: more tokens per thread leave the caches of a processor, fewer make threads wait more often.
TOKENS_PER_THREAD, MOST_TOKENS = 1024, 8192


@overload
def extract(
    model: NeuronModel,
    texts: Corpus | Sequence[Text] | str,
    sites: str | Sequence[str] = ...,
    layers: int | Sequence[int] | None = ...,
    words: WordValue | None = ...,
    special_tokens: Literal["keep", "drop"] | None = ...,
    *,
    targets: Sequence[Text] | str | None = ...,
    window: Literal["overlap"] | None = ...,
    batch_tokens: int | None = ...,
    dtype: Literal["float32", "float16"] = ...,
    progress: bool = ...,
    should_stop: StopFlag | None = ...,
    store: None = ...,
) -> Activations: ...


@overload
def extract(
    model: NeuronModel,
    texts: Corpus | StreamedCorpus | Sequence[Text] | str,
    sites: str | Sequence[str] = ...,
    layers: int | Sequence[int] | None = ...,
    words: WordValue | None = ...,
    special_tokens: Literal["keep", "drop"] | None = ...,
    *,
    store: str | Path,
    targets: Sequence[Text] | str | None = ...,
    window: Literal["overlap"] | None = ...,
    batch_tokens: int | None = ...,
    dtype: Literal["float32", "float16"] = ...,
    progress: bool = ...,
    should_stop: StopFlag | None = ...,
    part_tokens: int | None = ...,
    engine: Literal["local", "ray"] = ...,
) -> ActivationStore: ...


def extract(
    model: NeuronModel,
    texts: Corpus | StreamedCorpus | Sequence[Text] | str,
    sites: str | Sequence[str] = ("mlp",),
    layers: int | Sequence[int] | None = None,
    words: WordValue | None = None,
    special_tokens: Literal["keep", "drop"] | None = None,
    *,
    targets: Sequence[Text] | str | None = None,
    window: Literal["overlap"] | None = None,
    batch_tokens: int | None = None,
    dtype: Literal["float32", "float16"] = "float32",
    progress: bool = True,
    should_stop: StopFlag | None = None,
    store: str | Path | None = None,
    part_tokens: int | None = None,
    engine: Literal["local", "ray"] = "local",
) -> Activations | ActivationStore:
    """Activations of `sites` in `layers` (all if None) over texts, (layer, token, neuron) each, in the order of the texts.

    A site is "mlp", "residual", "attention" or "embed" (layer 0 only), in a seq2seq model also "encoder.mlp" or
    "decoder.residual"; decoder sites have a token axis of their own and need `targets`, one per text. Texts are strings,
    lists of ids that are used as they are, or a Corpus, whose labels the result then carries.

    `words` gives one row per word instead of one per token: the value of its first or last token, or the mean of its
    tokens. A word whose characters the tokenizer dropped has a row of NaN, with a warning. `special_tokens` are kept as
    rows of their own or dropped; None keeps them among tokens and drops them among words.

    A text with more tokens than the model takes is refused, unless `window="overlap"`: windows that overlap by half, each
    token from the one in which it has the most context, positions anew in each. `batch_tokens` bounds the padded tokens
    of one forward (None: 1,024 per thread on a CPU, 8,192 elsewhere); the numbers are the same for any value within 1e-5 of the
    largest in a layer. float16 halves the memory; a value past 65,504 is then an error.

    Interventions that this thread has open apply: inside `with model.intervene(...)` these are the activations after
    them, and the provenance says so. An interrupt, or `should_stop()`, leaves no hook behind.

    `store` is a folder, such as "acts.zarr", to which the values go part by part: memory stays the same whatever the
    corpus, which may be a StreamedCorpus. A call that was killed goes on after the finished parts when it is made again, and
    raises StoreError where model, texts or settings are others. `part_tokens` is about how many tokens a part has (None: 256
    MB of values). `engine="ray"` spreads the parts over a cluster that shares the folder.
    """
    wanted = _wanted(model, sites, layers)
    decoding = any(site.stack == "decoder" for addresses in wanted.values() for site in addresses)
    if special_tokens is None:
        special_tokens = "drop" if words else "keep"
    for name, value, allowed in (
        ("words", words, (None, *WORD_VALUES)),
        ("special_tokens", special_tokens, ("keep", "drop")),
        ("window", window, (None, "overlap")),
        ("dtype", dtype, tuple(DTYPES)),
    ):
        if value not in allowed:
            raise ValueError(f"{name}={value!r}: expected one of {', '.join(map(repr, allowed))}")

    if store is not None:
        options: dict[str, Any] = {"words": words, "special_tokens": special_tokens, "window": window, "dtype": dtype}
        options |= {"layers": layers, "batch_tokens": batch_tokens}
        numbers = {site: tuple(address.layer for address in addresses) for site, addresses in wanted.items()}
        return _to_store(model, texts, store, numbers, options, targets, part_tokens, engine, progress, should_stop)
    if part_tokens is not None or engine != "local":
        raise ValueError("part_tokens and engine are about a store: name its folder with store='acts.zarr'")
    if batch_tokens is None:
        batch_tokens = usual_batch_tokens(model.device.type)
    given, corpus, about = _texts(texts)
    encoded = [encode_one(model, text, index, "text", any_length=True) for index, text in enumerate(given)]
    pieces = _pieces(model, encoded, window, decoding)
    fed = _decoder_rows(model, encoded, targets, decoding)
    spans = None if corpus is None else [_words_of(sentence) for sentence in corpus.sentences()]
    rows: dict[str | None, Rows] = {None: _rows(model, encoded, words, special_tokens, spans)}
    if decoding:
        rows["decoder"] = _rows(model, fed, words, special_tokens)
    _warn_of_dropped_words(rows.values())

    kept = InMemory(model, wanted, rows, pieces, words or "first", dtype)
    done = run(
        model,
        pieces,
        [site for addresses in wanted.values() for site in addresses],
        kept.take,
        batch_tokens,
        None if targets is None else [targets] if isinstance(targets, str) else list(targets),
        [len(row.ids) for row in fed],
        should_stop,
    )
    total = sum(len(piece) for piece in pieces)
    bar = tqdm(total=total, desc=f"extract {', '.join(wanted)}", unit=" tokens", disable=not progress)
    with bar, closing(done):
        for group in done:
            bar.update(sum(len(pieces[index]) for index in group))

    return Activations(
        values=kept.frozen(),
        layers={site: tuple(address.layer for address in addresses) for site, addresses in wanted.items()},
        tokens=rows[None].tokens,
        decoder_tokens=rows["decoder"].tokens if decoding else None,
        labels=None if corpus is None else labels_of_rows(corpus, rows[None].tokens),
        provenance=model.provenance(
            "extract",
            site=", ".join(wanted),
            words=words,
            special_tokens=special_tokens,
            window=window,
            batch_tokens=batch_tokens,
            threads=torch.get_num_threads(),
            interventions=active_interventions(model),
            **about,
        ),
    )


def _to_store(
    model: NeuronModel,
    texts: Corpus | StreamedCorpus | Sequence[Text] | str,
    store: str | Path,
    layers: Mapping[str, tuple[int, ...]],
    options: dict[str, Any],
    targets: Sequence[Text] | str | None,
    part_tokens: int | None,
    engine: str,
    progress: bool,
    should_stop: StopFlag | None,
) -> ActivationStore:
    from neurowidget.extraction.engines import device_of_jobs
    from neurowidget.extraction.store_writing import header_for, source_of, write_store

    root, source = Path(store), source_of(texts)
    paired = [targets] if isinstance(targets, str) else None if targets is None else list(targets)
    if paired is not None and source.count is not None and len(paired) != source.count:
        raise ValueError(f"there are {source.count} texts and {len(paired)} targets: expected one target per text")
    device = device_of_jobs(model, engine)
    header = header_for(
        model,
        root,
        source,
        layers,
        options,
        targets=paired,
        interventions=active_interventions(model),
        part_tokens=part_tokens,
        threads=torch.get_num_threads(),
        device=device,
        default_batch_tokens=usual_batch_tokens(device),
    )
    return write_store(
        model,
        root,
        source,
        header,
        options | {"batch_tokens": header.batch_tokens},
        targets=paired,
        engine=engine,
        progress=progress,
        should_stop=should_stop,
    )


def usual_batch_tokens(device: str) -> int:
    """Padded tokens of one forward where the caller names none."""
    return min(TOKENS_PER_THREAD * torch.get_num_threads(), MOST_TOKENS) if device == "cpu" else MOST_TOKENS


def _texts(texts: Corpus | StreamedCorpus | Sequence[Text] | str) -> tuple[list[Text], Corpus | None, dict[str, Any]]:
    """The texts, the corpus that they are from, and what the provenance says about it."""
    if isinstance(texts, StreamedCorpus):
        raise TypeError(
            f"the corpus {texts.name!r} is streamed: name a folder with store='acts.zarr', or take texts.first(1000)"
        )
    if isinstance(texts, Corpus):
        if not len(texts):
            raise ValueError(f"the corpus {texts.name!r} has no texts")
        return list(texts), texts, {"corpus": texts.name, "corpus_hash": texts.hash}
    given: list[Text] = [texts] if isinstance(texts, str) else list(texts)
    if not given:
        raise ValueError("there are no texts: expected a list of strings, a list of lists of ids, or a Corpus")
    return given, None, {}


def _wanted(
    model: NeuronModel, sites: str | Sequence[str], layers: int | Sequence[int] | None
) -> dict[str, list[LayerSite]]:
    """The addresses of each site as it was named; raises ValueError for sites and layers that are not there."""
    names = [sites] if isinstance(sites, str) else list(sites)
    if not names or len(set(names)) != len(names):
        raise ValueError(f"sites={names}: expected one or more different sites, such as ['mlp', 'residual']")
    wanted: dict[str, list[LayerSite]] = {}
    for name in names:
        stack, _, site = name.rpartition(".")
        count = model.layers(stack or None)
        if site == "embed":
            numbers: Sequence[int] = [0]
        elif layers is None:
            numbers = range(count)
        else:
            numbers = [layers] if isinstance(layers, int) else list(layers)
            numbers = [layer + count if -count <= layer < 0 else layer for layer in numbers]
        if not numbers or len(set(numbers)) != len(numbers):
            raise ValueError(f"layers={layers}: expected None, a layer, or different layers, from 0 to {count - 1}")
        wanted[name] = [LayerSite(layer, site, stack or None) for layer in numbers]
        for address in wanted[name]:
            model.locate(address)
    return wanted


def _pieces(model: NeuronModel, encoded: Sequence[Encoded], window: str | None, decoding: bool) -> list[Piece]:
    longest = model.max_length
    over = [] if longest is None else [(i, len(row.ids)) for i, row in enumerate(encoded) if len(row.ids) > longest]
    if over and (window is None or decoding):
        shown = ", ".join(f"text {i} ({count})" for i, count in over[:5]) + (", ..." if len(over) > 5 else "")
        way = "shorten them" if decoding else "shorten them, or pass window='overlap'"
        raise ValueError(
            f"{len(over)} of {len(encoded)} texts have more tokens than the {longest} that {model.name} takes: {shown};"
            f" {way} (nothing is cut off silently)"
        )
    causal = model.kind == "causal_lm"
    return [piece for i, row in enumerate(encoded) for piece in pieces_of(i, row, longest, causal)]


def _decoder_rows(
    model: NeuronModel, encoded: list[Encoded], targets: Sequence[Text] | str | None, decoding: bool
) -> list[Encoded]:
    """What the decoder is given for each text; empty when nothing is read from a decoder."""
    if targets is None:
        if not decoding:
            return []
        if model.kind not in ("classifier", "token_classifier"):  # these read the text again in their decoder
            raise ValueError("decoder sites need targets=[...], one text per text for the decoder to read")
        return [decoder_row(model.decoder_start_id, row) for row in encoded]
    if "decoder" not in model.stacks:
        raise ValueError(f"targets are for models with a decoder of their own; {model.name} has one stack")
    given = [targets] if isinstance(targets, str) else list(targets)
    if len(given) != len(encoded):
        raise ValueError(f"there are {len(encoded)} texts and {len(given)} targets: expected one target per text")
    found = [encode_one(model, target, index, "target") for index, target in enumerate(given)]
    return [decoder_row(model.decoder_start_id, row) for row in found]


def _rows(
    model: NeuronModel,
    encoded: Sequence[Encoded],
    words: WordValue | None,
    special_tokens: Any,
    spans: Sequence[Sequence[Span] | None] | None = None,
) -> Rows:
    tokens = tokens_of_encoded(model.tokenizer, encoded, spans)
    if words is None:
        return token_rows(tokens, special_tokens)
    return word_rows(tokens, special_strings(model.tokenizer), special_tokens, words, spans)


def _words_of(sentence: Sentence) -> tuple[Span, ...] | None:
    """The words of a sentence where they matter: it brings its own, or its labels count them."""
    labelled = any(isinstance(value, tuple) for value in sentence.labels.values())
    return sentence.spans if labelled else sentence.words


def labels_of_rows(corpus: Corpus, tokens: Tokens) -> tuple[Any, ...] | dict[str, tuple[Any, ...]] | None:
    """The labels of a corpus for each row: labels of words at the rows that touch the word, None elsewhere.

    A name whose labels are all of whole texts keeps one label per text. Without a name: the tuple itself.
    """
    sentences = list(corpus.sentences())
    found: dict[str, tuple[Any, ...]] = {}
    for name in corpus.label_names:
        values = [sentence.labels.get(name) for sentence in sentences]
        if not any(isinstance(value, tuple) for value in values):
            found[name] = tuple(values)
            continue
        labels: list[Any] = []
        for text, word, start, end in zip(
            tokens.sentence_index.tolist(),
            tokens.word.tolist(),
            tokens.start.tolist(),
            tokens.end.tolist(),
            strict=True,
        ):
            value = values[text]
            if isinstance(value, tuple) and word >= 0:
                first, past = sentences[text].spans[word] if value else (0, 0)
                value = value[word] if start < past and end > first else None
            labels.append(None if word < 0 else value)
        found[name] = tuple(labels)
    if not found:
        return None
    return found[UNNAMED] if list(found) == [UNNAMED] else found


def _warn_of_dropped_words(rows: Iterable[Rows]) -> None:
    missing = [pair for one in rows for pair in one.missing]
    if missing:
        shown = ", ".join(f"{word!r} in text {text}" for text, word in missing[:5]) + (", ..." if missing[5:] else "")
        warnings.warn(
            f"{len(missing)} words have no token, since the tokenizer dropped all their characters; their rows are NaN:"
            f" {shown}",
            stacklevel=3,
        )
