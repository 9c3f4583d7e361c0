"""Attention heads: how many a layer has, and which neurons of the site `attention` each of them is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurowidget.models.edits import width_of
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.loading import NeuronModel

# What configurations call it; a seq2seq model has one name for each of its stacks.
_NAMES = ("num_attention_heads", "n_head", "num_heads", "n_heads")
_OF_STACK = {
    "encoder": ("encoder_attention_heads", *_NAMES),
    "decoder": ("decoder_attention_heads", "num_decoder_attention_heads", *_NAMES),
}


def head_count(model: NeuronModel, site: LayerSite) -> int:
    """How many query heads write to a site, "attention" or "cross_attention"; raises ValueError where it cannot be told.

    The heads lie side by side in the input of the output projection, each `width / heads` neurons.
    """
    width = width_of(model, site)
    if site.site not in ("attention", "cross_attention"):
        raise ValueError(f"{site} has no heads: 'attention' and 'cross_attention' have")
    stack = site.stack or (None if None in model.architecture.stacks else "encoder")
    names = _OF_STACK.get(stack or "", _NAMES)
    config = getattr(model.config, "get_text_config", lambda: model.config)()
    count = next((int(n) for name in names if isinstance(n := getattr(config, name, None), int) and n > 0), 0)
    if not count or width % count:
        raise ValueError(
            f"{site}: {model.name} does not say how many heads it has (its configuration has none of {', '.join(names)} "
            f"that divides {width}); give single neurons, such as '{site}[0]', instead"
        )
    return count


def head_columns(width: int, count: int, head: int) -> slice:
    """The neurons of one of `count` heads that are `width` wide together."""
    size = width // count
    return slice(head * size, (head + 1) * size)
