"""Which tokens and neurons a decision rests on: one module and one function per method."""

from __future__ import annotations

from collections.abc import Callable

from neurowidget.analysis.attribution.feature_ablation import feature_ablation as _feature_ablation
from neurowidget.analysis.attribution.feature_permutation import feature_permutation as _feature_permutation
from neurowidget.analysis.attribution.gradient_shap import gradient_shap as _gradient_shap
from neurowidget.analysis.attribution.gradient_x_activation import gradient_x_activation as _gradient_x_activation
from neurowidget.analysis.attribution.gradient_x_input import gradient_x_input as _gradient_x_input
from neurowidget.analysis.attribution.integrated_gradients import integrated_gradients as _integrated_gradients
from neurowidget.analysis.attribution.kernel_shap import kernel_shap as _kernel_shap
from neurowidget.analysis.attribution.lime import lime as _lime
from neurowidget.analysis.attribution.occlusion import occlusion as _occlusion
from neurowidget.analysis.attribution.saliency import saliency as _saliency
from neurowidget.analysis.attribution.shapley_sampling import shapley_sampling as _shapley_sampling
from neurowidget.analysis.attribution.shapley_values import shapley_values as _shapley_values
from neurowidget.analysis.attribution.smooth_grad import smooth_grad as _smooth_grad
from neurowidget.results.attribution import Attribution

METHODS: dict[str, Callable[..., Attribution]] = {
    # scores of tokens, by gradients
    "saliency": _saliency,
    "gradient_x_input": _gradient_x_input,
    "integrated_gradients": _integrated_gradients,
    "gradient_shap": _gradient_shap,
    "smooth_grad": _smooth_grad,
    # scores of tokens, by leaving them out
    "feature_ablation": _feature_ablation,
    "occlusion": _occlusion,
    "shapley_sampling": _shapley_sampling,
    "shapley_values": _shapley_values,
    "lime": _lime,
    "kernel_shap": _kernel_shap,
    "feature_permutation": _feature_permutation,
    # scores of neurons
    "gradient_x_activation": _gradient_x_activation,
}

__all__ = ["METHODS"]
