"""The state of an explorer as Python that reproduces it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def load_line(source: str | None) -> str:
    """The line that loads the model; `source` is None for a module that the user passed in."""
    if source is None:
        return "model = nw.load_model(module, tokenizer)  # the module and tokenizer that you passed in"
    return f"model = nw.load_model({source!r})"


def intervention_call(item: Mapping[str, Any]) -> str:
    """One intervention of the explorer as a call: `nw.Set("L5.mlp[131]", 2.4)`."""
    neuron = repr(str(item["neuron"]))
    if item["kind"] == "ablate":
        return f"nw.Ablate({neuron}, {item.get('how', 'mean')!r})"
    return f"nw.{'Set' if item['kind'] == 'set' else 'Scale'}({neuron}, {float(item['value'])!r})"


def reproduce(
    source: str | None,
    text: str,
    site: str,
    target: str,
    interventions: Sequence[Mapping[str, Any]],
    selected_neuron: str | None,
    selected_token: int | None,
    examples: bool = False,
) -> str:
    """Python that shows the same explorer, and the same prediction without it."""
    options = [f"site={site!r}"] if site != "mlp" else []
    options += [f"target={target!r}"] if target != "auto" else []
    options += ["examples=examples"] if examples else []
    arguments = ", ".join(["model", "text", *options])
    lines = [
        "import neurowidget as nw",
        "",
        load_line(source),
        f"text = {text!r}",
        *(
            ["examples = nw.top_examples(model, corpus)  # or nw.load the Examples that you passed in"]
            if examples
            else []
        ),
        "",
        f"explorer = nw.NeuronExplorer({arguments})",
    ]
    if selected_neuron:
        lines.append(f"explorer.selected_neuron = {selected_neuron!r}")
    if selected_token is not None:
        lines += ["explorer.wait()", f"explorer.selected_token = {selected_token}"]
    if interventions:
        lines.append(f"explorer.interventions = {[dict(item) for item in interventions]!r}")
    lines += ["explorer", "", "# the same numbers without the view"]
    if interventions:
        calls = ", ".join(intervention_call(item) for item in interventions)
        lines += [f"with model.intervene({calls}):", "    print(model.predict(text))"]
    else:
        lines.append("print(model.predict(text))")
    return "\n".join(lines) + "\n"
