"""Which tokens and neurons a decision rests on: one module and one function per method."""

from __future__ import annotations

from collections.abc import Callable

from neurowidget.analysis.attribution.conductance import conductance as _conductance
from neurowidget.analysis.attribution.deconvolution import deconvolution as _deconvolution
from neurowidget.analysis.attribution.deep_lift import deep_lift as _deep_lift
from neurowidget.analysis.attribution.deep_lift_shap import deep_lift_shap as _deep_lift_shap
from neurowidget.analysis.attribution.feature_ablation import feature_ablation as _feature_ablation
from neurowidget.analysis.attribution.feature_permutation import feature_permutation as _feature_permutation
from neurowidget.analysis.attribution.grad_cam import grad_cam as _grad_cam
from neurowidget.analysis.attribution.gradient_shap import gradient_shap as _gradient_shap
from neurowidget.analysis.attribution.gradient_x_activation import gradient_x_activation as _gradient_x_activation
from neurowidget.analysis.attribution.gradient_x_input import gradient_x_input as _gradient_x_input
from neurowidget.analysis.attribution.guided_backprop import guided_backprop as _guided_backprop
from neurowidget.analysis.attribution.input_x_jacobian import input_x_jacobian as _input_x_jacobian
from neurowidget.analysis.attribution.integrated_gradients import integrated_gradients as _integrated_gradients
from neurowidget.analysis.attribution.internal_influence import internal_influence as _internal_influence
from neurowidget.analysis.attribution.kernel_shap import kernel_shap as _kernel_shap
from neurowidget.analysis.attribution.layer_activation import layer_activation as _layer_activation
from neurowidget.analysis.attribution.layer_deep_lift import layer_deep_lift as _layer_deep_lift
from neurowidget.analysis.attribution.layer_deep_lift_shap import layer_deep_lift_shap as _layer_deep_lift_shap
from neurowidget.analysis.attribution.layer_feature_ablation import layer_feature_ablation as _layer_feature_ablation
from neurowidget.analysis.attribution.layer_gradient_shap import layer_gradient_shap as _layer_gradient_shap
from neurowidget.analysis.attribution.layer_integrated_gradients import (
    layer_integrated_gradients as _layer_integrated_gradients,
)
from neurowidget.analysis.attribution.lime import lime as _lime
from neurowidget.analysis.attribution.lrp import lrp as _lrp
from neurowidget.analysis.attribution.neuron_conductance import neuron_conductance as _neuron_conductance
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
    "deep_lift": _deep_lift,
    "deep_lift_shap": _deep_lift_shap,
    "guided_backprop": _guided_backprop,
    "deconvolution": _deconvolution,
    "lrp": _lrp,
    # scores of tokens, by leaving them out
    "feature_ablation": _feature_ablation,
    "occlusion": _occlusion,
    "shapley_sampling": _shapley_sampling,
    "shapley_values": _shapley_values,
    "lime": _lime,
    "kernel_shap": _kernel_shap,
    "feature_permutation": _feature_permutation,
    # scores of tokens, by the neurons of one layer
    "grad_cam": _grad_cam,
    # from tokens to neurons
    "neuron_conductance": _neuron_conductance,
    "input_x_jacobian": _input_x_jacobian,
    # scores of neurons
    "layer_activation": _layer_activation,
    "gradient_x_activation": _gradient_x_activation,
    "conductance": _conductance,
    "internal_influence": _internal_influence,
    "layer_integrated_gradients": _layer_integrated_gradients,
    "layer_deep_lift": _layer_deep_lift,
    "layer_deep_lift_shap": _layer_deep_lift_shap,
    "layer_gradient_shap": _layer_gradient_shap,
    "layer_feature_ablation": _layer_feature_ablation,
}

__all__ = ["METHODS"]
