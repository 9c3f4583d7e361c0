"""top_examples against numbers worked out by hand, a naive loop, and planted neurons; batches, parts and streams."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import families
import numpy as np
import pytest
import torch
from hand_model import hand_model
from hook_dicts import hook_dicts

from neurowidget.analysis.examples import top_examples as module
from neurowidget.analysis.examples.layout import Layout, asked_for, layout_of, neurons_of, sample_size
from neurowidget.analysis.examples.part_examples import PartExamples, examples_of_part
from neurowidget.analysis.examples.running_top import rounded
from neurowidget.analysis.examples.top_examples import collected, first_texts, top_examples
from neurowidget.extraction.activations import extract
from neurowidget.extraction.corpus import Corpus, Sentence, StreamedCorpus
from neurowidget.models.interventions import Set
from neurowidget.models.loading import NeuronModel
from neurowidget.models.progress import Cancelled
from neurowidget.results.examples import Examples
from neurowidget.results.storage import load

WORDS = (
    "the",
    "plot",
    "was",
    "not",
    "good",
    "film",
    "water",
    "old",
    "two",
    "Mary",
    "gave",
    "a",
    "to",
    "naïve",
    "你好",
    "one",
)
QUIET: dict[str, Any] = {"progress": False}


def texts_of(count: int, seed: int = 0, longest: int = 12) -> list[str]:
    """Random sentences of 1 to `longest` words."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, longest + 1))) for _ in range(count)]


@pytest.fixture
def parts_of_five(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_TEXTS", 5)


def found(examples: Examples, neuron: str, group: str) -> list[tuple[int, int, float]]:
    return [(e.text_index, e.position, round(e.value, 4)) for e in examples.for_neuron(neuron).groups[group]]


def assert_same(a: Examples, b: Examples) -> None:
    """Equal to the bit."""
    for name in ("text", "token", "value", "contexts", "edges", "counts", "mean", "variance", "minimum", "maximum"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert (a.kept.texts, a.kept.index.tolist()) == (b.kept.texts, b.kept.index.tolist())
    assert (a.token_count, a.text_count, a.excluded) == (b.token_count, b.text_count, b.excluded)
    np.testing.assert_array_equal(a.positive, b.positive)


# ---- numbers worked out by hand: L0.mlp is relu(x0), relu(x1), relu(x0 + x1) of one (1, 0), two (0, 2), three (3, -1)

HAND = ["one two", "two two one", "three", "one"]


def test_a_case_worked_out_by_hand(parts_of_five):
    examples = top_examples(hand_model(), HAND, layers=[0], k=2, groups=("top", "bottom"), context=1, **QUIET)
    assert found(examples, "L0.mlp[0]", "top") == [(2, 0, 3), (0, 0, 1)]  # of the ones, that of the first text
    assert found(examples, "L0.mlp[0]", "bottom") == [(0, 1, 0), (1, 0, 0)]  # the first of two zeros in text 1
    assert found(examples, "L0.mlp[2]", "top") == [(0, 1, 2), (1, 0, 2)]
    one = examples.for_neuron("L0.mlp[0]")
    assert (one.tokens, one.mean, one.minimum, one.maximum) == (7, pytest.approx(6 / 7), 0, 3)
    assert one.variance == pytest.approx(12 / 7 - (6 / 7) ** 2)
    assert one.positive == pytest.approx(4 / 7)
    top = one.groups["top"][1]
    assert (top.pieces, top.values.tolist(), top.focus) == (("one", " two"), [1, 0], 0)
    # one histogram bin begins at 0: the three zeros are in it
    assert one.counts[np.flatnonzero(one.edges == 0)[0]] == 3
    assert one.counts.sum() == 7


def test_every_token_may_be_an_example_of_its_text():
    examples = top_examples(hand_model(), HAND, layers=[0], k=5, groups=("top",), per_sentence=False, **QUIET)
    assert found(examples, "L0.mlp[1]", "top") == [(0, 1, 2), (1, 0, 2), (1, 1, 2), (0, 0, 0), (1, 2, 0)]


def test_fewer_tokens_than_examples_leave_slots_empty():
    examples = top_examples(hand_model(), ["three"], k=3, groups=("top", "q50"), **QUIET)
    assert found(examples, "L0.mlp[0]", "top") == [(0, 0, 3)]
    assert found(examples, "L0.mlp[0]", "q50") == [(0, 0, 3)]
    assert examples.text[0].tolist() == [0, -1, -1, 0]


def test_largest_value_of_each_token_type(monkeypatch):
    examples = top_examples(hand_model(), HAND, neurons=["L0.mlp[0]", "L0.mlp[2]"], token_types=True, **QUIET)
    assert examples.maximum_per_token("L0.mlp[2]") == [("two", 2, 3), ("three", 2, 1), ("one", 1, 3)]
    monkeypatch.setattr(module, "_MOST_TYPE_MAXIMA", 10)
    with pytest.raises(ValueError, match="name at most 2 neurons"):
        top_examples(hand_model(), HAND, token_types=True, **QUIET)


# ---- a naive loop


def naive(values: np.ndarray, texts: np.ndarray, positions: np.ndarray, k: int) -> list[tuple[int, int]]:
    """The k best texts of one neuron: its first token with the largest rounded value, then by text."""
    rounds = rounded(torch.from_numpy(values.copy())).numpy()
    best: dict[int, tuple[int, int]] = {}
    for value, text, position in zip(rounds.tolist(), texts.tolist(), positions.tolist(), strict=True):
        if text not in best or value > best[text][0]:
            best[text] = (value, position)
    order = sorted(best, key=lambda text: (-best[text][0], text))
    return [(text, best[text][1]) for text in order[:k]]


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "opt", "t5", "albert", "plain_module"])
def test_a_naive_loop_over_neurons_agrees(family: str):
    model, texts = families.model(family), texts_of(24)
    acts = extract(model, texts, "mlp", **QUIET)
    tokens = acts.tokens
    position = np.concatenate([np.arange(n) for n in np.bincount(tokens.sentence_index)])
    counted = ~tokens.special
    examples = top_examples(model, texts, k=4, groups=("top", "bottom"), context=2, sinks="include", **QUIET)
    assert examples.token_count == counted.sum()
    assert examples.excluded == {"special": int(tokens.special.sum())}
    values = np.concatenate(list(acts["mlp"]), axis=1)
    where = tokens.sentence_index[counted], position[counted]
    for row in range(0, len(examples), 7):
        own = values[counted, row]
        places = list(zip(examples.text[row].tolist(), examples.token[row].tolist(), strict=True))
        assert places == naive(own, *where, 4) + naive(-own, *where, 4)
        for slot, (text, token) in enumerate(places):
            sentence = values[tokens.sentence_index == text, row]
            assert examples.value[row, slot] == sentence[token]
            around = examples.contexts[row, slot].astype(np.float32)
            expected = np.pad(sentence, 2, constant_values=np.nan)[token : token + 5]
            np.testing.assert_allclose(around, expected, rtol=1e-3, atol=1e-6)
    own = values[counted].astype(np.float64)
    np.testing.assert_allclose(examples.mean, own.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(examples.variance, own.var(axis=0), rtol=1e-4, atol=1e-9)
    np.testing.assert_array_equal(examples.positive, (own > 0).mean(axis=0))
    np.testing.assert_array_equal(examples.maximum, values[counted].max(axis=0))
    np.testing.assert_array_equal(examples.minimum, values[counted].min(axis=0))
    for row in range(0, len(examples), 17):
        edges, counts = examples.edges[row], examples.counts[row]
        expected, _ = np.histogram(values[counted, row], edges)
        assert np.abs(np.cumsum(counts) - np.cumsum(expected)).max() <= 1  # a value on an edge may round to either side


def test_groups_by_quantile_lie_at_the_quantile():
    model, texts = families.model("bert"), texts_of(250, longest=5)
    examples = top_examples(model, texts, layers=[1], k=8, groups=("q90", "q50"), **QUIET)
    places = [examples.for_neuron(str(n)) for n in examples.neurons]
    for name, wanted in (("q90", 90), ("q50", 50)):
        got = [n.percentile([e.value for e in n.groups[name]]).mean() for n in places]
        assert np.abs(np.array(got) - wanted).mean() < 5
        assert all(len(n.groups[name]) == 2 and len({e.text_index for e in n.groups[name]}) == 2 for n in places)


def test_a_planted_neuron_is_found_where_it_was_planted():
    model, texts = families.model("gpt2"), [text + " a b c d e" for text in texts_of(12)]
    with model.intervene(Set("L1.mlp[5]", 50.0), positions=[3]):
        examples = top_examples(model, texts, k=3, groups=("top",), **QUIET)
    assert found(examples, "L1.mlp[5]", "top") == [(0, 3, 50), (1, 3, 50), (2, 3, 50)]
    assert examples.provenance.parameters["interventions"]


def test_chosen_neurons_have_the_numbers_of_all():
    model, texts = families.model("bert"), texts_of(12)
    every = top_examples(model, texts, k=3, **QUIET)
    some = top_examples(model, texts, neurons=["L2.mlp[7]", "L0.mlp[3]", "L0.mlp[1]"], k=3, **QUIET)
    assert [str(n) for n in some.neurons] == ["L0.mlp[3]", "L0.mlp[1]", "L2.mlp[7]"]
    rows = [every.row(n) for n in some.neurons]
    for name in ("text", "token", "value", "contexts", "counts", "edges", "minimum"):
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name)[rows], err_msg=name)
    whole = top_examples(model, texts, neurons="L1.mlp", k=3, **QUIET)
    np.testing.assert_array_equal(whole.value, every.value[48:96])


# ---- batches, parts, streams


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_the_size_of_batches_does_not_matter(family: str):
    model = families.model(family)
    texts = texts_of(20) + texts_of(20)  # every text twice: the first of the two wins, whatever batch it is in
    one, seven, many = (top_examples(model, texts, k=4, batch_tokens=n, **QUIET) for n in (1, 70, 10_000))
    largest = np.abs(many.value[np.isfinite(many.value)]).max()
    for other in (one, seven):
        np.testing.assert_allclose(other.value, many.value, atol=2e-5 * max(1, largest))
        np.testing.assert_allclose(other.mean, many.mean, atol=1e-5 * max(1, largest))
        # Rounding moves a few values across the border of two rounded ones, and only those may change places.
        assert ((other.text == many.text) & (other.token == many.token)).mean() > 0.98
        assert np.abs(other.counts - many.counts).sum() <= 0.002 * many.counts.sum()
    assert (many.text[:, 0] < 20).mean() > 0.98
    assert (one.text[:, 0] < 20).mean() > 0.98


def layout_for(model: NeuronModel, texts: list[str], chosen: str | None = None, **options: Any) -> Layout:
    """The layout of `top_examples`, as one makes it who runs the parts elsewhere."""
    neurons = neurons_of(model, "mlp", None, chosen)
    return layout_of(model, first_texts(model, texts, sample_size(sum(neurons[2]))), *neurons, asked_for(**options))


def test_merged_parts_are_one_pass_to_the_bit(parts_of_five):
    model, texts = families.model("gpt2"), texts_of(18)
    options = {"k": 3, "context": 2}
    whole = top_examples(model, texts, batch_tokens=64, **options, **QUIET)
    layout = layout_for(model, texts[:5], **options)  # the first part has more tokens than the sample
    assert whole.provenance.parameters["layout"] == layout.digest
    for order in permutations(range(4), 4):
        parts = [examples_of_part(model, texts[5 * i : 5 * i + 5], 5 * i, layout, 64) for i in order]
        parts = [pickle.loads(pickle.dumps(part)) for part in parts]
        for other in parts[1:]:
            parts[0].merge(other)
        assert_same(collected(model, parts[0], whole.corpus), whole)


def test_parts_of_different_layouts_are_not_merged():
    model, texts = families.model("bert"), texts_of(12)
    one, other = (layout_for(model, some, "L0.mlp[1]", k=2) for some in (texts, texts[6:]))
    a, b = examples_of_part(model, texts, 0, one, 64), examples_of_part(model, texts, 12, other, 64)
    with pytest.raises(ValueError, match="different layouts"):
        a.merge(b)


def test_a_streamed_corpus_gives_what_one_in_memory_gives(parts_of_five, tmp_path):
    model, texts = families.model("bert"), texts_of(18)
    opened = 0

    def sentences() -> Iterator[Sentence]:
        nonlocal opened
        opened += 1
        return map(Sentence, texts)

    streamed = top_examples(model, StreamedCorpus(sentences, "some texts"), k=3, **QUIET)
    listed = top_examples(model, texts, k=3, **QUIET)
    kept = top_examples(model, Corpus(texts, name="some texts"), k=3, **QUIET)
    for other in (listed, kept):
        assert_same(streamed, other)
    assert opened == 2  # the pass, and the hash
    assert streamed.corpus == "some texts"
    assert streamed.provenance.parameters["corpus_hash"] == kept.provenance.parameters["corpus_hash"]
    loaded = load(streamed.save(tmp_path / "examples.npz"))
    assert isinstance(loaded, Examples)
    assert_same(loaded, streamed)


def test_memory_is_that_of_the_examples(parts_of_five, monkeypatch):
    model = families.model("bert")
    sizes: list[int] = []
    original = PartExamples.close_part

    def close_part(self: PartExamples, *given: Any) -> None:
        original(self, *given)
        self.forget_texts()
        tensors = [value for top in self.tops.values() for value in vars(top).values() if torch.is_tensor(value)]
        texts = sum(len(kept.ids) for kept in self.kept)
        sizes.append(sum(t.numel() for t in tensors) + sum(len(room) for room in self._room._kept.values()) + texts)

    monkeypatch.setattr(PartExamples, "close_part", close_part)
    chosen = [f"L{layer}.mlp[{index}]" for layer in range(3) for index in range(4)]
    examples = top_examples(model, texts_of(400, longest=4), neurons=chosen, k=2, groups=("top", "bottom"), **QUIET)
    assert len(sizes) == 80
    assert len(examples.kept) <= 12 * 4  # a text for each slot at most
    assert max(sizes[40:]) <= 1.1 * max(sizes[:40])


def test_texts_that_no_example_uses_are_not_kept(parts_of_five):
    texts = texts_of(40)
    examples = top_examples(families.model("bert"), texts, neurons=["L1.mlp[2]"], k=2, groups=("top",), **QUIET)
    used = sorted(set(examples.text.ravel().tolist()))
    assert examples.kept.index.tolist() == used
    assert [examples.tokens_of(i).texts[0] for i in used] == [texts[i] for i in used]
    with pytest.raises(KeyError):
        examples.tokens_of(next(i for i in range(40) if i not in used))


# ---- which tokens count


def test_special_tokens_are_marked_and_not_counted():
    model, texts = families.model("bert"), texts_of(10)
    without = top_examples(model, texts, k=3, **QUIET)
    everything = top_examples(model, texts, k=3, special_tokens="include", **QUIET)
    assert without.excluded["special"] == 20
    assert everything.token_count == without.token_count + 20
    shown = [e for n in without.neurons[:20] for g in without.for_neuron(n).groups.values() for e in g]
    assert not any(e.special[e.focus] for e in shown)
    assert all(e.special[0] and e.pieces[0] == "[CLS]" for e in shown if e.first == 0)
    rows = [
        without.kept.special[without.kept.place(t)][p]
        for t, p in zip(without.text.flat, without.token.flat, strict=True)
        if t >= 0
    ]
    assert not any(rows)


def test_sinks_are_found_marked_and_left_out():
    model = families.build("gpt2")
    with torch.no_grad():
        model.module.transformer.wpe.weight[0] *= 500  # the first token of every text
    texts = texts_of(10)
    without = top_examples(model, texts, k=3, context=20, **QUIET)
    everything = top_examples(model, texts, k=3, context=20, sinks="include", **QUIET)
    assert without.provenance.parameters["sink_rule"] == {"first": True, "ids": []}
    assert without.excluded["sink"] == 10
    assert everything.token_count == without.token_count + 10
    assert (without.token[without.text >= 0] > 0).all()
    assert (everything.token == 0).any()
    example = without.for_neuron("L0.mlp[0]").groups["top"][0]
    assert example.sink == (True, *[False] * (len(example.sink) - 1))
    assert top_examples(families.model("gpt2"), texts, k=3, **QUIET).excluded["sink"] == 0


def test_long_texts_in_windows_have_the_values_of_extract():
    model = families.model("bert")  # takes 64 tokens
    texts = [*texts_of(3), " ".join(WORDS * 6), *texts_of(2, seed=1)]
    with pytest.raises(ValueError, match=r"text 3 of the corpus has \d+ tokens, more than the 64"):
        top_examples(model, texts, **QUIET)
    examples = top_examples(model, texts, k=3, window="overlap", layers=[1], **QUIET)
    acts = extract(model, texts, "mlp", [1], None, "drop", window="overlap", **QUIET)
    values = acts["mlp"][0]
    assert examples.token_count == len(values)
    np.testing.assert_array_equal(examples.maximum, values.max(axis=0))
    np.testing.assert_allclose(examples.mean, values.mean(axis=0), atol=1e-5)
    kept = extract(model, texts, "mlp", [1], window="overlap", **QUIET)
    for row in range(0, len(examples), 9):
        for text, token, value in zip(examples.text[row], examples.token[row], examples.value[row], strict=True):
            if text >= 0:
                assert kept["mlp"][0][kept.tokens.sentence_index == text][token, row] == value


# ---- what ends badly


def test_stopping_and_interrupts_leave_nothing_behind(parts_of_five, monkeypatch):
    model, texts = families.build("bert"), texts_of(20)
    before = hook_dicts(model.module)
    calls = iter([False] * 5 + [True] * 100)
    with pytest.raises(Cancelled):
        top_examples(model, texts, should_stop=lambda: next(calls), batch_tokens=16, **QUIET)

    def interrupted() -> Iterator[Sentence]:
        yield from map(Sentence, texts[:7])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        top_examples(model, StreamedCorpus(interrupted), **QUIET)

    def receive(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PartExamples, "receive", receive)
    with pytest.raises(KeyboardInterrupt):
        top_examples(model, texts, **QUIET)
    assert hook_dicts(model.module) == before


def test_values_that_are_not_finite_are_an_error():
    model = families.build("bert")
    with torch.no_grad():
        model.module.bert.encoder.layer[1].intermediate.dense.bias[3] = float("nan")
    with pytest.raises(ValueError, match=r"L1\.mlp has values that are NaN or infinite"):
        top_examples(model, texts_of(4), **QUIET)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k=0"),
        ({"context": -1}, "context=-1"),
        ({"groups": ()}, "groups is empty"),
        ({"groups": ("top", "top")}, "expected different ones of 'top', 'bottom' and quantiles such as 'q90'"),
        ({"groups": ("q101",)}, "quantiles such as"),
        ({"special_tokens": "drop"}, "expected one of 'exclude', 'include'"),
        ({"sinks": False}, "expected one of 'exclude', 'include'"),
        ({"window": "cut"}, "expected one of None, 'overlap'"),
        ({"by": "gradient"}, "expected 'activation' or 'effect'"),
        ({"target": "POS"}, "target, position and reference are for 'effect'"),
        ({"by": "effect"}, "name neurons"),
        ({"neurons": []}, "neurons is empty"),
        ({"neurons": ["L0.mlp[1]", "L0.residual[1]"]}, "neurons of one site are expected, got mlp, residual"),
        ({"neurons": ["L0.mlp[1]"], "layers": [1]}, "which layers=.1. leaves out"),
        ({"site": "nothing"}, "nothing"),
        ({"layers": []}, "layers is empty"),
    ],
)
def test_what_cannot_be_asked(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        top_examples(families.model("bert"), texts_of(3), **options, **QUIET)


def test_a_corpus_without_texts_and_a_decoder_are_refused():
    with pytest.raises(ValueError, match="'0 texts' has no texts"):
        top_examples(families.model("bert"), [], **QUIET)
    with pytest.raises(ValueError, match="no targets for a decoder"):
        top_examples(families.model("t5"), texts_of(2), site="decoder.mlp", **QUIET)
