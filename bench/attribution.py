"""Attribution against Captum called directly on embeddings, on the bundled classifier: time, memory, what 200 calls leave.

    python bench/attribution.py [--sentences 64] [--repeats 3]

Product and peer run one after the other in each repeat, and the quickest of the repeats counts, so that a busy machine
slows both. Captum gets the internal batch size, or the perturbations per evaluation, that is quickest for it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import captum.attr as ca  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402

import neurowidget as nw  # noqa: E402
from neurowidget.analysis.attribution.lime import mask_similarity  # noqa: E402
from neurowidget.models import targets  # noqa: E402
from neurowidget.models.bundled import sample_texts  # noqa: E402

TWELVE = "The plot was not good and nobody laughed at all."
THIRTY = " ".join(["The plot was not good and nobody laughed, but the two actors were as warm and funny as ever"] * 2)


class Direct:
    """One text as a function of embeddings, as a user of Captum writes it."""

    def __init__(self, model: Any, text: str) -> None:
        self.module = model.module
        self.batch = model.encode([text])
        self.target = targets.resolve(model, self.batch)
        embedding = model.module.get_input_embeddings()
        ids = self.batch.input_ids
        special = self.batch.special_mask
        self.text = embedding(ids).detach()
        self.start = embedding(torch.where(special, ids, model.tokenizer.pad_token_id)).detach()
        self.mask = torch.zeros(1, ids.shape[1], 1, dtype=torch.long)
        free = (~special[0]).nonzero()[:, 0]
        self.mask[0, free, 0] = torch.arange(len(free))

    def __call__(self, embeds: Tensor) -> Tensor:
        mask = self.batch.attention_mask.expand(len(embeds), -1)
        logits = self.module(inputs_embeds=embeds, attention_mask=mask).logits
        (chosen,) = self.target.ids[0].tolist()
        others = [index for index in range(logits.shape[1]) if index != chosen]
        return logits[:, chosen] - logits[:, others].logsumexp(dim=1)


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def together(jobs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """The quickest of the repeats of each job, run in turn."""
    for work in jobs.values():
        work()
    rounds = [{name: seconds(work) for name, work in jobs.items()} for _ in range(repeats)]
    return {name: min(found[name] for found in rounds) for name in jobs}


def row(name: str, ours: float, theirs: float, wanted: float, unit: str = "s") -> None:
    print(f"{name:58} {ours:9.2f} {theirs:9.2f} {unit:3} {ours / theirs:7.2f} x  (wanted <= {wanted:g})", flush=True)


def integrated(model: Any, texts: list[str], repeats: int) -> None:
    direct = [Direct(model, text) for text in texts]

    def captum(size: int) -> None:
        for one in direct:
            ca.IntegratedGradients(one).attribute(one.text, one.start, n_steps=50, internal_batch_size=size)

    best = min((5, 10, 25, 50), key=lambda size: seconds(lambda: captum(size)))
    jobs = {
        "ours": lambda: [nw.attribute(model, text, n_steps=50, baseline="pad") for text in texts],
        "captum": lambda: captum(best),
    }
    found = together(jobs, repeats)
    row(
        f"integrated_gradients, 50 steps, {len(texts)} sentences (Captum: {best})", found["ours"], found["captum"], 1.05
    )


def whole_layer(model: Any, repeats: int) -> None:
    jobs = {
        "layer": lambda: nw.attribute(model, TWELVE, "gradient_x_input", of="L3.mlp", position=0),
        "one": lambda: nw.attribute(model, TWELVE, "gradient_x_input", of="L3.mlp[7]", position=0),
    }
    found = together(jobs, 3 * repeats)
    count = model.encode([TWELVE]).input_ids.shape[1]
    row(f"input attribution of {model.width('mlp')} neurons, {count} tokens / of one", found["layer"], found["one"], 25)


def perturbation(model: Any, repeats: int) -> None:
    one = Direct(model, THIRTY)

    def shapley(size: int) -> None:
        with torch.no_grad():
            ca.ShapleyValueSampling(one).attribute(
                one.text, one.start, feature_mask=one.mask, n_samples=4, perturbations_per_eval=size
            )

    def lime(size: int) -> None:
        from captum._utils.models.linear_model import SkLearnLasso

        with torch.no_grad():
            ca.Lime(one, SkLearnLasso(alpha=0.01), mask_similarity(1.0)).attribute(
                one.text, one.start, feature_mask=one.mask, n_samples=100, perturbations_per_eval=size
            )

    for name, captum, options in (("shapley_sampling", shapley, {"n_samples": 4}), ("lime", lime, {"n_samples": 100})):
        best = min((8, 32, 64), key=lambda size, captum=captum: seconds(partial(captum, size)))
        jobs = {
            "ours": lambda name=name, options=options: nw.attribute(model, THIRTY, name, baseline="pad", **options),
            "captum": lambda captum=captum, best=best: captum(best),
        }
        found = together(jobs, repeats)
        count = int((~one.batch.special_mask).sum())
        row(f"{name}, {count} tokens (Captum: {best})", found["ours"], found["captum"], 1.0)


def memory(n_steps: int) -> float:
    """Megabytes that one attribution adds to a process of its own at its peak."""
    code = f"import attribution; print(attribution.peak({n_steps}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=os.path.dirname(__file__)
    )
    return float(done.stdout.split()[-1])


def resident() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def peak(n_steps: int) -> float:
    torch.set_num_threads(1)
    model = nw.load_model("demo:sentiment")
    nw.attribute(model, "good", n_steps=1)
    before = resident()
    nw.attribute(model, THIRTY, n_steps=n_steps, baseline="pad")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 - before


def leak(model: Any) -> None:
    for _ in range(20):
        nw.attribute(model, TWELVE, n_steps=4)
    before = resident()
    for _ in range(200):
        nw.attribute(model, TWELVE, n_steps=4)
    print(f"{'200 more calls leave':58} {resident() - before:9.1f} MB             (wanted < 20)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = nw.load_model("demo:sentiment")
    texts = list(sample_texts("movies"))[: given.sentences]
    print(f"{'':58} {'ours':>9} {'peer':>9}")
    integrated(model, texts, given.repeats)
    row("integrated_gradients, peak memory at 500 steps / at 50", memory(500), memory(50), 1.25, "MB")
    whole_layer(model, given.repeats)
    perturbation(model, given.repeats)
    leak(model)


if __name__ == "__main__":
    main()
