"""A corpus: named texts with their words and labels, and a hash that says which texts they were.

Two kinds with the same `sentences()`, `parts()`, `name` and `hash`: `Corpus` holds its sentences in memory,
`StreamedCorpus` reads them anew on each pass. What works on a corpus of any size goes through `parts`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from neurowidget.models.words import Span, word_spans

UNNAMED = "label"
Labels = Sequence[Any] | Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Sentence:
    """One text; `words` are character spans in order (None: by the rules of `models.words`).

    `labels[name]` is one value for the text, or a tuple with one value per word (None: this word has no label).
    Raises ValueError for spans outside the text or out of order, and for a wrong number of labels.
    """

    text: str
    words: tuple[Span, ...] | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"the text is a {type(self.text).__name__}, expected a string: {self.text!r}")
        if self.words is not None:
            object.__setattr__(self, "words", tuple((int(start), int(end)) for start, end in self.words))
            last = 0
            for start, end in self.words or ():
                if not last <= start < end <= len(self.text):
                    raise ValueError(
                        f"word ({start}, {end}) of {self.text[:40]!r}: expected spans in order, without overlap, within"
                        f" the {len(self.text)} characters of the text"
                    )
                last = end
        labels = {name: tuple(value) if isinstance(value, list) else value for name, value in self.labels.items()}
        object.__setattr__(self, "labels", labels)
        for name, value in labels.items():
            if isinstance(value, tuple) and len(value) != len(self.spans):
                raise ValueError(
                    f"{len(value)} labels {name!r} for the {len(self.spans)} words of {self.text[:40]!r}: expected one"
                    " label per word, or one that is no list for the whole text"
                )

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """The words as character spans, by rule where none were given."""
        return tuple(word_spans(self.text)) if self.words is None else self.words

    @property
    def word_texts(self) -> list[str]:
        """The words as strings."""
        return [self.text[start:end] for start, end in self.spans]


def hash_of(sentences: Iterable[Sentence]) -> str:
    """sha256 over texts, given words and labels, in order."""
    digest = hashlib.sha256()
    for sentence in sentences:
        entry = [sentence.text, sentence.words, sorted(sentence.labels.items())]
        digest.update(json.dumps(entry, default=repr).encode() + b"\n")
    return digest.hexdigest()


class _Sentences:
    """What both kinds of corpus can do."""

    name: str

    def sentences(self) -> Iterator[Sentence]:
        """The sentences in order, from the first, as often as it is called."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[str]:
        return (sentence.text for sentence in self.sentences())

    @cached_property
    def hash(self) -> str:
        """sha256 of the texts, words and labels, in order; a pass over a streamed corpus."""
        return hash_of(self.sentences())

    def parts(self, size: int) -> Iterator[Corpus]:
        """The corpus as consecutive parts of `size` sentences, the last one shorter; only one is in memory."""
        if size < 1:
            raise ValueError(f"size={size}: expected 1 or more sentences")
        rest = self.sentences()
        while part := list(islice(rest, size)):
            yield Corpus.of(part, self.name)


class Corpus(_Sentences):
    """Texts with labels; iterating gives the texts, `sentences()` gives words and labels as well.

    `labels` has one entry per text, or is a mapping of names to such sequences; an entry is a value for the whole text, or
    a list with one value per word. `words` gives the (start, end) of each word of each text; without it words follow the
    rules of `models.words`, the same for every tokenizer. Raises TypeError for texts that are no strings, ValueError
    for wrong counts and spans.
    """

    def __init__(
        self,
        texts: Iterable[str],
        labels: Labels | None = None,
        name: str = "corpus",
        words: Sequence[Sequence[Span] | None] | None = None,
    ) -> None:
        if isinstance(texts, str):
            raise TypeError(f"a corpus is made of a list of texts, got one text: write Corpus([{texts[:30]!r}])")
        given = tuple(texts)
        for index, text in enumerate(given):
            if not isinstance(text, str):
                raise TypeError(f"text {index} of the corpus is a {type(text).__name__}, expected a string: {text!r}")
        named = labels if isinstance(labels, Mapping) else {} if labels is None else {UNNAMED: labels}
        for what, values in [*named.items(), *([("words", words)] if words is not None else [])]:
            if len(values) != len(given):
                kind = "words" if what == "words" else "labels" if what == UNNAMED else f"labels {what!r}"
                raise ValueError(f"{len(given)} texts and {len(values)} {kind}: expected one entry per text")
        made = []
        for index, text in enumerate(given):
            spans = None if words is None or words[index] is None else tuple(words[index] or ())
            try:
                made.append(Sentence(text, spans, {key: values[index] for key, values in named.items()}))
            except ValueError as error:
                raise ValueError(f"text {index} of the corpus: {error}") from None
        self._sentences, self.name = tuple(made), name
        self.texts = given

    @classmethod
    def of(cls, sentences: Iterable[Sentence], name: str = "corpus") -> Corpus:
        """A corpus of ready sentences; a label that a sentence lacks is None there."""
        corpus = cls([], name=name)
        corpus._sentences = tuple(sentences)
        corpus.texts = tuple(sentence.text for sentence in corpus._sentences)
        return corpus

    @classmethod
    def from_words(
        cls, words: Iterable[Sequence[str]], labels: Labels | None = None, name: str = "corpus", joined_by: str = " "
    ) -> Corpus:
        """A corpus of texts that are lists of words already; each text is its words joined by a space."""
        texts, spans = [], []
        for row in words:
            text, found = joined_words(row, joined_by)
            texts.append(text)
            spans.append(found)
        return cls(texts, labels, name, spans)

    def sentences(self) -> Iterator[Sentence]:
        return iter(self._sentences)

    def __len__(self) -> int:
        return len(self._sentences)

    def __getitem__(self, index: int) -> str:
        return self.texts[index]

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        """The names of the labels, in order of first appearance; labels given without a name are "label"."""
        return tuple(dict.fromkeys(name for sentence in self._sentences for name in sentence.labels))

    @property
    def labels(self) -> tuple[Any, ...] | dict[str, tuple[Any, ...]] | None:
        """Labels given without a name: one entry per text. Named ones: a mapping of such tuples. None without labels."""
        named = {name: tuple(s.labels.get(name) for s in self._sentences) for name in self.label_names}
        if not named:
            return None
        return named[UNNAMED] if list(named) == [UNNAMED] else named

    def __repr__(self) -> str:
        names = ", ".join(self.label_names)
        labelled = "" if not names else ", labelled" if names == UNNAMED else f", labels {names}"
        return f"Corpus({self.name!r}, {len(self)} texts{labelled})"


class StreamedCorpus(_Sentences):
    """A corpus that is read anew on each pass and never in memory; `opened()` gives its sentences from the first."""

    def __init__(self, opened: Callable[[], Iterator[Sentence]], name: str = "corpus") -> None:
        self._opened, self.name = opened, name

    def sentences(self) -> Iterator[Sentence]:
        return self._opened()

    def first(self, count: int) -> Corpus:
        """The first `count` sentences in memory."""
        return Corpus.of(islice(self.sentences(), count), self.name)

    def __repr__(self) -> str:
        return f"StreamedCorpus({self.name!r})"


def joined_words(words: Sequence[str], joined_by: str = " ") -> tuple[str, tuple[Span, ...]]:
    """The text of some words, and where each of them is in it."""
    spans, at = [], 0
    for word in words:
        spans.append((at, at + len(word)))
        at += len(word) + len(joined_by)
    return joined_by.join(words), tuple(spans)
