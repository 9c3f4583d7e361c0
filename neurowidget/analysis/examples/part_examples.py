"""The seam of `top_examples`: what one part of a corpus gives, and how parts are merged.

    neurons = neurons_of(model, "mlp", None, None)                  # once, from the first texts
    layout = layout_of(model, first_texts(model, texts, sample_size(9_216)), *neurons, asked_for(k=20))
    a = examples_of_part(model, texts[:256], 0, layout, 2_048)      # anywhere, in any order
    b = examples_of_part(model, texts[256:], 256, layout, 2_048)
    a.merge(b)                                                      # to the bit one pass over both parts
    collected(model, a, "name of the corpus")

One pass is the same thing with `into=a`: what part b collects need not be kept apart, and what is known of part a spares
looking at most of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from neurowidget.analysis.examples.batch_rows import BatchRows, rows_of
from neurowidget.analysis.examples.densities import Densities
from neurowidget.analysis.examples.layout import Layout
from neurowidget.analysis.examples.running_top import RunningTop, keys_by_distance, keys_by_value
from neurowidget.analysis.examples.site_values import Room, SiteValues
from neurowidget.extraction.forwards import run_batches
from neurowidget.extraction.planning import Piece, pieces_of
from neurowidget.models.batching import Batch, Encoded, Text, encode_one
from neurowidget.models.display import tokens_of_encoded
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import LayerSite
from neurowidget.results.kept_texts import KeptTexts

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

_DISTANCES_PER_BIN = 64  # how finely a token's distance from a quantile is told; below that the order is drawn


@dataclass(frozen=True, eq=False)
class _Seen:
    """One site of one batch: which neurons, their values and, where there is a target, the estimates of their effects."""

    where: slice
    values: SiteValues
    effects: SiteValues | None

    def put(self, top: RunningTop, neurons: Tensor, slots: Tensor, chosen: Tensor) -> None:
        """Fill in the slots that the rows `chosen` have got."""
        columns, rows = neurons - self.where.start, self.values.rows
        estimates = None if self.effects is None else self.effects.counted[chosen, columns]
        around = self.values.around(chosen, columns)
        top.put(neurons, slots, rows.texts[chosen], rows.positions[chosen], around, estimates)


class PartExamples:
    """What has been collected: examples of each group, densities, and the texts that examples are from."""

    def __init__(self, layout: Layout, vocabulary: int = 0) -> None:
        self.layout = layout
        asked, device = layout.asked, layout.ranges.step.device
        self.tops = {
            name: RunningTop(layout.neurons, size, asked.context, device) for name, size in asked.sizes.items()
        }
        self.density = Densities(layout.ranges)
        self.texts = 0
        self.excluded: Counter[str] = Counter()
        self.kept: list[KeptTexts] = []
        self.products = torch.zeros((5, layout.neurons), dtype=torch.float64, device=device)  # of values and effects
        self._room, self._room_of_effects = Room(), Room()
        self._kept_tokens = 0  # after they were last looked through
        shape = (vocabulary, layout.neurons) if asked.token_types else (0, 0)
        self.type_maxima = torch.full(shape, -torch.inf, device=device)
        self.type_counts = torch.zeros(shape[0], dtype=torch.long, device=device)

    def receive(
        self, site: LayerSite, value: Tensor, rows: BatchRows, ids: Tensor, effect: Tensor | None = None
    ) -> None:
        """Take what is wanted from the value (text, token, width) of one site of one batch.

        `ids` are the token ids of the rows; `effect`, as large as the value, estimates of the effect of each neuron at
        each token. Raises ValueError for values that are not finite.
        """
        if not len(rows):
            return
        where, column = self.layout.where[site], self.layout.columns_of[site]
        values = SiteValues(value, column, rows, self.layout.asked.context, self._room)
        context = self.layout.asked.context
        effects = None if effect is None else SiteValues(effect, column, rows, context, self._room_of_effects)
        highest, lowest = values.per_text()
        if not bool((torch.isfinite(highest) & torch.isfinite(lowest)).all()):
            raise ValueError(
                f"{site} has values that are NaN or infinite: is a weight NaN, or does the model overflow?"
            )
        self.density.extremes(where, highest, lowest)
        self.density.add(where, values.counted)
        seen = _Seen(where, values, effects)
        for name, top in self.tops.items():
            if name in ("top", "bottom"):
                self._enter_highest(top, seen, values, *((highest, 1) if name == "top" else (lowest, -1)))
            elif name in self.layout.quantiles:
                self._enter_nearest(top, seen, self.layout.quantiles[name][where])
            elif effects is not None:
                strongest, weakest = effects.per_text()
                self._enter_highest(top, seen, effects, *((strongest, 1) if name == "supports" else (weakest, -1)))
        if effects is not None:
            away = (values.counted - self.layout.ranges.centre[where]).double()
            other = effects.counted.double()
            terms = (away, other, away.square(), other.square(), away * other)
            self.products[:, where] += torch.stack([term.sum(dim=0) for term in terms])
        if len(self.type_maxima):
            index = ids.unique()
            found = torch.full((len(index), values.width), -torch.inf, device=value.device)
            place = torch.searchsorted(index, ids)[:, None].expand_as(values.counted)
            found.scatter_reduce_(0, place, values.counted, "amax")
            self.type_maxima[index, where] = torch.maximum(self.type_maxima[index, where], found)

    def _enter_highest(self, top: RunningTop, seen: _Seen, scores: SiteValues, extreme: Tensor, sign: int) -> None:
        """Let the rows with the largest `sign` * scores (row, neuron) enter; `extreme` (text, neuron) are those of texts."""
        rows, where = scores.rows, seen.where
        if not self.layout.asked.per_sentence:
            neurons, slots, chosen = top.enter(where, keys_by_value(sign * scores.counted, rows.texts, rows.positions))
        else:
            neurons, slots, text = top.enter(where, keys_by_value(sign * extreme, rows.owners, rows.origins))
            chosen = scores.first_extreme(extreme, text, neurons - where.start, sign)
        seen.put(top, neurons, slots, chosen)

    def _enter_nearest(self, top: RunningTop, seen: _Seen, middle: Tensor) -> None:
        """Let the sampled rows whose values are nearest to `middle` (neuron,) enter."""
        rows = seen.values.rows
        sampled = rows.sampled
        unit = self.layout.ranges.step[seen.where] / _DISTANCES_PER_BIN
        distances = (seen.values.counted[sampled] - middle).abs() / unit
        keys = keys_by_distance(distances, rows.texts[sampled], rows.positions[sampled], self.layout.asked.seed)
        neurons, slots, place = top.enter(seen.where, keys)
        seen.put(top, neurons, slots, sampled[place])

    def close_part(self, model: NeuronModel, encoded: Sequence[Encoded], first: int) -> None:
        """The end of a part: its sums are rounded, and the texts that examples are from are kept."""
        asked, sinks = self.layout.asked, self.layout.sinks
        counting = [asked.counts(row, sinks) for row in encoded]
        self.density.close_part(sum(map(sum, counting)))
        self.texts += len(encoded)
        if asked.special_tokens == "exclude":
            self.excluded["special"] += sum(sum(row.special) for row in encoded)
        if asked.sinks == "exclude":
            self.excluded["sink"] += sum(sum(sinks.of(row)) for row in encoded)
        if len(self.type_counts):
            pairs = zip(encoded, counting, strict=True)
            ids = [i for row, counts in pairs for i, yes in zip(row.ids, counts, strict=True) if yes]
            device = self.type_counts.device
            self.type_counts += torch.bincount(
                torch.tensor(ids, dtype=torch.long, device=device), minlength=len(self.type_counts)
            )
        used = np.zeros(len(encoded), dtype=bool)
        for top in self.tops.values():
            here = top.text[top.text >= first] - first
            used[here.cpu().numpy()] = True
        wanted = np.flatnonzero(used)
        if len(wanted):
            rows = [encoded[i] for i in wanted.tolist()]
            tokens = tokens_of_encoded(model.tokenizer, rows)
            self.kept.append(KeptTexts.of(tokens, wanted + first, np.concatenate([sinks.of(row) for row in rows])))
        if sum(len(kept.ids) for kept in self.kept) > 2 * self._kept_tokens + 100_000:
            self.forget_texts()

    def forget_texts(self) -> None:
        """Drop the texts from which better examples have taken every slot."""
        used = np.unique(np.concatenate([torch.unique(top.text).cpu().numpy() for top in self.tops.values()]))
        if self.kept:
            self.kept = [KeptTexts.joined(self.kept).only(used)]
            self._kept_tokens = len(self.kept[0].ids)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_room": Room(), "_room_of_effects": Room()}

    def correlation(self) -> Tensor:
        """Pearson's of value and estimated effect over the counted tokens, float64 (neuron,), NaN where one is constant."""
        a, b, aa, bb, ab = self.products / max(self.density.tokens, 1)
        return (ab - a * b) / ((aa - a.square()) * (bb - b.square())).clamp(min=0).sqrt()

    def merge(self, other: PartExamples) -> None:
        """Add what was collected from other texts with the same layout; raises ValueError for another one."""
        if self.layout.digest != other.layout.digest:
            raise ValueError("these parts were read with different layouts: make one layout and use it for all parts")
        for name, top in self.tops.items():
            top.merge(other.tops[name])
        self.density.merge(other.density)
        self.products += other.products
        self.texts += other.texts
        self.excluded.update(other.excluded)  # unlike +=, keeps what is 0
        self.kept += other.kept
        self.type_maxima = torch.maximum(self.type_maxima, other.type_maxima)
        self.type_counts = self.type_counts + other.type_counts
        self.forget_texts()


def examples_of_part(
    model: NeuronModel,
    texts: Sequence[Text],
    first: int,
    layout: Layout,
    batch_tokens: int,
    *,
    into: PartExamples | None = None,
    should_stop: StopFlag | None = None,
) -> PartExamples:
    """Read one part of a corpus, whose texts are numbered from `first`, into a new PartExamples or the given one."""
    part = PartExamples(layout, model.vocabulary_size) if into is None else into
    encoded = [encode_one(model, text, first + i, "text", any_length=True) for i, text in enumerate(texts)]
    pieces = checked_pieces(model, encoded, first, layout.asked.window)
    counting = [layout.asked.counts(row, layout.sinks) for row in encoded]
    current: dict[str, object] = {}

    def receive(site: LayerSite, value: Tensor, batch: Batch, group: Sequence[int]) -> None:
        if current.get("group") is not group:
            rows = rows_of(
                batch, [pieces[i] for i in group], first, counting, layout.asked.seed, value.device,
                layout.asked.per_sentence,
            )  # fmt: skip
            ids = batch.input_ids.to(value.device).reshape(-1)[rows.flat]
            current.update(group=group, rows=rows, ids=ids)
        part.receive(site, value, current["rows"], current["ids"])  # type: ignore[arg-type]

    done = run_batches(model, pieces, layout.sites, receive, batch_tokens, should_stop=should_stop)
    with closing(done):
        for _ in done:
            pass
    part.close_part(model, encoded, first)
    return part


def checked_pieces(model: NeuronModel, encoded: Sequence[Encoded], first: int, window: str | None) -> list[Piece]:
    """What is fed of each text; raises ValueError for texts that are too long and no `window`."""
    longest = model.max_length
    over = [] if longest is None else [(i, len(row.ids)) for i, row in enumerate(encoded) if len(row.ids) > longest]
    if over and window is None:
        raise ValueError(
            f"text {first + over[0][0]} of the corpus has {over[0][1]} tokens, more than the {longest} that {model.name} takes"
            f" ({len(over)} such texts in this part): shorten them, or pass window='overlap' (nothing is cut off silently)"
        )
    causal = model.kind == "causal_lm"
    return [piece for i, row in enumerate(encoded) for piece in pieces_of(i, row, longest, causal)]
