"""Each method of tokens against Captum called by itself on the embeddings, and against its own definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import captum.attr as ca
import families
import numpy as np
import pytest
import torch
from hand_model import hand_model
from torch import Tensor, nn

import neurowidget as nw
from neurowidget.analysis.attribution.lime import mask_similarity
from neurowidget.models import targets
from neurowidget.models.loading import NeuronModel

TEXT = families.RAGGED_TEXTS[0]
FOUR = ["bert", "gpt2", "llama", "bart"]


class Plain:
    """One text as a plain function of embeddings, fed to the module as inputs_embeds: nothing of this package."""

    def __init__(self, model: NeuronModel, baseline: str = "zero") -> None:
        self.batch = model.encode([TEXT])
        self.target = targets.resolve(model, self.batch)
        self.model = model
        ids = self.batch.input_ids
        self.embedding = model.module.get_input_embeddings()
        self.text = self.embedding(ids).detach()
        keep = self.batch.special_mask[..., None]
        self.start = torch.where(keep, self.text, torch.zeros_like(self.text))
        self.free = (~self.batch.special_mask[0]).nonzero()[:, 0]
        # Special tokens are the same at both ends: they may be in any group.
        self.mask = torch.zeros(1, ids.shape[1], 1, dtype=torch.long)
        self.mask[0, self.free, 0] = torch.arange(len(self.free))

    def __call__(self, embeds: Tensor) -> Tensor:
        batch = self.batch.take([0] * len(embeds))
        given = batch.kwargs()
        given.pop("input_ids")
        output = self.model.module(**given, inputs_embeds=embeds)
        return self.target(output, batch)

    def per_token(self, found: Tensor) -> np.ndarray:
        """The score of a group stands at each of its elements."""
        scores = np.zeros(self.text.shape[1])
        scores[self.free] = found.detach()[0, self.free, 0]
        return scores


def summed(found: Tensor) -> np.ndarray:
    return found.detach().sum(dim=-1)[0].numpy()


BY_GRADIENT: dict[str, tuple[dict[str, Any], Callable[[Plain], Any]]] = {
    "saliency": ({"norm": "l1"}, lambda f: summed(ca.Saliency(f).attribute(f.text))),
    "gradient_x_input": ({}, lambda f: summed(ca.InputXGradient(f).attribute(f.text))),
    "integrated_gradients": (
        {"baseline": "zero", "sink_first": False},
        lambda f: summed(ca.IntegratedGradients(f).attribute(f.text, f.start)),
    ),
}
BY_PERTURBATION: dict[str, tuple[dict[str, Any], Callable[[Plain], Any]]] = {
    "feature_ablation": (
        {},
        lambda f: f.per_token(ca.FeatureAblation(f).attribute(f.text, f.start, feature_mask=f.mask)),
    ),
    "shapley_sampling": (
        {"n_samples": 2},
        lambda f: f.per_token(ca.ShapleyValueSampling(f).attribute(f.text, f.start, feature_mask=f.mask, n_samples=2)),
    ),
    "kernel_shap": (
        {"n_samples": 20},
        lambda f: f.per_token(ca.KernelShap(f).attribute(f.text, f.start, feature_mask=f.mask, n_samples=20)),
    ),
    "lime": (
        {"n_samples": 20, "alpha": 1e-4},
        lambda f: f.per_token(
            ca.Lime(f, ca_lasso(1e-4), mask_similarity(1.0)).attribute(
                f.text, f.start, feature_mask=f.mask, n_samples=20
            )
        ),
    ),
}


def ca_lasso(alpha: float) -> Any:
    from captum._utils.models.linear_model import SkLearnLasso

    return SkLearnLasso(alpha=alpha)


@pytest.mark.parametrize("method", [*BY_GRADIENT, *BY_PERTURBATION])
@pytest.mark.parametrize("name", FOUR)
@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
def test_it_is_what_captum_gives(name, method):
    model = families.model(name)
    options, by_captum = {**BY_GRADIENT, **BY_PERTURBATION}[method]
    if method in BY_PERTURBATION:
        options = {**options, "baseline": "zero", "seed": 3}
    torch.manual_seed(3)
    expected = by_captum(Plain(model))
    attr = nw.attribute(model, TEXT, method, **options)
    tolerance = 1e-5 if method != "kernel_shap" else 1e-4  # weights of 10^6: float32 in one, float64 in the other
    np.testing.assert_allclose(attr.scores, expected, atol=tolerance)


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_gradient_shap_and_smooth_grad_are_captums_with_the_same_draws(name):
    model = families.model(name)
    plain = Plain(model)
    np.random.seed(5)
    keep = plain.batch.special_mask[..., None]
    mean = plain.embedding.weight[: len(model.tokenizer)].mean(dim=0).detach()
    starts = torch.cat([plain.start, torch.where(keep, plain.text, mean)])
    expected = ca.GradientShap(plain).attribute(plain.text.requires_grad_(), starts, n_samples=6)
    attr = nw.attribute(model, TEXT, "gradient_shap", baseline=["zero", "mean"], n_samples=6, seed=5)
    np.testing.assert_allclose(attr.scores, summed(expected), atol=1e-5)

    spread = 0.1 * float(plain.text.detach().max() - plain.text.detach().min())
    torch.manual_seed(7)
    tunnel = ca.NoiseTunnel(ca.Saliency(plain))
    for variant in ("smoothgrad", "smoothgrad_sq", "vargrad"):
        torch.manual_seed(7)
        found = tunnel.attribute(plain.text, nt_type=variant, nt_samples=6, stdevs=spread, abs=False)
        attr = nw.attribute(model, TEXT, "smooth_grad", variant=variant, n_samples=6, noise=0.1, seed=7)
        np.testing.assert_allclose(attr.scores, found.detach()[0].norm(dim=-1), atol=1e-5)


@pytest.mark.parametrize("name", FOUR)
def test_exact_shapley_values_are_captums_of_all_orders(name):
    model = families.model(name)
    plain = Plain(model)
    groups = [[int(p) for p in part] for part in torch.tensor_split(plain.free, 4)]
    for number, group in enumerate(groups):
        plain.mask[0, group, 0] = number
    found = ca.ShapleyValues(plain).attribute(plain.text, plain.start, feature_mask=plain.mask)
    attr = nw.attribute(model, TEXT, "shapley_values", baseline="zero", group=groups)
    expected = [float(found[0, group[0], 0]) for group in groups]
    np.testing.assert_allclose(attr.scores[~attr.tokens.special], expected, atol=1e-5)
    assert attr.completeness_absolute < 1e-5


@pytest.mark.parametrize("method", ["integrated_gradients", "shapley_sampling", "shapley_values", "kernel_shap"])
@pytest.mark.parametrize("name", FOUR)
def test_complete_methods_sum_to_the_difference(name, method):
    options = {"shapley_values": {"group": "words"}, "shapley_sampling": {"n_samples": 1}}.get(method, {})
    attr = nw.attribute(families.model(name), TEXT, method, baseline=["zero", "mean"], **options)
    assert attr.scores.sum(dtype=float) == pytest.approx(attr.value - attr.baseline_value, abs=1e-3)
    assert attr.completeness_error < 0.01
    assert attr.badges == ()


class Game(nn.Module):
    """A model whose logit is `function` of the first coordinates of its words, 1 for "one" and 0 for "[UNK]"."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.words = nn.Embedding.from_pretrained(torch.tensor([[9.0], [0.0], [1.0], [2.0], [3.0]]))
        self.blocks = nn.ModuleList([nn.Identity()])
        self.function = function

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        values = self.blocks[0](self.words(input_ids))[..., 0]
        return self.function(values)[:, None]


def played(function: Callable[[Tensor], Tensor], text: str, method: str, **options: Any) -> list[float]:
    model = nw.load_model(Game(function).eval(), hand_model().tokenizer, sites={"residual": "blocks.{layer}"})
    attr = nw.attribute(
        model, text, method, target=lambda output, batch: output["logits"][:, 0], baseline="zero", **options
    )
    return attr.scores.tolist()


def test_shapley_axioms():
    """Efficiency, symmetry and the null player, on AND, OR, a linear game and their sum."""

    def conjunction(v: Tensor) -> Tensor:
        return (v[:, 0] > 0.5).double() * (v[:, 1] > 0.5).double()

    def disjunction(v: Tensor) -> Tensor:
        return ((v[:, 0] > 0.5) | (v[:, 1] > 0.5)).double()

    def linear(v: Tensor) -> Tensor:
        return 3 * v[:, 0].double() - 2 * v[:, 1].double()

    text = "one one one"  # the third word is a null player
    for method, options in {
        "shapley_values": {},
        "shapley_sampling": {"n_samples": 400},
        "kernel_shap": {"n_samples": 300},
    }.items():
        near = {"abs": 1e-6 if method == "shapley_values" else 0.07}
        assert played(conjunction, text, method, **options) == pytest.approx([0.5, 0.5, 0], **near)
        assert played(disjunction, text, method, **options) == pytest.approx([0.5, 0.5, 0], **near)
        assert played(linear, text, method, **options) == pytest.approx([3, -2, 0], **near)
        both = played(lambda v: linear(v) + disjunction(v), text, method, **options)
        assert both == pytest.approx([3.5, -1.5, 0], **near)
    # leave-one-out sees all of an AND twice and nothing of an OR
    assert played(conjunction, text, "feature_ablation") == [1, 1, 0]
    assert played(disjunction, text, "feature_ablation") == [0, 0, 0]
    assert played(disjunction, text, "occlusion", window=2) == pytest.approx([1, 0.5, 0])
    assert played(linear, text, "lime", n_samples=500, alpha=1e-6) == pytest.approx([3, -2, 0], abs=1e-3)
    assert played(lambda v: 3 * v[:, 0], "one", "kernel_shap") == pytest.approx([3])


def test_permutation_is_the_mean_over_other_texts():
    # logit 0 of the hand model is 9 x0 + 3 x1 + 1 for each word where no neuron changes sign
    target = targets.logit(0)
    attr = nw.attribute(hand_model(), "one two", "feature_permutation", target=target, baseline=["two one", "one one"])
    by_one = [
        nw.attribute(hand_model(), "one two", "feature_ablation", target=target, baseline=text).scores
        for text in ("two one", "one one")
    ]
    assert attr.scores == pytest.approx(np.mean(by_one, axis=0))
    assert attr.scores.tolist() == [1.5, -3]
    single = nw.attribute(hand_model(), "one two", "feature_permutation", target=target, baseline="two one")
    assert single.scores == pytest.approx(by_one[0])


@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "smooth_grad"])
def test_joined_tokens_keep_the_total(method):
    model = families.model("bert")
    tokens = nw.attribute(model, TEXT, method)
    words = nw.attribute(model, TEXT, method, group="words")
    phrases = words.grouped([[1, 2], [3, 4, 5]])
    for attr in (words, phrases):
        assert attr.scores.sum(dtype=float) == pytest.approx(tokens.scores.sum(dtype=float), rel=1e-5)
        assert (
            "".join(p for p, special in zip(attr.tokens.pieces, attr.tokens.special, strict=True) if not special)
            == TEXT
        )
    assert len(phrases.tokens) == len(words.tokens) - 3


def test_groups_are_left_out_together():
    model = families.model("gpt2")
    words = nw.attribute(model, TEXT, "feature_ablation", group="words", baseline="zero")
    first = np.flatnonzero(nw.attribute(model, TEXT, "saliency").tokens.word == 0)
    together = nw.attribute(model, TEXT, "feature_ablation", group=[first.tolist()], baseline="zero")
    assert words.scores[0] == pytest.approx(together.scores[0], abs=1e-6)
    assert words.tokens.pieces[0] == TEXT.split()[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "shapley_values"}, "2\\^14 runs"),
        ({"method": "occlusion", "window": 0}, "window"),
        ({"method": "saliency", "norm": "max"}, "norm"),
        ({"method": "smooth_grad", "variant": "smooth"}, "variant"),
        ({"method": "smooth_grad", "n_samples": 0}, "n_samples"),
        ({"method": "lime", "group": [[1, 3]]}, "neighbouring"),
        ({"method": "lime", "group": [[0, 1]]}, "special"),
        ({"method": "lime", "group": [[1, 2], [2, 3]]}, "two groups"),
        ({"method": "lime", "group": [[40, 41]]}, "outside"),
        ({"method": "lime", "group": "phrases"}, "'words'"),
        ({"method": "feature_ablation", "baseline": "one two three"}, "as many"),
    ],
)
def test_what_cannot_be_done_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        nw.attribute(families.model("bert"), families.RAGGED_TEXTS[1], **options)


@pytest.mark.parametrize("method", ["integrated_gradients", "shapley_sampling", "gradient_shap", "lime", "smooth_grad"])
def test_the_rows_of_a_forward_change_nothing(monkeypatch, method):
    """Also when memory runs out on the way: half as many rows, the same numbers."""
    model = families.model("bert")
    expected = nw.attribute(model, TEXT, method, target="POS")
    whole, sizes = type(model).forward, []

    def tight(self: Any, batch: Any, grad: bool = False) -> Any:
        sizes.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return whole(self, batch, grad)

    monkeypatch.setattr(type(model), "forward", tight)
    attr = nw.attribute(model, TEXT, method, target="POS")
    assert max(sizes) > 3
    np.testing.assert_allclose(attr.scores, expected.scores, atol=1e-5)


def test_badges_name_each_warning():
    model = families.model("bert")
    own = nw.attribute(model, "good", baseline="good")
    assert own.badges == ("own_baseline",)
    few = nw.attribute(model, TEXT, "lime", n_samples=5, alpha=10.0)
    assert few.badges == ("few_samples", "all_zero")
    rough = nw.attribute(model, TEXT, "gradient_shap", n_samples=1)
    assert rough.badges == ("incomplete",)
    assert len(rough.warnings) == 1
