"""Load any transformer as a NeuronModel: a hub name, a local path, or a module and tokenizer that are loaded already."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.utils.generic import ModelOutput

from neurowidget.models.architectures import Architecture, Location, Stack, find_architecture
from neurowidget.models.batching import Batch, Side, Text, encode
from neurowidget.models.calling import accepted_arguments, call, evaluating
from neurowidget.models.hashing import hash_of_tokenizer, hash_of_weights, state_of_weights, versions
from neurowidget.models.inspection import (
    decoder_start,
    kind_of,
    labels_of,
    longest_input,
    own_positions,
    padding_id,
    probe,
    probe_arguments,
    token_types,
)
from neurowidget.models.linear_layers import is_linear, oriented_weight
from neurowidget.models.padding import side_for
from neurowidget.neuron import LayerSite
from neurowidget.results.base import Provenance

if TYPE_CHECKING:
    from neurowidget.results.prediction import Prediction

DEMOS = ("sentiment", "lm")


class NeuronModel:
    """A transformer whose neurons can be read and edited; the module and tokenizer stay as they were passed in.

    Raises ArchitectureNotFound when the blocks cannot be found and `sites` does not name them.
    """

    def __init__(
        self,
        module: nn.Module,
        tokenizer: Any,
        *,
        name: str | None = None,
        sites: Mapping[str, str] | None = None,
        revision: str | None = None,
    ) -> None:
        self.module = module
        self.tokenizer = tokenizer
        self.given_sites = sites  # so that another process can load the same
        self.config: Any = getattr(module, "config", None)
        self.source = name  # what load_model was given, None for a loaded module
        self.name = name or getattr(self.config, "_name_or_path", "") or type(module).__name__
        self.revision = revision or getattr(self.config, "_commit_hash", None)
        self.family: str = getattr(self.config, "model_type", "") or type(module).__name__
        self.lock = threading.RLock()
        self.padding_errors: dict[Side, float] = {}  # filled by models/padding.py
        self._hashed: tuple[object, str] | None = None
        self.arguments = accepted_arguments(module)
        with self.lock:
            arguments = probe_arguments(module, tokenizer, self.arguments)
            trace = probe(module, arguments)
            self.has_decoder = "decoder_input_ids" in arguments
            self.architecture: Architecture = find_architecture(module, trace, sites)
            self.kind = kind_of(module, trace, arguments, self.architecture)
        self.labels = labels_of(self.config, self.kind, trace.output)
        own = own_positions(module)
        self.wants_positions = "position_ids" in self.arguments and own is None
        self.pad_id = padding_id(tokenizer, self.config, own, self.kind, self.vocabulary_size)
        self.wants_token_types = token_types(self.config, self.arguments)
        self.max_length = longest_input(module, tokenizer, self.config)

    def __repr__(self) -> str:
        layers = " + ".join(f"{self.layers(stack)} {stack or ''}".strip() for stack in self.stacks or (None,))
        stack = self._stack(None)
        sizes = {
            site: sorted({layer.widths[site] for layer in stack.layers if site in layer.widths}) for site in self.sites
        }
        widths = ", ".join(f"{site} {' to '.join(map(str, sorted({w[0], w[-1]})))}" for site, w in sizes.items())
        return f"NeuronModel({self.name!r}, {self.family}, {self.kind}, {layers} layers, {widths})"

    @property
    def stacks(self) -> tuple[str, ...]:
        """The stacks of a seq2seq model, ("encoder", "decoder"); empty for a model with one stack."""
        return tuple(name for name in self.architecture.stacks if name is not None)

    @property
    def num_layers(self) -> int:
        """Layers of the stack, for seq2seq of the encoder."""
        return len(self._stack(None).layers)

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites that can be read and edited; for seq2seq those of the encoder."""
        return self._stack(None).sites

    @property
    def device(self) -> torch.device:
        """Where the input embedding is: inputs are moved there."""
        embeddings = self.architecture.embeddings
        source = embeddings if embeddings is not None else self.module
        return next((p.device for p in source.parameters()), torch.device("cpu"))

    @property
    def vocabulary_size(self) -> int:
        """Rows of the input embedding: ids are 0 to this minus 1."""
        rows = getattr(self.architecture.embeddings, "num_embeddings", None)
        return int(rows) if rows is not None else len(self.tokenizer)

    @property
    def decoder_start_id(self) -> int:
        """The id that a seq2seq decoder begins with."""
        return decoder_start(self.module, self.config)

    @property
    def weights_hash(self) -> str:
        """sha256 over the names, shapes, dtypes and bytes of the state dict; computed again after in-place changes."""
        now = state_of_weights(self.module)
        if self._hashed is None or self._hashed[0] != now:
            self._hashed = now, hash_of_weights(self.module)
        return self._hashed[1]

    @cached_property
    def tokenizer_hash(self) -> str:
        """sha256 of the tokenizer's own serialised form, without its truncation and padding."""
        return hash_of_tokenizer(self.tokenizer)

    def _stack(self, name: str | None) -> Stack:
        stacks = self.architecture.stacks
        chosen = "encoder" if name is None and None not in stacks else name
        if chosen not in stacks:
            known = ", ".join(repr(s) for s in self.stacks) or "one stack without a name"
            raise ValueError(f"{self.name} has no stack {name!r}: it has {known}")
        return stacks[chosen]

    def layers(self, stack: str | None = None) -> int:
        """How many layers a stack has."""
        return len(self._stack(stack).layers)

    def sites_of(self, stack: str | None = None) -> tuple[str, ...]:
        """The sites that every layer of a stack has; `embed` is at layer 0 only."""
        return self._stack(stack).sites

    def width(self, site: str, stack: str | None = None) -> int:
        """How many neurons a layer has at a site: "mlp", "decoder.mlp". Raises ValueError when layers differ."""
        prefix, _, plain = site.rpartition(".")
        layers = self._stack(prefix or stack).layers
        widths = {layer.widths[plain] for layer in layers if plain in layer.widths}
        if not widths:
            self.locate(LayerSite(0, plain, prefix or stack))
        if len(widths) > 1:
            raise ValueError(f"the layers of {self.name} have different widths at {site!r}: {sorted(widths)}")
        return widths.pop()

    def locate(self, address: LayerSite) -> Location:
        """What to hook for a layer and site; raises ValueError that says what there is."""
        stack = self._stack(address.stack)
        if not 0 <= address.layer < len(stack.layers):
            raise ValueError(f"{address}: {self.name} has layers 0 to {len(stack.layers) - 1}")
        layer = stack.layers[address.layer]
        if address.site not in layer.sites:
            why = layer.missing.get(address.site, "there is no site of this name")
            working = ", ".join(site for site in layer.sites)
            raise ValueError(
                f"{address}: {why}. Layer {address.layer} of {self.name} has the sites {working}."
                f" To name another: load_model(..., sites={{{address.site!r}: 'path.{{layer}}.of.module'}})"
            )
        return layer.sites[address.site]

    def output_projection(self, address: LayerSite) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight (neuron, residual) and bias (residual,) or None of a site: value @ weight + bias is what it writes.

        For `mlp`, `attention` and `cross_attention`; raises ValueError for the others, which nothing projects.
        """
        place = self.locate(address)
        if address.site in ("residual", "embed"):
            raise ValueError(f"{address}: the residual stream has no output projection; mlp and attention have one")
        if not is_linear(place.module):
            raise ValueError(f"{address}: {place.name} ({type(place.module).__name__}) is not a linear layer")
        stack = self._stack(address.stack)
        with self.lock, evaluating(place.module):
            return oriented_weight(place.module, stack.layers[address.layer].widths[address.site])

    def encode(
        self, texts: Sequence[Text] | str, targets: Sequence[Text] | str | None = None, padding_side: Side | None = None
    ) -> Batch:
        """Texts, or ready id lists, as one padded Batch: see `models/batching.py`."""
        with self.lock:
            return encode(self, texts, targets, padding_side)

    def side_for(self, wanted: Side | None = None) -> Side:
        """The side to pad texts of different lengths on, `wanted` if it is right; see `models/padding.py`."""
        return side_for(self, wanted)

    def forward(self, batch: Batch, grad: bool = False) -> ModelOutput:
        """The module's answer in eval mode, without a KV cache; every submodule's mode is put back.

        Inference mode unless `grad`; parameters are left as they are, so use `torch.autograd.grad`, not `backward`.
        """
        inputs = {name: value.to(self.device) for name, value in batch.kwargs().items()}
        mode: AbstractContextManager[Any] = torch.enable_grad() if grad else torch.inference_mode()
        with self.lock, evaluating(self.module), mode:
            return call(self.module, inputs)

    def predict(
        self, text: Text, top: int = 10, position: int | None = None, target_text: Text | None = None
    ) -> Prediction:
        """Classes with probabilities, or the most probable next tokens: see `models/prediction.py`."""
        from neurowidget.models.prediction import predict

        return predict(self, text, top=top, position=position, target_text=target_text)

    def generate(self, prompt: Text, **kwargs: Any) -> str:
        """The full text after generation; `kwargs` go to `module.generate`."""
        from neurowidget.models.prediction import generate

        return generate(self, prompt, **kwargs)

    def intervene(self, *interventions: Any, positions: Any = None) -> AbstractContextManager[Any]:
        """Change neurons in every forward inside the `with` block: see `models/interventions.py`."""
        from neurowidget.models.interventions import intervene

        return intervene(self, *interventions, positions=positions)

    @property
    def active_interventions(self) -> tuple[str, ...]:
        """One readable line for each intervention that the current thread has open, outermost first."""
        from neurowidget.models.interventions import active_interventions

        return active_interventions(self)

    def provenance(self, method: str, **more: Any) -> Provenance:
        """Names, hashes and versions for a result; `more` are site, target, seed, or else parameters of the method."""
        own = {key: more.pop(key) for key in ("site", "target", "seed") if key in more}
        parameters = {**more.pop("parameters", {}), **more}
        name = f"{self.name}@{self.revision}" if self.revision else self.name
        return Provenance(
            method=method, model=name, weights_hash=self.weights_hash, tokenizer_hash=self.tokenizer_hash,
            parameters=parameters, versions=versions(), **own,
        )  # fmt: skip


def load_model(
    source: str | Path | nn.Module,
    tokenizer: Any = None,
    *,
    sites: Mapping[str, str] | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> NeuronModel:
    """A NeuronModel from a hub name, a local path, "demo:sentiment", "demo:lm", or a loaded module and tokenizer.

    A loaded module is used as it is: not moved, cast or downloaded again. `sites` names or overrides where the sites
    are: {"residual": "blocks.{layer}", "mlp": "blocks.{layer}.down", "attention": ..., "embed": "blocks.0"}.
    Raises ArchitectureNotFound, and ValueError where there is no fast tokenizer.
    """
    if isinstance(source, nn.Module):
        if tokenizer is None:
            raise TypeError("a loaded module needs its tokenizer: load_model(module, tokenizer)")
        _require_fast(tokenizer, type(tokenizer).__name__)
        return NeuronModel(source, tokenizer, sites=sites, revision=revision)
    name = str(source)
    if name.startswith("demo:"):
        from neurowidget.models.bundled import load_bundled

        demo = name.removeprefix("demo:")
        if demo not in DEMOS:
            raise ValueError(f"no demo {demo!r}: expected {' or '.join(f'demo:{d}' for d in DEMOS)}")
        bundled, its_tokenizer = load_bundled(demo)
        return NeuronModel(bundled, tokenizer or its_tokenizer, name=name, sites=sites)
    module, loaded = _from_pretrained(name, tokenizer, revision, trust_remote_code)
    return NeuronModel(module, loaded, name=name, sites=sites, revision=revision)


def _from_pretrained(name: str, tokenizer: Any, revision: str | None, trust: bool) -> tuple[nn.Module, Any]:
    from transformers import AutoConfig, AutoTokenizer

    options = {"revision": revision, "trust_remote_code": trust}
    try:
        config = AutoConfig.from_pretrained(name, **options)
    except OSError as error:
        raise OSError(f"{name!r} is no local folder with a model, and could not be loaded by name: {error}") from error
    if tokenizer is None:
        try:
            tokenizer = AutoTokenizer.from_pretrained(name, use_fast=True, **options)
        except (ValueError, ImportError, OSError) as error:
            raise ValueError(
                f"no fast tokenizer could be loaded for {name!r} ({error}). Pass one: load_model(name, tokenizer)"
            ) from error
    _require_fast(tokenizer, name)
    module: nn.Module = _auto_class(config)(name, config=config, **options)
    return module, tokenizer


def _auto_class(config: Any) -> Callable[..., nn.Module]:
    """The Auto class whose head the checkpoint was saved with, by the ending of `config.architectures`."""
    import transformers

    ending = {
        "ForSequenceClassification": transformers.AutoModelForSequenceClassification,
        "ForTokenClassification": transformers.AutoModelForTokenClassification,
        "ForMaskedLM": transformers.AutoModelForMaskedLM,
        "ForConditionalGeneration": transformers.AutoModelForSeq2SeqLM,
        "MTModel": transformers.AutoModelForSeq2SeqLM,
        "ForCausalLM": transformers.AutoModelForCausalLM,
        "LMHeadModel": transformers.AutoModelForCausalLM,
    }
    saved = (getattr(config, "architectures", None) or [""])[0]
    found = next((auto for tail, auto in ending.items() if saved.endswith(tail)), transformers.AutoModel)
    if found is transformers.AutoModelForCausalLM and getattr(config, "is_encoder_decoder", False):
        found = transformers.AutoModelForSeq2SeqLM  # T5's first checkpoints say T5WithLMHeadModel
    chosen: Callable[..., nn.Module] = found.from_pretrained
    return chosen


def _require_fast(tokenizer: Any, name: str) -> None:
    advice = "Pass a fast tokenizer (one built on the `tokenizers` library): load_model(..., tokenizer)"
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(
            f"{name}: the tokenizer ({type(tokenizer).__name__}) is not a fast one, so tokens have no character offsets."
            f" {advice}"
        )
    if set(tokenizer.get_vocab().values()) <= set(tokenizer.all_special_ids):
        raise ValueError(f"{name}: its tokenizer knows no tokens but its special ones: are its files missing? {advice}")
