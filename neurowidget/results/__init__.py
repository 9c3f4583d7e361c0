"""Frozen results: numpy only, the seam between analysis and views."""

from neurowidget.results.activations import Activations
from neurowidget.results.attribution import Attribution
from neurowidget.results.base import Provenance, Result
from neurowidget.results.curves import DoseResponse
from neurowidget.results.effects import Effects
from neurowidget.results.examples import Example, Examples, NeuronExamples
from neurowidget.results.explanations import Explanation, Statement
from neurowidget.results.prediction import Prediction
from neurowidget.results.tokens import Tokens

__all__ = [
    "Activations",
    "Attribution",
    "DoseResponse",
    "Effects",
    "Example",
    "Examples",
    "Explanation",
    "NeuronExamples",
    "Prediction",
    "Provenance",
    "Result",
    "Statement",
    "Tokens",
]
