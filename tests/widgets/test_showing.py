"""Every result can stand at the end of a cell: as its view, or as text where it has none."""

import numpy as np
import pytest

import neurowidget as nw
from neurowidget.results.base import Provenance
from neurowidget.results.groups import NeuronMap
from neurowidget.widgets.base import View


def without_a_view() -> NeuronMap:
    provenance = Provenance(method="pca_map", model="made up")
    return NeuronMap(sites=("L0.mlp",), widths=(2,), places=np.eye(2), explained=(0.5,), provenance=provenance)


def test_a_result_without_a_view_is_printed_in_a_cell(capsys) -> None:
    result = without_a_view()
    result._ipython_display_()
    assert capsys.readouterr().out == f"{result}\n"
    assert result._repr_mimebundle_() == {"text/plain": str(result)}


def test_show_says_which_results_have_one() -> None:
    with pytest.raises(TypeError, match="no view for NeuronMap; results that have one: Activations"):
        nw.show(without_a_view())


def test_a_result_with_a_view_is_shown_as_it() -> None:
    acts = nw.activations_from_array(np.eye(3))
    assert isinstance(nw.show(acts), View)
    assert "application/vnd.jupyter.widget-view+json" in acts._repr_mimebundle_()[0]
