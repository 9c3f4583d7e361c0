"""A corpus: named texts with their words and labels, and a hash that says which texts they were.

Two kinds with the same `sentences()`, `parts()`, `name` and `hash`: `Corpus` holds its sentences in memory,
`StreamedCorpus` reads them anew on each pass. What works on a corpus of any size goes through `parts`.
No method changes a corpus: each gives a new one.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from typing import Any, Literal, Self, overload

from neurowidget.extraction.balancing import balanced
from neurowidget.extraction.concepts import Within, marks_of, with_concepts
from neurowidget.extraction.readers.opening import Errors, Paths, opened_files, with_errors
from neurowidget.extraction.readers.records import LabelFields, fields
from neurowidget.extraction.readers.tables import dataset_sentences, frame_sentences
from neurowidget.extraction.sampling import sampled
from neurowidget.extraction.sentence import UNNAMED, Sentence, hash_of, joined_words
from neurowidget.extraction.splits import split_sentences
from neurowidget.models.words import Span

Labels = Sequence[Any] | Mapping[str, Sequence[Any]]
Change = Callable[[Iterator[Sentence]], Iterator[Sentence]]

__all__ = ["UNNAMED", "Corpus", "Labels", "Sentence", "StreamedCorpus"]


class _Sentences(ABC):
    """What both kinds of corpus can do."""

    name: str

    @abstractmethod
    def sentences(self) -> Iterator[Sentence]:
        """The sentences in order, from the first, as often as it is called."""

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

    def annotate(self, concepts: Mapping[str, Any], *, ignore_case: bool = False, within: Within = "word") -> Self:
        """The corpus with one more label per concept, True or False for every word.

        A rule is a compiled expression, which the whole word must match; a set of words, equal in case as well
        unless `ignore_case`; or a function of a word. With `within="text"` expressions are searched in the text, and the
        words that lie wholly in a match are True: `re.compile("New York")`. Raises ValueError for a name that is
        taken; a concept that no word has is told in a warning after a whole pass.
        """
        return self._changed(partial(with_concepts, marks=marks_of(concepts, ignore_case, within)))

    def filter(self, keep: Callable[[Sentence], Any]) -> Self:
        """The sentences for which `keep(sentence)` is true; a sentence has `text`, `words`, `spans`, `word_texts`, `labels`."""
        return self._changed(partial(filter, keep))

    def sample(self, count: int, seed: int = 0) -> Corpus:
        """`count` sentences drawn at random, in the order of the corpus, in memory; the same for both kinds of corpus.

        Raises ValueError when there are fewer.
        """
        return Corpus.of(sampled(self.sentences(), count, seed), self.name)

    def first(self, count: int) -> Corpus:
        """The first `count` sentences in memory."""
        return Corpus.of(islice(self.sentences(), count), self.name)

    def label_counts(self, name: str = UNNAMED) -> dict[Any, int]:
        """How many words, or texts, have each value of a label, the most frequent first; None is not counted.

        Raises KeyError for a label that no sentence has.
        """
        counts: Counter[Any] = Counter()
        there: dict[str, None] = {}
        for sentence in self.sentences():
            there |= dict.fromkeys(sentence.labels)
            value = sentence.labels.get(name)
            counts.update(one for one in (value if isinstance(value, tuple) else (value,)) if one is not None)
        if name not in there:
            raise KeyError(
                f"{self.name!r} has no label {name!r}: its labels are {', '.join(map(repr, there)) or 'none'}"
            )
        return dict(counts.most_common())

    @abstractmethod
    def _changed(self, change: Change) -> Self:
        """The corpus whose sentences are `change` of those of this one."""


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
    def of(cls, sentences: Iterable[Sentence], name: str = "corpus") -> Self:
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

    @overload
    @classmethod
    def read(
        cls,
        path: Paths,
        format: str | None = None,
        stream: Literal[False] = False,
        errors: Errors = "raise",
        name: str | None = None,
        **options: Any,
    ) -> Corpus: ...

    @overload
    @classmethod
    def read(
        cls,
        path: Paths,
        format: str | None = None,
        *,
        stream: Literal[True],
        errors: Errors = "raise",
        name: str | None = None,
        **options: Any,
    ) -> StreamedCorpus: ...

    @classmethod
    def read(
        cls,
        path: Paths,
        format: str | None = None,
        stream: bool = False,
        errors: Errors = "raise",
        name: str | None = None,
        **options: Any,
    ) -> Corpus | StreamedCorpus:
        """A corpus from a file, or from several in order; `stream=True` reads them anew on each pass, never into memory.

        The format follows from the suffix, or is named: "txt", "jsonl", "csv", "tsv", "conllu", "conll" (word and labels in
        columns), "brown" (word/tag), "neurox" (.word and .label), "parquet". Options are those of
        `neurowidget.extraction.readers`: such as text=, words=, labels= for the fields of a table, labels= for CoNLL-U,
        columns= for CoNLL, unit="paragraph" for text; encoding= and longest= (bytes of a line) for all text files.
        The name is that of the file. A malformed record raises MalformedFileError with file, line, what was found
        and what was expected; with `errors="skip"` it is left out, and a warning at the end counts these.
        """
        opened = opened_files(path, format, errors, options)
        if name is None:
            first = path if isinstance(path, str | os.PathLike) else path[0]
            name = os.path.basename(first)
        return StreamedCorpus(opened, name) if stream else cls.of(opened(), name)

    @classmethod
    def from_dataset(
        cls,
        dataset: Any,
        text: str | None = None,
        labels: LabelFields = None,
        words: str | None = None,
        *,
        convert: Mapping[str, Callable[[Any], Any]] | None = None,
        stream: bool = False,
        errors: Errors = "raise",
        name: str = "dataset",
    ) -> Corpus | StreamedCorpus:
        """A corpus from a `datasets.Dataset` or `IterableDataset`; `text`, `labels` and `words` name its columns.

        By default "text", and "label" where there is one; `words` is a column of lists of words, and a list of labels has one
        per word. `labels` is a name, a list of names, or a mapping of label names to columns. Class numbers become the names
        that the dataset has for them, -1 becomes None. Errors are as in `read`.
        """
        wanted = fields(text, words, labels, convert)
        opened = partial(with_errors, partial(dataset_sentences, dataset, wanted), errors)
        return StreamedCorpus(opened, name) if stream else cls.of(opened(), name)

    @classmethod
    def from_pandas(
        cls,
        frame: Any,
        text: str | None = None,
        labels: LabelFields = None,
        words: str | None = None,
        *,
        convert: Mapping[str, Callable[[Any], Any]] | None = None,
        errors: Errors = "raise",
        name: str = "frame",
    ) -> Corpus:
        """A corpus from the rows of a pandas frame; `text`, `labels` and `words` name its columns as in `from_dataset`."""
        wanted = fields(text, words, labels, convert)
        return cls.of(with_errors(partial(frame_sentences, frame, wanted), errors), name)

    def sentences(self) -> Iterator[Sentence]:
        return iter(self._sentences)

    def balance(self, label: str = UNNAMED, seed: int = 0, *, per_class: int | None = None) -> Corpus:
        """As many words of each class of a label, or as many sentences where it is of whole texts, drawn at random.

        `per_class` None is the size of the rarest class; classes with fewer are left out, with a warning. Words that were not
        drawn have the label None, sentences that were not drawn are left out.
        """
        return Corpus.of(balanced(self._sentences, label, per_class, seed), self.name)

    def split(
        self, test: float = 0.2, by: str = "sentence", seed: int = 0, *, dev: float | None = None
    ) -> tuple[Corpus, ...]:
        """(train, test), or (train, dev, test) when `dev` is a share as well.

        `by="sentence"`: whole sentences, equal texts on the same side. `by="word_type"`: no word type (without regard to case)
        has labels in two parts: each part has all sentences, with None for the words of the others, so that a probe cannot
        pass by having seen the word (labels of whole texts stay in all parts). `by` the name of a label of whole texts: texts
        with the same value, say of one document, on the same side. Raises ValueError for too few texts, types or values.
        """
        shares = {"test": test} if dev is None else {"test": test, "dev": dev}
        parts = split_sentences(self._sentences, shares, by, seed)
        order = ("train", "test") if dev is None else ("train", "dev", "test")
        return tuple(Corpus.of(parts[part], f"{self.name} ({part})") for part in order)

    def _changed(self, change: Change) -> Self:
        return type(self).of(change(self.sentences()), self.name)

    def __len__(self) -> int:
        return len(self._sentences)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Corpus: ...

    def __getitem__(self, index: int | slice) -> str | Corpus:
        """A text, or the corpus of a slice."""
        return Corpus.of(self._sentences[index], self.name) if isinstance(index, slice) else self.texts[index]

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

    def _changed(self, change: Change) -> Self:
        return type(self)(partial(_changed, self._opened, change), self.name)

    def __repr__(self) -> str:
        return f"StreamedCorpus({self.name!r})"


def _changed(opened: Callable[[], Iterator[Sentence]], change: Change) -> Iterator[Sentence]:
    return change(opened())
