"""Which tokens of the text are there: what perturbation methods vary.

Captum is given F of `present`, (row, player) of 0 and 1, not embeddings or ids: a player is a token that is not special,
or a group of them, and one that is absent has its baseline. So groups need no mask of features, LIME measures its
distance on what is there, and nothing of the width of an embedding is copied for each perturbation.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from neurowidget.analysis.attribution.asked import Asked, Remark, answer, ask, from_baseline
from neurowidget.analysis.attribution.baselines import Baseline
from neurowidget.analysis.attribution.explained_text import Text
from neurowidget.analysis.attribution.word_embeddings import Explained
from neurowidget.analysis.statistics.halving import halving
from neurowidget.models.display import tokens_of
from neurowidget.models.progress import StopFlag
from neurowidget.neuron import Neuron
from neurowidget.results.attribution import Attribution
from neurowidget.results.token_groups import Groups, group_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neurowidget.models.loading import NeuronModel

PERTURBED_ROWS = 64  # perturbed copies in one forward: no graph is kept, so more than of a gradient's


@dataclass(eq=False)
class Presence:
    """F of which players are there: `presence(present)` is (row,), for a path from one baseline."""

    explained: Explained
    player: Tensor  # int64 (token,): the player of each token, -1 for special tokens
    count: int

    def __call__(self, present: Tensor) -> Tensor:
        ends = self.explained
        there = torch.cat([present > 0.5, torch.ones(len(present), 1, dtype=torch.bool, device=present.device)], dim=1)
        kept = there[:, self.player].to(ends.baseline.device)  # -1 is the last column: always there
        with torch.no_grad():
            return ends.of(torch.where(kept[..., None], ends.embeddings.text, ends.baseline)).cpu().double()

    @property
    def everyone(self) -> Tensor:
        return torch.ones(1, self.count)

    def eval_rows(self, rows: int | None = None) -> int:
        """How many perturbed copies are run at a time."""
        return rows or max(1, min(PERTURBED_ROWS, 2 * 4096 // len(self.player)))


Perturb = Callable[[Presence, int], Tensor]


@dataclass(eq=False)
class Players:
    """A question whose answer is a score for each player."""

    asked: Asked
    group: Groups | None
    numbers: np.ndarray  # of the group of each token
    player: Tensor
    count: int

    def scores(self, method: Perturb, rows: int | None = None) -> Tensor:
        """`method(presence, rows)` is (player,), the mean over the set of baselines; half the rows when memory ends."""
        starts = self.asked.starts
        assert starts is not None
        found = []
        for start in starts:
            presence = Presence(self.asked.path(start[None]), self.player, self.count)
            found.append(halving(lambda size, of=presence: method(of, size), presence.eval_rows(rows)))  # type: ignore[misc]
        return torch.stack(found).mean(dim=0)

    def answer(
        self,
        method: str,
        scores: Tensor,
        complete: bool = False,
        remarks: list[Remark] | None = None,
        seed: int | None = None,
        **parameters: Any,
    ) -> Attribution:
        """The result of scores per player: a group's score stands once, at its first token, until tokens are joined."""
        spread = torch.zeros(len(self.numbers), dtype=torch.float64)
        for player in range(self.count):
            spread[int((self.player == player).nonzero()[0])] = float(scores.flatten()[player])
        return answer(
            self.asked, method, spread, complete=complete, remarks=remarks, group=self.group, seed=seed, **parameters
        )


def players(
    model: NeuronModel,
    text: Text,
    target: Any,
    baseline: Baseline,
    position: int | None,
    of: Neuron | str | None,
    target_text: Text | None,
    group: Groups | None,
    seed: int = 0,
    should_stop: StopFlag | None = None,
) -> Players:
    """The question, with the tokens or groups that may be absent; a text of special tokens alone has none."""
    asked = from_baseline(ask(model, text, target, position, of, target_text, should_stop), baseline, seed)
    tokens = tokens_of(model, asked.batch)
    numbers = group_numbers(tokens, group)
    fixed = np.isin(numbers, np.unique(numbers[tokens.special]))
    if len(mixed := np.unique(numbers[fixed & ~tokens.special])):
        raise ValueError(
            f"group {tokens.pieces[int(np.flatnonzero(numbers == mixed[0])[0])]!r} has a special token in it"
        )
    if fixed.all():
        raise ValueError("this text has special tokens alone: there is nothing to leave out")
    player = np.full(len(numbers), -1)
    player[~fixed] = np.unique(numbers[~fixed], return_inverse=True)[1]
    return Players(asked, group, numbers, torch.from_numpy(player), int(player.max()) + 1)


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """torch's and numpy's global generators, which Captum draws from, seeded here and put back."""
    state = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(state)
