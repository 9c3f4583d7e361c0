"""The table of docs/attribution.md: every method run on models of several kinds and with several targets.

PYTHONPATH=.:tests python tests/attribution_table.py    writes it anew
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import families
import torch

import neurowidget as nw
from neurowidget.analysis.attribution import METHODS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "attribution.md"
START, END = "<!-- table: tests/attribution_table.py writes it -->\n", "<!-- end of table -->\n"
TEXT = families.RAGGED_TEXTS[0]
MODELS = {"bert": "BERT classifier", "opt": "OPT (ReLU)", "gpt2": "GPT-2", "t5": "T5"}
TARGETS = ("contrast", "neuron", "callable")
QUICK: dict[str, dict[str, Any]] = {
    "integrated_gradients": {"n_steps": 4},
    "gradient_shap": {"n_samples": 2, "baseline": ["zero", "mean"]},
    "deep_lift_shap": {"baseline": ["zero", "mean"]},
    "smooth_grad": {"n_samples": 2},
    "shapley_sampling": {"n_samples": 1},
    "shapley_values": {"group": [[1, 2, 3], [4, 5, 6]]},
    "lime": {"n_samples": 20, "alpha": 1e-6},
    "kernel_shap": {"n_samples": 20},
    "feature_permutation": {"baseline": ["zero"]},
    "conductance": {"n_steps": 2, "layers": [1]},
    "internal_influence": {"n_steps": 2},
    "neuron_conductance": {"n_steps": 2, "of": "L1.mlp[7]"},
    "input_x_jacobian": {"of": "L1.mlp"},
    "layer_integrated_gradients": {"n_steps": 2, "layers": [1]},
    "layer_gradient_shap": {"n_samples": 2, "baseline": ["zero"]},
    "layer_deep_lift": {"layers": [1]},
    "layer_deep_lift_shap": {"layers": [1], "baseline": ["zero"]},
    "layer_feature_ablation": {"layers": [1]},
}
CAPTUM = {
    "saliency": "Saliency",
    "gradient_x_input": "InputXGradient",
    "integrated_gradients": "IntegratedGradients",
    "gradient_shap": "GradientShap",
    "smooth_grad": "NoiseTunnel",
    "deep_lift": "DeepLift",
    "deep_lift_shap": "DeepLiftShap",
    "guided_backprop": "GuidedBackprop",
    "deconvolution": "Deconvolution",
    "lrp": "LRP",
    "feature_ablation": "FeatureAblation",
    "occlusion": "Occlusion",
    "shapley_sampling": "ShapleyValueSampling",
    "shapley_values": "ShapleyValues",
    "lime": "Lime",
    "kernel_shap": "KernelShap",
    "feature_permutation": "FeaturePermutation",
    "grad_cam": "LayerGradCam",
    "layer_activation": "LayerActivation",
    "gradient_x_activation": "LayerGradientXActivation",
    "conductance": "LayerConductance",
    "internal_influence": "InternalInfluence",
    "layer_integrated_gradients": "LayerIntegratedGradients",
    "layer_deep_lift": "LayerDeepLift",
    "layer_deep_lift_shap": "LayerDeepLiftShap",
    "layer_gradient_shap": "LayerGradientShap",
    "layer_feature_ablation": "LayerFeatureAblation",
    "neuron_conductance": "NeuronConductance",
}


def status(name: str, method: str, **options: Any) -> str:
    """What one call comes to: yes, gradient (collapsed), partly (its rules reach some parts), no (refused)."""
    try:
        attr = nw.attribute(families.model(name), TEXT, method, **{**QUICK.get(method, {}), **options})
    except ValueError:
        return "no"
    if "collapsed" in attr.badges:
        return "gradient"
    return "partly" if "deep_lift" in method else "yes"


def with_target(method: str, target: str) -> str:
    def summed(output: Any, batch: Any) -> torch.Tensor:
        return output["logits"].sum(dim=1)

    if target == "neuron" and method == "conductance":
        return status("bert", method, site="mlp", of="L2.mlp[5]")
    if target == "neuron":
        return (
            "no"
            if method == "layer_activation"
            else status("bert", method, of=QUICK.get(method, {}).get("of", "L2.mlp[5]"))
        )
    return status("bert", method, target=("POS", "NEG") if target == "contrast" else summed)


def axes(method: str) -> str:
    if method == "input_x_jacobian":
        return "token, neuron"
    return "layer, neuron" if method.startswith("layer_") or method in NEURONS else "token"


NEURONS = ("gradient_x_activation", "conductance", "internal_influence")


def table() -> str:
    head = ["method", "scores", "Captum", *MODELS.values(), *TARGETS]
    lines = [head, ["---"] * len(head)]
    for method in METHODS:
        found = [status(name, method) for name in MODELS] + [with_target(method, target) for target in TARGETS]
        lines.append([f"`{method}`", axes(method), CAPTUM.get(method, ""), *found])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def written() -> str:
    """The table that the page has."""
    return PAGE.read_text(encoding="utf-8").split(START)[1].split(END)[0]


if __name__ == "__main__":
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    PAGE.write_text(before + START + table() + END + rest.split(END)[1], encoding="utf-8")
