"""One result of every kind, with whole numbers, and odd values where a file format might lose them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from neurowidget.neuron import Neuron
from neurowidget.results.activations import Activations
from neurowidget.results.agreement import RankingAgreement
from neurowidget.results.attribution import Attribution
from neurowidget.results.base import Provenance, Result
from neurowidget.results.curves import DoseResponse
from neurowidget.results.effects import Effects
from neurowidget.results.examples import Examples
from neurowidget.results.explanations import Explanation, Statement
from neurowidget.results.faithfulness import Faithfulness
from neurowidget.results.firing import FiringNeurons
from neurowidget.results.groups import LayerSimilarity, NeuronFactors, NeuronGroups, NeuronMap, NeuronMatches
from neurowidget.results.kept_texts import KeptTexts
from neurowidget.results.knowledge import KnowledgeNeurons
from neurowidget.results.mediation import MediationEffects
from neurowidget.results.patching import PatchingEffects
from neurowidget.results.paths import PathEffects
from neurowidget.results.prediction import Prediction
from neurowidget.results.probe import LinearProbe
from neurowidget.results.ranking import NeuronRanking, RankingReport
from neurowidget.results.steering import SteeringSweep, SteeringVector
from neurowidget.results.tokens import Tokens
from neurowidget.results.vocabulary import LogitLens, PromotedTokens

PIECES = ("[CLS]", "né", " 😀", "", " \u2028<b>", "[SEP]")


def tokens() -> Tokens:
    return Tokens(
        texts=("né 😀 \u2028<b>",),
        ids=np.array([101, 7, 2**40, 9, 10, 102]),
        pieces=PIECES,
        raw=("[CLS]", "nÃ©", "Ġð", "Ł", "x", "[SEP]"),
        special=np.array([1, 0, 0, 0, 0, 1]),
        shares=np.array([0, 0, 0, 1, 0, 0]),
        word=np.array([-1, 0, 1, 1, 2, -1]),
        start=np.array([0, 0, 3, 3, 5, 9]),
        end=np.array([0, 2, 4, 4, 9, 9]),
        sentence_index=np.zeros(6),
    )


def provenance(method: str) -> Provenance:
    parameters = {"steps": 50, "rate": float("nan"), "layers": (0, 1), "nested": {"a": [1, None, True], 3: "x"}}
    return Provenance(
        method=method,
        model="tiny",
        seed=7,
        parameters=parameters,
        versions={"numpy": np.__version__},
        target="log-odds of POS",
    )


def activations() -> Activations:
    values = np.arange(2 * 6 * 3).reshape(2, 6, 3)
    decoder = tokens()
    return Activations(
        values={"encoder.mlp": values, "decoder.mlp": np.full((1, 6, 2), np.nan, dtype=np.float16)},
        layers={"encoder.mlp": (0, 4), "decoder.mlp": (1,)},
        tokens=tokens(),
        decoder_tokens=decoder,
        labels=("DET", None, 3, 1.5, ("a", "b"), True),
        provenance=provenance("extract"),
    )


def attribution() -> Attribution:
    return Attribution(
        scores=np.arange(6), tokens=tokens(), target="log-odds of POS", baseline="[MASK]", value=float("inf"),
        completeness_error=0.25, warnings=("two", "warnings"), provenance=provenance("integrated_gradients"),
    )  # fmt: skip


def effects() -> Effects:
    values = np.array([[1, np.nan, -3], [0, 2, 5]])
    return Effects(
        values=values, layers=(0, 5), site="mlp", target="POS", ablation="zero", texts=("a", "b"), clean=np.array([1, 2]),
        exact=values > 0, interval=np.stack([values - 1, values + 1]), estimates=values / 2,
        per_text=np.stack([values, values]), agreement={"spearman": 0.5, "worst": float("nan")},
        provenance=provenance("ablation_effects"),
    )  # fmt: skip


def dose_response() -> DoseResponse:
    return DoseResponse(
        neuron="L5.mlp[131]", text="né", target="log-odds of POS", values=np.array([0.0, 1.5, 3.0]),
        target_values=np.array([1, np.nan, 3]), probabilities=np.array([[0.25, 0.75]] * 3), labels=("NEG", "POS"),
        natural=0.5, clean=1.25, provenance=provenance("dose_response"),
    )  # fmt: skip


def examples() -> Examples:
    """Two neurons over a corpus of which text 4 is kept: "top" has two slots, the second of them empty."""
    return Examples(
        layers=(0, 5), site="mlp", corpus="née", text_count=9, token_count=20, excluded={"special": 4, "sink": 0},
        groups=("top", "bottom"), sizes=(2, 1), neuron_layer=np.array([0, 5]), neuron_index=np.array([3, 131]),
        text=np.array([[4, -1, 4], [4, -1, 4]]), token=np.array([[2, 0, 1], [4, 0, 1]]),
        value=np.array([[3, np.nan, -1], [7, np.nan, 0]]), contexts=np.arange(18).reshape(2, 3, 3),
        edges=np.array([[-1, 1, 3], [0, 4, 8]]), counts=np.array([[12, 8], [19, 1]]), mean=np.array([0.5, 1]),
        variance=np.array([1, 2]), minimum=np.array([-1, 0]), maximum=np.array([3, 7]), positive=np.array([0.5, 0.25]),
        kept=KeptTexts.of(tokens(), [4]), type_ids=np.array([7, 9]), type_counts=np.array([3, 1]),
        type_maxima=np.array([[3, -1], [7, 2]]), type_strings=("nÃ©", "Ł"), provenance=provenance("top_examples"),
    )  # fmt: skip


def explanation() -> Explanation:
    statements = (
        Statement("né ☕", 2.5, 1, 4, {"precision": 0.5, "kind": "word", "ids": (1, 2)}),
        Statement("<b>", float("nan"), -1, 0, {"kind": "n-gram"}),
    )
    return Explanation(
        neuron="L5.mlp[131]", method="top_words", statements=statements, statement_score="mean activation",
        held_out_score=0.5, score_name="correlation", score_range=(float("-inf"), 1.0), chance=0.25,
        control_scores=np.array([0.25, np.nan]), control_neurons=("L5.mlp[1]", "L5.mlp[2]"), warnings=("one",),
        provenance=provenance("top_words"),
    )  # fmt: skip


def prediction() -> Prediction:
    return Prediction(
        kind="classes", text="né", tokens=tokens(), position=-1, labels=("POS", "NEG"), ids=np.array([1, 0]),
        probabilities=np.array([0.75, 0.25]), all_logits=np.array([0, 1]), interventions=("zero L0.mlp[1]",),
        provenance=provenance("predict"),
    )  # fmt: skip


def patching_effects() -> PatchingEffects:
    values = np.arange(6).reshape(1, 2, 3)
    return PatchingEffects(
        layers=(0, 4), site="residual", axis="position", labels=("né", "", "x"), corrupt_labels=("a", "", "y"),
        positions=np.array([[0, 0], [1, 1], [2, 3]]), target="contrast", clean_texts=("né",), corrupt_texts=("b",),
        clean=np.array([3]), corrupt=np.array([np.nan]), denoise_by_pair=values, noise_by_pair=None,
        exact=values[0] > 2, noise_floor=0.001, agreement={"spearman": float("nan")},
        provenance=provenance("patching_effects"),
    )  # fmt: skip


def firing_neurons() -> FiringNeurons:
    return FiringNeurons(
        neurons=("L0.mlp[1]",), token=np.array([2]), pieces=("né",), activation=np.array([3]), z=np.array([np.inf]),
        percentile=np.array([99.5]), by="z", text="né ☕", corpus="made up", provenance=provenance("firing_neurons"),
    )  # fmt: skip


def faithfulness() -> Faithfulness:
    return Faithfulness(
        method="deletion", attribution="saliency", larger_is_better=False, shares=np.array([0, 0.5]),
        values=np.array([[4, np.nan]]), scores=np.array([2]), control=np.array([[1, 2, 3]]), targets=("F",), texts=("né",),
        provenance=provenance("deletion"),
    )  # fmt: skip


OVER = {"sites": ("L0.mlp", "L4.mlp"), "widths": (2, 1)}


def neuron_groups() -> NeuronGroups:
    return NeuronGroups(
        **OVER, labels=np.array([0, -1, 0]), representatives=np.array([2]), closeness=np.array([0.75, np.nan, 1]),
        threshold=0.3, tokens=9, provenance=provenance("correlation_clusters"),
    )  # fmt: skip


def neuron_factors() -> NeuronFactors:
    return NeuronFactors(
        **OVER, loadings=np.array([[1, 0, 0.5]]), token_weights=np.array([[0], [2]]), pieces=("né", "<b>"), error=0.25,
        provenance=provenance("nmf"),
    )  # fmt: skip


def neuron_matches() -> NeuronMatches:
    return NeuronMatches(
        **OVER, scores=np.array([0.5, np.nan, 1]), found=np.array([[0.5, np.nan, 1]]), partners=np.array([[1, -1, 0]]),
        other_sites=(("L1.mlp",),), other_widths=((2,),), score_name="max_correlation", tokens=9,
        provenance=provenance("match_neurons"),
    )  # fmt: skip


def neuron_map() -> NeuronMap:
    places = np.arange(6).reshape(3, 2)
    return NeuronMap(**OVER, places=places, explained=(0.5, 0.25), provenance=provenance("pca_map"))


def layer_similarity() -> LayerSimilarity:
    return LayerSimilarity(
        values=np.array([[1, 0.5]]), rows=("L0.mlp",), columns=("L0.mlp", "L1.mlp"), method="cka", tokens=9,
        provenance=provenance("layer_similarity"),
    )  # fmt: skip


def mediation_effects() -> MediationEffects:
    values = np.arange(4).reshape(1, 2, 2) / 2
    return MediationEffects(
        layers=(0, 5), site="heads", part="head", scale="vig", target="contrast", prompts=("né",), swapped=("b",),
        total=np.array([0.5]), direct_by_prompt=values, indirect_by_prompt=np.where(values > 1, np.nan, values),
        provenance=provenance("mediation_effects"),
    )  # fmt: skip


def steering_vector() -> SteeringVector:
    return SteeringVector(
        vector=np.array([3, -4]), layer=2, site="residual", unit=5.0, distance=0.5, held_out_auc=0.75, method="pca",
        tokens="mean", positive_texts=("né",), negative_texts=(" 😀", ""), provenance=provenance("steering_vector"),
    )  # fmt: skip


def steering_sweep() -> SteeringSweep:
    return SteeringSweep(
        strengths=np.array([0, 0.5]), intervention="a vector", prompts=("né",), written=(("a",), ("",)), target="é",
        target_values=np.array([[1], [np.nan]]), perplexity=np.array([1, np.inf]), kl=np.array([0, 1]),
        repetition=np.array([0, 0.5]), neutral="prose", rates={"food": np.array([0, 1])},
        provenance=provenance("steering_sweep"),
    )  # fmt: skip


def ranking_agreement() -> RankingAgreement:
    pairs = np.eye(2)
    return RankingAgreement(
        names=("a", "b"), neurons=9, sizes=np.array([3]), spearman=pairs, rank_biased_overlap=pairs, overlap=pairs[None],
        average_overlap=np.array([[0.5, 1]]), neuron_vote=np.array([[0, 1]]), chance=np.array([0.25]),
        provenance=provenance("ranking_agreement"),
    )  # fmt: skip


def neuron_ranking() -> NeuronRanking:
    probe = LinearProbe(
        weights=np.arange(6).reshape(2, 3), bias=np.zeros(2), means=np.ones(3), scales=np.full(3, 2), classes=("a", 3),
        sites=("L0.mlp", "L4.mlp"), widths=(1, 2), l1=0.5, l2=0.25, objective=1.5, gap=float("nan"), iterations=7,
        converged=True, pool="mean",
    )  # fmt: skip
    report = RankingReport(
        score_name="accuracy", held_out=0.75, train=1.0, majority=0.5, control=float("nan"), selectivity=float("nan"),
        control_note="n/a", control_seen=0.5, classes=("a", 3), confusion=np.array([[3, 1], [0, 0]]), full_dev=0.5,
        sizes=np.array([1, 2]), top_scores=np.array([0.25, 0.5]), random_scores=np.zeros((2, 2)), minimal_size=None,
        size_for_95=2, minimal_held_out=float("nan"), random_held_out=np.zeros(0), split="sentence",
        rows={"train": 5, "no label": 1}, choices={"l1": 0.5, "layers": "all"},
    )  # fmt: skip
    return NeuronRanking(
        method="linear_probe", score_name="mass", sites=("L0.mlp", "L4.mlp"), widths=(1, 2), classes=("a", 3),
        scores=np.array([1, 3, 2]), class_scores=np.arange(6).reshape(2, 3), class_signs=np.array([[1, -1, 0], [0, 1, 1]]),
        order=np.array([1, 2, 0]), report=report, probe=probe, details={"chosen": np.array([1, 2])},
        provenance=provenance("rank_neurons"),
    )  # fmt: skip


def knowledge_neurons() -> KnowledgeNeurons:
    scores = np.arange(4).reshape(1, 2, 2)
    per_prompt = {name: np.array([0.5]) for name in ("probability", "suppressed", "amplified")}
    control = {f"control_{name}": np.array([np.nan]) for name in ("suppressed", "amplified")}
    return KnowledgeNeurons(
        neurons=(Neuron(5, 1),), prompts=("né",), answer=" 😀", layers=(0, 5), site="mlp", threshold=0.2, share=0.7,
        scores=scores, shared=scores[0] / 4, control_neurons=(), warnings=("two tokens",), **per_prompt, **control,
        provenance=provenance("knowledge_neurons"),
    )  # fmt: skip


def logit_lens() -> LogitLens:
    values = np.arange(12).reshape(2, 6)
    return LogitLens(
        tokens=tokens(), layers=(0, 4), ids=values[..., None], probabilities=values[..., None] / 12,
        answer_ids=np.arange(6), answer_probabilities=values / 12, answer_ranks=values, kl=np.where(values, values, np.nan),
        labels={number: f"né{number}" for number in range(12)}, provenance=provenance("logit_lens"),
    )  # fmt: skip


def promoted_tokens() -> PromotedTokens:
    return PromotedTokens(
        name="L5.mlp[131]", tokens=("né", " 😀"), ids=np.array([2**40, 3]), scores=np.array([1, -2]), approximate=False,
        frozen_norm="none", weight_norm=0.5, provenance=provenance("promoted_tokens"),
    )  # fmt: skip


def path_effects() -> PathEffects:
    values = np.arange(4).reshape(1, 2, 2)
    return PathEffects(
        senders=("L0.head[1]", "L0.mlp[2]"), receivers=("L5.mlp[131]", "L5.mlp[3]"), target="contrast", change="zero",
        texts=("né",), clean=np.array([1]), by_text=values, total=np.array([1, np.nan]), activation_changes=values[0],
        warnings=("attention",), provenance=provenance("path_effects"),
    )  # fmt: skip


MADE: dict[str, Callable[[], Result]] = {
    "Activations": activations, "Attribution": attribution, "DoseResponse": dose_response, "Effects": effects,
    "Examples": examples, "Explanation": explanation, "Prediction": prediction,
    "PatchingEffects": patching_effects,
    "Faithfulness": faithfulness, "FiringNeurons": firing_neurons, "LayerSimilarity": layer_similarity,
    "NeuronFactors": neuron_factors, "NeuronGroups": neuron_groups,
    "NeuronMap": neuron_map, "NeuronMatches": neuron_matches,
    "MediationEffects": mediation_effects,
    "NeuronRanking": neuron_ranking,
    "RankingAgreement": ranking_agreement,
    "SteeringSweep": steering_sweep,
    "SteeringVector": steering_vector,
    "KnowledgeNeurons": knowledge_neurons,
    "LogitLens": logit_lens,
    "PromotedTokens": promoted_tokens,
    "PathEffects": path_effects,
}  # fmt: skip


@pytest.fixture(params=sorted(MADE))
def result(request: pytest.FixtureRequest) -> Result:
    """Each kind of result in turn."""
    return MADE[request.param]()


@pytest.fixture
def made() -> dict[str, Callable[[], Result]]:
    """Functions that make one result of every kind."""
    return MADE
