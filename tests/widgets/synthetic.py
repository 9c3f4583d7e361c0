"""Synthetic results with integer values and a fixed provenance: the same on every processor, without torch."""

from __future__ import annotations

import numpy as np

from neurowidget.results import Activations, Attribution, Effects, Prediction, Provenance, Tokens

PIECES = ("[CLS]", "The", " film", " was", " not", " bad", " at", " all", ",", " really", ".", "[SEP]")
TEXT = "The film was not bad at all, really."
LAYERS, WIDTH = 3, 40


def provenance(method: str, site: str = "mlp", target: str = "") -> Provenance:
    return Provenance(
        method=method,
        model="synthetic",
        weights_hash="0" * 64,
        tokenizer_hash="1" * 64,
        site=site,
        target=target,
        seed=0,
    )


def tokens() -> Tokens:
    n = len(PIECES)
    ends = np.cumsum([0 if p in ("[CLS]", "[SEP]") else len(p) for p in PIECES])
    starts = np.concatenate([[0], ends[:-1]])
    special = np.array([p in ("[CLS]", "[SEP]") for p in PIECES])
    return Tokens(
        texts=(TEXT,),
        ids=np.arange(100, 100 + n),
        pieces=PIECES,
        raw=tuple(p.replace(" ", "Ġ") for p in PIECES),
        special=special,
        shares=np.zeros(n, bool),
        word=np.where(special, -1, np.arange(n) - 1),
        start=np.where(special, 0, starts),
        end=np.where(special, 0, ends),
        sentence_index=np.zeros(n),
    )


def activations() -> Activations:
    layer, token, neuron = np.indices((LAYERS, len(PIECES), WIDTH))
    values = ((layer * 7 + token * 5 + neuron * 3) % 17 - 8).astype(np.float32)
    return Activations(
        provenance=provenance("extract"), values={"mlp": values}, layers={"mlp": (0, 1, 2)}, tokens=tokens()
    )


def attribution() -> Attribution:
    scores = np.array([0, 1, 0, -1, 6, -4, 1, 2, 0, 1, -1, 0], np.float32)
    return Attribution(
        provenance=provenance("integrated_gradients", target="log-odds of POS"),
        scores=scores,
        tokens=tokens(),
        target="log-odds of POS",
        baseline="[PAD]",
        value=4.0,
        baseline_value=-1.0,
        completeness_error=0.0,
        completeness_absolute=0.0,
        warnings=("A warning of one sentence.",),
    )


def effects() -> Effects:
    layer, neuron = np.indices((LAYERS, WIDTH))
    values = ((layer * 5 + neuron * 7) % 13 - 6).astype(np.float32)
    return Effects(
        provenance=provenance("gradient", target="log-odds of POS"),
        values=values,
        layers=(0, 1, 2),
        site="mlp",
        target="log-odds of POS",
        ablation="mean over a synthetic corpus",
        texts=(TEXT,),
        clean=np.array([4.0], np.float32),
        exact=np.abs(values) >= 6,
    )


def prediction(positive: float = 0.75, interventions: tuple[str, ...] = ()) -> Prediction:
    order = ("POS", "NEG") if positive >= 0.5 else ("NEG", "POS")
    chances = np.array(sorted([positive, 1 - positive], reverse=True), np.float32)
    return Prediction(
        provenance=provenance("predict", site=""),
        kind="classes",
        text=TEXT,
        tokens=tokens(),
        position=-1,
        labels=order,
        ids=np.array([1, 0] if order[0] == "POS" else [0, 1]),
        probabilities=chances,
        all_logits=np.array([0.0, 1.0], np.float32),
        interventions=interventions,
    )
