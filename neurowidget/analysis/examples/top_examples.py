"""What do the neurons fire on? One pass over a corpus: extreme contexts, contexts by quantile, and the density of values.

Kádár, Chrupała and Alishahi (2017) describe a neuron by the contexts where it is highest; contexts around its quantiles
keep the rest of its range in view, and the density says how rare they are. Memory depends on how many neurons and
examples there are, not on the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from tqdm.auto import tqdm

from neurowidget.analysis.examples.effect_examples import (
    EFFECT_GROUPS,
    SHORTLIST,
    effect_on,
    effects_of_part,
    with_effects,
)
from neurowidget.analysis.examples.layout import GROUPS, Layout, asked_for, layout_of, neurons_of, sample_size
from neurowidget.analysis.examples.part_examples import PartExamples, checked_pieces, examples_of_part
from neurowidget.extraction.activations import MOST_TOKENS, TOKENS_PER_THREAD
from neurowidget.extraction.corpus import Corpus, StreamedCorpus
from neurowidget.models.batching import Encoded, Text, encode_one
from neurowidget.models.edits import Neurons
from neurowidget.models.interventions import active_interventions
from neurowidget.models.progress import StopFlag
from neurowidget.results.examples import Examples
from neurowidget.results.kept_texts import KeptTexts

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

BATCH_FACTOR = 2  # as many tokens as an extraction: what is done once per batch and site then costs half as much
PART_TEXTS = 256  # that share a plan of batches: many enough to find others of the same length
_MOST_TYPE_MAXIMA = 2**28


def top_examples(
    model: NeuronModel,
    corpus: Corpus | StreamedCorpus | Sequence[Text],
    neurons: Neurons = "all",
    site: str | None = None,
    layers: Sequence[int] | None = None,
    k: int = 20,
    *,
    groups: Sequence[str] = GROUPS,
    k_quantile: int | None = None,
    context: int = 16,
    by: Literal["activation", "effect"] = "activation",
    target: Any = None,
    position: int | None = None,
    reference: Any = None,
    per_sentence: bool = True,
    special_tokens: Literal["exclude", "include"] = "exclude",
    sinks: Literal["exclude", "include"] = "exclude",
    token_types: bool = False,
    window: Literal["overlap"] | None = None,
    seed: int = 0,
    batch_tokens: int | None = None,
    progress: bool = True,
    should_stop: StopFlag | None = None,
) -> Examples:
    """Contexts of a corpus for every neuron of `site` ("mlp"), or for `neurons`, and statistics of their values.

    `groups` are "top" and "bottom", the k highest and lowest tokens, and quantiles such as "q90": `k_quantile` tokens (k // 4,
    at least one) whose value lies nearest to the 0.9 quantile of the first ~500 tokens, among one token of each text that
    `seed` draws. `NeuronExamples.percentile` tells where they lie in the whole corpus. `per_sentence` takes at most
    one token of a text into a group (of each window of a text that needs several). Values that agree to one part in
    8,192 are ordered by text and position, so that the size of the batches does not matter.

    Special tokens, and sinks (a token whose residual is more than 20 times as long as the median one in some layer, told
    by place or id from the first texts), are neither examples nor counted, unless they are to be included; they are
    marked in the contexts. `token_types` keeps each neuron's largest value per token id. Each example comes with the
    values of `context` tokens on both sides.

    `by="effect"` asks where each of the named neurons matters for `target`, resolved for each text as in
    `ablation_effects` and read at `position`: the groups "supports" and "opposes" are the k tokens with the largest
    and the most negative effect F(clean) - F(neuron at its mean over `reference` texts at that token). Gradients choose
    2 k of each, which are run, as are the examples of the other groups; `correlation` says how far the neuron fires
    where it matters. The default target of a causal model is its prediction after the last token.

    Interventions that this thread has open apply. Raises ValueError for what the model has not, for values that
    are not finite and for a text that is too long, unless `window="overlap"`; Cancelled when `should_stop()` says
    True between two forwards. An interrupt leaves no hook behind. Memory is that of the examples: about 4 kB a neuron.
    """
    everything = isinstance(neurons, str) and neurons == "all"
    site = site or ("mlp" if everything else _site_of(neurons))
    if site.startswith("decoder."):
        raise ValueError(
            f"site={site!r}: a corpus has no targets for a decoder to read; use extract(..., targets=) for it"
        )
    asked = asked_for(
        k, groups, k_quantile, context, per_sentence, special_tokens, sinks, token_types, window, seed
    )  # fmt: skip
    sites, columns, widths = neurons_of(model, site, layers, None if everything else neurons)
    effect = None
    if by == "effect":
        if everything or window is not None:
            raise ValueError("by='effect' runs the model once per example: name neurons=[...], and no window")
        effect = effect_on(model, sites[0], target, position, reference)
        asked = replace(asked, sizes={**asked.sizes, **dict.fromkeys(EFFECT_GROUPS, SHORTLIST * k)})
    elif by != "activation" or target is not None or position is not None or reference is not None:
        raise ValueError(
            f"by={by!r}: expected 'activation' or 'effect'; target, position and reference are for 'effect'"
        )
    if token_types and sum(widths) * model.vocabulary_size > _MOST_TYPE_MAXIMA:
        raise ValueError(
            f"token_types=True keeps a number for each of {sum(widths):,} neurons and {model.vocabulary_size:,} token ids:"
            f" name at most {_MOST_TYPE_MAXIMA // model.vocabulary_size:,} neurons=[...]"
        )
    if batch_tokens is None:
        on_cpu = model.device.type == "cpu"
        batch_tokens = (
            min(BATCH_FACTOR * TOKENS_PER_THREAD * torch.get_num_threads(), MOST_TOKENS) if on_cpu else MOST_TOKENS
        )

    name, total = _named(corpus)
    layout: Layout | None = None
    found: PartExamples | None = None
    with tqdm(total=total, desc=f"examples of {site}", unit=" texts", disable=not progress) as bar:
        for first, texts in parts_of(corpus, PART_TEXTS):
            if layout is None:
                sample = first_texts(model, texts, sample_size(sum(widths)))
                checked_pieces(model, sample, 0, window)
                layout = layout_of(model, sample, sites, columns, widths, asked, should_stop)
            if effect is None:
                found = examples_of_part(model, texts, first, layout, batch_tokens, into=found, should_stop=should_stop)
            else:
                found = effects_of_part(model, texts, first, layout, effect, into=found, should_stop=should_stop)
            bar.update(len(texts))
    if found is None:
        raise ValueError(f"the corpus {name!r} has no texts")
    about = {"batch_tokens": batch_tokens, **_about(corpus)}
    if effect is None:
        return collected(model, found, name, **about)
    return with_effects(model, collected(model, found, name, **about), found, effect, k, progress, should_stop)


def first_texts(model: NeuronModel, texts: Sequence[Text], tokens: int) -> list[Encoded]:
    """The first texts, up to the one that completes `tokens` tokens."""
    found: list[Encoded] = []
    for index, text in enumerate(texts):
        found.append(encode_one(model, text, index, "text", any_length=True))
        tokens -= len(found[-1].ids)
        if tokens <= 0:
            break
    return found


def parts_of(corpus: Corpus | StreamedCorpus | Sequence[Text], size: int) -> Iterator[tuple[int, list[Text]]]:
    """The corpus as parts of `size` texts, each with the number of its first text; only one part is in memory."""
    first = 0
    if isinstance(corpus, Corpus | StreamedCorpus):
        for part in corpus.parts(size):
            yield first, list(part.texts)
            first += len(part)
        return
    rest = iter([corpus] if isinstance(corpus, str) else corpus)
    while texts := list(islice(rest, size)):
        yield first, texts
        first += len(texts)


def collected(model: NeuronModel, found: PartExamples, corpus: str, **about: Any) -> Examples:
    """All parts of a corpus as a result; `about` goes to the provenance. `found` is used up."""
    layout, asked = found.layout, found.layout.asked
    found.forget_texts()
    for top in found.tops.values():
        top.sort()
    mean, variance = found.density.moments()
    density = found.density
    slots: dict[str, Any] = {
        name: _joined([getattr(top, name) for top in found.tops.values()])
        for name in ("text", "token", "value", "contexts")
    }
    types = found.type_counts.nonzero()[:, 0]
    maxima = found.type_maxima[types].t().contiguous().cpu().numpy() if asked.token_types else None
    interventions = [str(one) for one in active_interventions(model)]
    one = layout.sites[0]
    return Examples(
        layers=tuple(site.layer for site in layout.sites),
        site=one.site,
        stack=one.stack,
        corpus=corpus,
        text_count=found.texts,
        token_count=density.tokens,
        excluded=dict(found.excluded),
        groups=tuple(found.tops),
        sizes=tuple(asked.sizes.values()),
        **slots,
        neuron_layer=np.repeat([site.layer for site in layout.sites], layout.widths),
        neuron_index=layout.index.cpu().numpy(),
        edges=density.edges().cpu().numpy(),
        counts=density.counts.cpu().numpy(),
        mean=mean.cpu().numpy(),
        variance=variance.cpu().numpy(),
        minimum=density.low.cpu().numpy(),
        maximum=density.high.cpu().numpy(),
        positive=(density.positive.double() / max(density.tokens, 1)).cpu().numpy(),
        kept=found.kept[0] if found.kept else KeptTexts.none(),
        type_ids=types.cpu().numpy() if asked.token_types else None,
        type_counts=found.type_counts[types].cpu().numpy() if asked.token_types else None,
        type_maxima=maxima,
        type_strings=tuple(model.tokenizer.convert_ids_to_tokens(types.tolist())) if asked.token_types else (),
        provenance=model.provenance(
            "top_examples",
            site=f"{one.stack}.{one.site}" if one.stack else one.site,
            seed=asked.seed,
            corpus=corpus,
            context=asked.context,
            per_sentence=asked.per_sentence,
            special_tokens=asked.special_tokens,
            sinks=asked.sinks,
            sink_rule={"first": layout.sinks.first, "ids": sorted(layout.sinks.ids)},
            window=asked.window,
            sample_tokens=layout.sample_tokens,
            layout=layout.digest,
            **({"interventions": interventions} if interventions else {}),
            **about,
        ),
    )


def _site_of(neurons: Neurons) -> str:
    from neurowidget.models.edits import parse_neurons

    found = parse_neurons(neurons)
    if not found:
        raise ValueError("neurons is empty: give neurons such as 'L5.mlp[131]', or 'all'")
    return f"{found[0].stack}.{found[0].site}" if found[0].stack else found[0].site


def _named(corpus: Corpus | StreamedCorpus | Sequence[Text]) -> tuple[str, int | None]:
    if isinstance(corpus, Corpus | StreamedCorpus):
        return corpus.name, len(corpus) if isinstance(corpus, Corpus) else None
    if isinstance(corpus, str):
        return "1 text", 1
    return f"{len(corpus)} texts", len(corpus)


def _about(corpus: Corpus | StreamedCorpus | Sequence[Text]) -> dict[str, Any]:
    return {"corpus_hash": corpus.hash} if isinstance(corpus, Corpus | StreamedCorpus) else {}


def _joined(parts: Sequence[torch.Tensor]) -> np.ndarray:
    """The slots of all groups side by side, read-only so that the result takes them without a copy."""
    array = torch.cat(list(parts), dim=1).cpu().numpy()
    array.flags.writeable = False
    return array
