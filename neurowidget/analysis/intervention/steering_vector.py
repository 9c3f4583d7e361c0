"""A direction that leads from one kind of text to another, to be added to a layer while the model runs.

`difference_of_means`: mean activation of the positive texts less that of the negative ones (Subramani et al. 2022;
Turner et al. 2023; Rimsky et al. 2024). `probe`: the normal of a logistic regression that tells them apart. `pca`: the
first principal direction of the differences of pairs, not centred (Zou et al. 2023, "Representation engineering").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurowidget.analysis.intervention.exact_effects import tokens_per_forward
from neurowidget.models import hooks
from neurowidget.models.progress import StopFlag, check
from neurowidget.models.readout import stack_context
from neurowidget.models.reference_texts import checked_texts, roles
from neurowidget.neuron import LayerSite
from neurowidget.results.steering import SteeringVector

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

FOLDS = 5
TOKENS = ("mean", "last")


def steering_vector(
    model: NeuronModel,
    positive_texts: Sequence[str],
    negative_texts: Sequence[str],
    layer: int,
    site: str = "residual",
    method: str = "difference_of_means",
    *,
    tokens: str = "mean",
    progress: bool = True,
    should_stop: StopFlag | None = None,
) -> SteeringVector:
    """The direction at `site` of `layer` from negative to positive texts, as long as the mean norm there.

    Use it as `nw.Add(vector, strength=0.5)`. Each text counts once, by the mean over its ordinary tokens (not special
    ones, not a causal model's first token, which attention rests on) or by its "last" one. `method` is
    "difference_of_means", "probe" or "pca", which needs the texts in pairs. How well the direction sorts texts that it
    was not made from is measured over 5 folds (`held_out_auc`, NaN under 2 texts of a kind). Raises ValueError for a
    text without ordinary tokens and for texts that cannot be told apart at all.
    """
    if method not in DIRECTIONS:
        raise ValueError(f"no method {method!r}: expected {', '.join(map(repr, DIRECTIONS))}")
    if tokens not in TOKENS:
        raise ValueError(f"tokens should be 'mean' or 'last', got {tokens!r}")
    positive, negative = checked_texts(positive_texts), checked_texts(negative_texts)
    if method == "pca" and len(positive) != len(negative):
        raise ValueError(
            f"method='pca' needs pairs of texts, got {len(positive)} positive and {len(negative)} negative"
        )
    stack, _, name = site.rpartition(".")
    address = LayerSite(layer, name, stack or None)
    pooled, norms = _pooled(model, address, [*positive, *negative], tokens, progress, should_stop)
    classes = np.arange(len(pooled)) < len(positive)
    direction = _direction(method, pooled, classes)
    along = pooled @ direction
    unit = float(norms.mean())
    return SteeringVector(
        vector=direction * unit,
        layer=layer,
        site=name,
        stack=stack or None,
        unit=unit,
        distance=float(along[classes].mean() - along[~classes].mean()) / unit,
        held_out_auc=_held_out_auc(method, pooled, classes),
        method=method,
        tokens=tokens,
        positive_texts=positive,
        negative_texts=negative,
        provenance=model.provenance("steering_vector", site=str(address), direction=method, tokens=tokens),
    )


def _pooled(
    model: NeuronModel,
    address: LayerSite,
    texts: Sequence[str],
    tokens: str,
    progress: bool,
    should_stop: StopFlag | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The clean value of each text, float64 (text, width), and its mean norm over ordinary tokens, (text,)."""
    from tqdm.auto import tqdm

    lengths = model.encode(texts).lengths
    rest = sorted(range(len(texts)), key=lambda row: lengths[row])
    pooled: dict[int, np.ndarray] = {}
    norms = np.zeros(len(texts))
    with tqdm(total=len(texts), desc="texts", unit="text", disable=not progress, leave=False) as bar:
        while rest:
            check(should_stop)
            most = max(1, tokens_per_forward(model) // lengths[rest[-1]])
            rows, rest = rest[-most:], rest[:-most]
            batch = model.encode([texts[row] for row in rows])
            context = stack_context(batch, address.stack)
            ordinary = (context.positions() >= 0) & (roles(model, context) == 0)
            values = hooks.record_values(model, batch, [address])[address].double().cpu()
            for place, row in enumerate(rows):
                own = values[place][ordinary[place]]
                if not len(own):
                    raise ValueError(f"the text {texts[row]!r} has no ordinary token")
                pooled[row] = (own[-1] if tokens == "last" else own.mean(dim=0)).numpy()
                norms[row] = float(own.norm(dim=-1).mean())
            bar.update(len(rows))
    return np.stack([pooled[row] for row in range(len(texts))]), norms


def difference_of_means(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Mean of the positive rows less the mean of the negative ones, (width,)."""
    return np.asarray(values[classes].mean(axis=0) - values[~classes].mean(axis=0))


def probe(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The normal of a logistic regression on standardised values, in the values' own scale, (width,)."""
    from sklearn.linear_model import LogisticRegression

    spread = values.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    solved = LogisticRegression(max_iter=2000).fit((values - values.mean(axis=0)) / scale, classes)
    return np.asarray(solved.coef_[0] / scale)


def pca(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The first right singular vector of the differences of pairs, pointing to the positive side, (width,)."""
    count = min(int(classes.sum()), int((~classes).sum()))
    differences = values[classes][:count] - values[~classes][:count]
    first = np.linalg.svd(differences, full_matrices=False)[2][0]
    return np.asarray(first * (1 if differences.mean(axis=0) @ first >= 0 else -1))


DIRECTIONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "difference_of_means": difference_of_means,
    "probe": probe,
    "pca": pca,
}


def _direction(method: str, values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The direction of a method, of length 1."""
    found = DIRECTIONS[method](values, classes)
    length = float(np.linalg.norm(found))
    if not np.isfinite(length) or length <= 1e-9 * max(1.0, float(np.abs(values).max())):
        raise ValueError("the positive and negative texts do not differ here: there is no direction between them")
    return np.asarray(found / length)


def _held_out_auc(method: str, values: np.ndarray, classes: np.ndarray) -> float:
    """Area under the ROC curve of left-out texts along the direction of the others, mean over folds.

    The n-th positive and the n-th negative text are left out together: they may be a pair.
    """
    from sklearn.metrics import roc_auc_score

    folds = min(FOLDS, int(classes.sum()), int((~classes).sum()))
    if folds < 2:
        return float("nan")
    fold = np.zeros(len(values), dtype=int)
    for side in (classes, ~classes):
        fold[side] = np.arange(int(side.sum())) % folds
    found = []
    for left_out in range(folds):
        test = fold == left_out
        direction = _direction(method, values[~test], classes[~test])
        found.append(roc_auc_score(classes[test], values[test] @ direction))
    return float(np.mean(found))
