"""Knowledge neurons (Dai et al. 2022, "Knowledge neurons in pretrained transformers").

1. For each prompt and layer, all mlp neurons at the prediction position are scaled together from 0 to their value w:
   Attr(i) = w_i / m * sum_{k=0}^{m-1} dP(answer) / dw_i at (k / m) w, m = 20 steps, as in the authors' code (the paper's
   formula sums k = 1..m).
2. In each prompt the neurons that reach 0.2 of the largest attribution of the prompt are kept.
3. Those that are kept in at least 0.7 of the prompts are the fact's; this share is moved by 0.05 until 2 to 5 are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from neurowidget.analysis.intervention.exact_effects import tokens_per_forward
from neurowidget.analysis.intervention.prompt_pairs import listed
from neurowidget.analysis.statistics.halving import halving
from neurowidget.analysis.statistics.site_gradients import layers_of_site
from neurowidget.models import hooks, targets
from neurowidget.models.context import Context
from neurowidget.models.edits import width_of
from neurowidget.models.interventions import Intervention, Scale
from neurowidget.models.progress import StopFlag, check
from neurowidget.models.readout import answer_id, token_text
from neurowidget.models.targets import Target
from neurowidget.neuron import LayerSite, Neuron
from neurowidget.results.knowledge import KnowledgeNeurons

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel

FEWEST, MOST = 2, 5  # neurons that a fact should have in the end
STEP = 0.05


def knowledge_neurons(
    model: NeuronModel,
    prompts: str | Sequence[str],
    answer: str | int,
    site: str = "mlp",
    *,
    layers: Sequence[int] | None = None,
    steps: int = 20,
    threshold: float = 0.2,
    share: float = 0.7,
    refine: bool = True,
    seed: int = 0,
    progress: bool = True,
    should_stop: StopFlag | None = None,
) -> KnowledgeNeurons:
    """The neurons that `prompts`, paraphrases of one fact, recall `answer` with, and what P(answer) is without them.

    The answer is read at a causal language model's last token, or at the first mask; of an answer of several tokens
    the first one counts, with a warning. A neuron counts in a prompt when its attribution reaches `threshold` of the
    largest there, and is kept when it counts in `share` of the prompts; with `refine` the share is moved by 0.05 until
    2 to 5 neurons are left. Then they are set to 0 and doubled at the prediction position, and so are as many random
    neurons of the same layers, drawn by `seed`. Raises ValueError for a model without a language-model head.
    """
    if not model.kind.endswith("_lm"):
        raise ValueError(
            f"{model.name} ({model.kind}) predicts no tokens: knowledge neurons need a language-model head"
        )
    if steps < 1 or not 0 < threshold <= 1 or not 0 < share <= 1:
        raise ValueError(f"expected steps >= 1 and threshold and share in (0, 1], got {steps}, {threshold} and {share}")
    texts = listed(prompts)
    if model.kind == "seq2seq_lm" and not site.startswith("decoder."):
        raise ValueError(f"a seq2seq model predicts in its decoder: use site='decoder.mlp', not {site!r}")
    sites = layers_of_site(model, site, layers)
    number, warnings = _first_token(model, answer)
    scores = _all_scores(model, texts, sites, number, steps, progress, should_stop)
    limit = threshold * scores.max(axis=(1, 2), keepdims=True)
    counts = ((scores >= limit) & (scores > 0)).mean(axis=0)
    kept, used = _refined(counts, share, refine)
    if not FEWEST <= len(kept) <= MOST and refine:
        warnings.append(f"no share of prompts leaves {FEWEST} to {MOST} neurons; at {used:.2f} there are {len(kept)}")
    order = sorted(kept, key=lambda at: (-counts[at], -scores[:, at[0], at[1]].mean()))
    chosen = tuple(_neuron(sites, at) for at in order)
    control = tuple(_neuron(sites, at) for at in _random(order, counts.shape[1], seed))
    before = _probabilities(model, texts, number, ())
    return KnowledgeNeurons(
        neurons=chosen,
        prompts=tuple(text if isinstance(text, str) else str(list(text)) for text in texts),
        answer=token_text(model, number),
        layers=tuple(address.layer for address in sites),
        site=sites[0].site,
        stack=sites[0].stack,
        threshold=threshold,
        share=used,
        scores=scores,
        shared=counts,
        probability=before,
        suppressed=_probabilities(model, texts, number, chosen, 0.0),
        amplified=_probabilities(model, texts, number, chosen, 2.0),
        control_neurons=control,
        control_suppressed=_probabilities(model, texts, number, control, 0.0),
        control_amplified=_probabilities(model, texts, number, control, 2.0),
        warnings=tuple(warnings),
        provenance=model.provenance(
            "knowledge_neurons", site=site, target=f"probability of {answer!r}", seed=seed, steps=steps
        ),
    )


def _first_token(model: NeuronModel, answer: str | int) -> tuple[int, list[str]]:
    """The id of the answer's first token, and a warning when it has more of them."""
    try:
        return answer_id(model, answer), []
    except ValueError:
        if not isinstance(answer, str) or not answer.strip():
            raise
    ids = model.tokenizer.encode(" " + answer.strip(), add_special_tokens=False)
    first = next(number for number in ids if token_text(model, number).strip())
    return first, [f"{answer!r} is {len(ids)} tokens: the first one, {token_text(model, first)!r}, counts"]


def _all_scores(
    model: NeuronModel,
    texts: Sequence[Any],
    sites: Sequence[LayerSite],
    number: int,
    steps: int,
    progress: bool,
    should_stop: StopFlag | None,
) -> np.ndarray:
    """Attributions, float64 (prompt, layer, neuron)."""
    from tqdm.auto import tqdm

    found = np.zeros((len(texts), len(sites), width_of(model, sites[0])))
    with tqdm(total=len(texts) * len(sites), desc="layers", unit="layer", disable=not progress, leave=False) as bar:
        for row, text in enumerate(texts):
            batch = model.encode([text])
            target = targets.resolve(model, batch, targets.probability(number))
            for column, site in enumerate(sites):
                check(should_stop)
                found[row, column] = _scores(model, batch, target, site, steps)
                bar.update()
    return found


def _scores(model: NeuronModel, batch: Batch, target: Target, site: LayerSite, steps: int) -> np.ndarray:
    """The attributions of one layer at the prediction position, float64 (neuron,)."""
    assert target.positions is not None
    position = [int(target.positions[0])]
    seen: dict[LayerSite, Tensor] = {}
    with hooks.recording(model, [site], lambda where, value: seen.__setitem__(where, value.detach().clone())):
        model.forward(batch, grad=True)
    shape = seen[site].shape[1]

    def part(weights: Sequence[float], size: int) -> Tensor:
        total = torch.zeros(seen[site].shape[2], dtype=torch.float64)
        for start in range(0, len(weights), size):
            total += _gradient(model, batch, target, site, seen[site], position, weights[start : start + size])
        return total

    weights = [step / steps for step in range(steps)]
    together = max(1, min(steps, tokens_per_forward(model) // shape))
    gradient = halving(lambda size: part(weights, size), together)
    context = Context(torch.ones(1, shape, dtype=torch.long))
    value = seen[site][0, context.selected(position)[0].to(seen[site].device)][0].double().cpu()
    return np.asarray((value * gradient / steps).numpy())


def _gradient(
    model: NeuronModel,
    batch: Batch,
    target: Target,
    site: LayerSite,
    value: Tensor,
    position: Sequence[int],
    weights: Sequence[float],
) -> Tensor:
    """The gradient of P(answer) at each weight, summed over the weights, float64 (neuron,)."""
    leaf: list[Tensor] = []

    def scale(old: Tensor, context: Context) -> Tensor:
        chosen = context.selected(position)
        path = value[chosen[:1]] * value.new_tensor(weights)[:, None]
        leaf.append(path.requires_grad_())
        new = old.clone()
        new[chosen] = path.to(old)
        return new

    rows = [0] * len(weights)
    with torch.enable_grad(), hooks.editing(model, {site: scale}):
        output = model.forward(batch.take(rows), grad=True)
        total = target.take(rows)(output, batch.take(rows), {}).sum()
        (gradient,) = torch.autograd.grad(total, leaf)
    return gradient.sum(dim=0).double().cpu()


def _refined(counts: np.ndarray, share: float, refine: bool) -> tuple[list[tuple[int, int]], float]:
    """The (layer, neuron) that count in enough prompts, and what is enough in the end."""
    tried: set[int] = set()
    while True:
        kept = [
            (int(layer), int(index)) for layer, index in np.argwhere(counts >= share - 1e-9) if counts[layer, index] > 0
        ]
        step = round(share / STEP)
        if not refine or FEWEST <= len(kept) <= MOST or step in tried:
            return kept, share
        tried.add(step)
        moved = share + (STEP if len(kept) > MOST else -STEP)
        if not STEP / 2 < moved <= 1 + 1e-9:
            return kept, share
        share = round(moved, 6)


def _neuron(sites: Sequence[LayerSite], at: tuple[int, int]) -> Neuron:
    site = sites[at[0]]
    return Neuron(site.layer, at[1], site.site, site.stack)


def _random(chosen: Sequence[tuple[int, int]], width: int, seed: int) -> list[tuple[int, int]]:
    """As many neurons of the same layers, none of them chosen."""
    random = np.random.default_rng(seed)
    taken = set(chosen)
    for layer, _ in chosen:
        free = [index for index in range(width) if (layer, index) not in taken]
        if free:
            taken.add((layer, int(random.choice(free))))
    return sorted(taken - set(chosen))


def _probabilities(
    model: NeuronModel, texts: Sequence[Any], number: int, neurons: Sequence[Neuron], factor: float = 1.0
) -> np.ndarray:
    """P(answer) of each prompt with neurons multiplied at the prediction position, float64 (prompt,)."""
    changes: list[Intervention] = [Scale(neurons, factor)] if neurons else []
    found = []
    for text in texts:
        batch = model.encode([text])
        target = targets.resolve(model, batch, targets.probability(number))
        assert target.positions is not None
        with model.intervene(*changes, positions=[int(target.positions[0])]):
            found.append(float(targets.evaluate_target(model, batch, target)[0]))
    return np.array(found)
