"""F(clean) - F(ablated) of one neuron, removed at one token at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from neurowidget.analysis.intervention.exact_effects import Job, exact_effects
from neurowidget.analysis.intervention.replacements import replacement
from neurowidget.models import targets
from neurowidget.models.edits import columns_by_site
from neurowidget.models.progress import StopFlag
from neurowidget.models.readout import stack_context
from neurowidget.neuron import Neuron, as_neuron

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel


def position_effects(
    model: NeuronModel,
    text: str | Sequence[int],
    neuron: Neuron | str,
    ablation: str = "mean",
    target: Any = None,
    *,
    position: int | None = None,
    reference: Any = None,
    seed: int = 0,
    should_stop: StopFlag | None = None,
) -> np.ndarray:
    """Effect of removing `neuron` at each token alone, exact, float32 (token,): as many runs as the text has tokens.

    The arguments are those of `ablation_effects`; the effects do not add up to that of removing it everywhere, since
    the later tokens of a text read the earlier ones.
    """
    chosen = as_neuron(neuron)
    columns_by_site(model, [chosen])
    batch = model.encode([text])
    resolved = targets.resolve(model, batch, target, position)
    instead = replacement(model, ablation, [chosen.address], reference, seed)
    tokens = stack_context(batch, chosen.stack).shape[1]
    draws = [instead.at(chosen.address, batch, draw)[..., chosen.index] for draw in range(instead.draws)]
    here = torch.eye(tokens, dtype=torch.bool)
    jobs = [Job(chosen, values, here[token : token + 1]) for token in range(tokens) for values in draws]
    _, effects = exact_effects(model, batch, resolved, jobs, should_stop=should_stop)
    return effects.view(tokens, instead.draws).mean(dim=1).float().numpy()
