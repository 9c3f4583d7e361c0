"""What in the input drives each neuron of a whole layer: x . dy/dx, token by neuron, in forward mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from neurowidget.analysis.attribution.explained_text import Text, encoded
from neurowidget.analysis.attribution.word_embeddings import Explained, WordEmbeddings
from neurowidget.analysis.statistics.halving import halving
from neurowidget.models import hooks
from neurowidget.models.display import tokens_of
from neurowidget.models.progress import StopFlag
from neurowidget.models.readout import stack_context
from neurowidget.models.targets import Target
from neurowidget.neuron import LayerSite
from neurowidget.results.attribution import Attribution

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

ROWS = 8  # tangents carry the width of every activation along


def input_x_jacobian(
    model: NeuronModel,
    text: Text,
    *,
    of: LayerSite | str,
    position: int | None = None,
    target_text: Text | None = None,
    should_stop: StopFlag | None = None,
) -> Attribution:
    """One score per token and neuron, (token, neuron): x_t . dy_j/dx_t for every neuron j of the site `of`, "L5.mlp".

    y_j is read at token `position`, or is the mean over the tokens: column j is `gradient_x_input` of that neuron. One
    forward with tangents per token replaces one backward pass per neuron. Raises ValueError for a site or token that is
    not there and for NaN, and NotImplementedError where an operation of the model has no forward derivative.
    """
    site = LayerSite.parse(of) if isinstance(of, str) else of
    model.locate(site)
    batch = encoded(model, text, target_text)
    chosen = stack_context(batch, site.stack).selected(None if position is None else [position])[0].to(model.device)
    if not bool(chosen.any()):
        raise ValueError(f"position {position} is outside the text, which has {len(chosen)} tokens")
    embeddings = WordEmbeddings(model, batch)
    explained = Explained(embeddings, Target("", lambda target, output, batch, recorded: output[0]), None, should_stop)
    count = embeddings.text.shape[1]
    # Row t has the tangent x_t at token t and 0 elsewhere.
    tangents = torch.diag_embed(embeddings.text[0].T).permute(1, 2, 0).contiguous()

    def work(rows: int) -> Tensor:
        parts = []
        for tangent in tangents.split(rows):
            found: dict[LayerSite, Tensor] = {}
            with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), forward_ad.dual_level():
                values = forward_ad.make_dual(embeddings.text.expand(len(tangent), -1, -1).contiguous(), tangent)
                with hooks.recording(model, [site], found.__setitem__):
                    explained.of(values)
                moved = forward_ad.unpack_dual(found[site]).tangent
            moved = torch.zeros(len(tangent), len(chosen), model.width(_name(site))) if moved is None else moved
            parts.append(moved.detach()[:, chosen].double().mean(dim=1).cpu())
        return torch.cat(parts)

    scores = halving(work, min(ROWS, count))
    if not bool(scores.isfinite().all()):
        raise ValueError(f"input_x_jacobian: {int((~scores.isfinite()).sum())} scores are NaN or infinite")
    where = "over the tokens" if position is None else f"at token {position}"
    name = f"activation of each neuron of {site} {where}"
    return Attribution(
        scores=scores.float().numpy(),
        tokens=tokens_of(model, batch),
        target=name,
        provenance=model.provenance("input_x_jacobian", site=_name(site), target=name, of=str(site)),
    )


def _name(site: LayerSite) -> str:
    return f"{site.stack}.{site.site}" if site.stack else site.site
