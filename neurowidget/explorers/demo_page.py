"""The pages of the command line: a demonstration on two real models, and an exploration of any model and text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from neurowidget.explorers.neuron_explorer import NeuronExplorer
from neurowidget.export.html import Heading, Paragraph, Part, page
from neurowidget.models.loading import load_model

Say = Callable[[str], None]

SENTENCES = (
    ("A clear case", "A warm, funny and beautifully acted film.", ""),
    (
        "Negation",
        "The film was not bad at all, really.",
        "Word by word it sounds bad: the decision needs the negation.",
    ),
    (
        "Mixed",
        "The acting was great, but the plot was terrible.",
        "Praise and blame: see which neurons take which side.",
    ),
    (
        "A mistake of the model",
        "The movie is well done, but slow.",
        "The people who rated this held-out sentence found it positive (+1.0 of 4); the model does not.",
    ),
)
PROMPT = "When Mary and John went to the store, John gave a drink to"
CONTRAST = " Mary -  John"
HOW_TO_READ = (
    "Click a token to see its strongest neurons, click a neuron to see its card: its activation over the tokens, where that "
    "stands in a corpus sample, its effect on this text and on other texts. Effect = F(clean) - F(neuron removed): above 0 "
    "the neuron supports the target. The page works offline; what needs a running model is greyed out and says so."
)


def write_demo(out: Path, *, language_model: bool = True, say: Say = print) -> Path:
    """Write the demonstration page and return its path; the sentiment model first, then a steered language model."""
    parts: list[Part] = [
        Heading("What decides? Neurons of real models, one by one", 1),
        Paragraph(HOW_TO_READ),
    ]
    parts += _sentiment_parts(say)
    if language_model:
        parts += _language_parts(say)
    return _write(out, page(parts, title="neurowidget: neurons of a sentiment model and a language model"))


def write_exploration(
    model: str,
    texts: Sequence[str],
    out: Path,
    *,
    corpus: Sequence[str] | None,
    site: str,
    target: str,
    cards: int,
    precision: str,
    say: Say = print,
) -> Path:
    """Write a page with one explorer for each text and return its path."""
    say(f"loading {model}")
    explorer = NeuronExplorer(load_model(model), texts[0], site=site, target=target, corpus=corpus)
    parts: list[Part] = [Heading(f"{explorer.model.name}: {site} neurons", 1), Paragraph(HOW_TO_READ)]
    for text in texts:
        say(f"looking at {text[:60]!r}")
        explorer.text = text
        _finish(explorer, cards)
        parts += [Heading(text[:120]), explorer.snapshot(precision)]
    return _write(out, page(parts, title=f"neurowidget: {explorer.model.name}"))


def _sentiment_parts(say: Say) -> list[Part]:
    say("loading the sentiment model (MiniLM)")
    explorer = NeuronExplorer(load_model("demo:sentiment"), SENTENCES[0][1])
    parts: list[Part] = [
        Heading("A sentiment model"),
        Paragraph("MiniLM, 6 layers with 1,536 mlp neurons each, classifies movie sentences as POS or NEG."),
    ]
    for title, sentence, note in SENTENCES:
        say(f"looking at {sentence!r}")
        explorer.text = sentence
        explorer.interventions = []
        _finish(explorer, cards=12)
        top = _supporters(explorer, 5)
        explorer.interventions = [{"kind": "ablate", "neuron": name, "how": "mean"} for name in top]
        explorer.selected_neuron = top[0]
        explorer.wait()
        parts += [
            Heading(title, 3),
            Paragraph(" ".join(filter(None, [note, _tokens_in_words(explorer), _change_in_words(explorer, top)]))),
        ]
        parts.append(explorer.snapshot())
    return parts


def _language_parts(say: Say) -> list[Part]:
    say("loading the language model (SmolLM2-135M; the first time converts its weights, about 40 seconds)")
    explorer = NeuronExplorer(load_model("demo:lm"), PROMPT, target=CONTRAST, held_out=8)
    say(f"looking at {PROMPT!r}")
    _finish(explorer, cards=6)
    name, value = _lever(explorer)
    explorer.interventions = [{"kind": "set", "neuron": name, "value": value}]
    explorer.selected_neuron = name
    explorer.wait()
    before, after = explorer.prediction, explorer.changed_prediction
    after_of = dict(zip(after["labels"], after["probabilities"], strict=True)).get
    return [
        Heading("A language model, steered"),
        Paragraph(
            f"SmolLM2-135M (30 layers, 1,536 gated mlp neurons each) continues the prompt {PROMPT!r}. Of the neurons that "
            f"matter most for 'Mary' rather than 'John', {name} moves the answer farthest within the values it takes in real "
            f"text: set to {value:.2f} at every token, it changes the probability of {before['labels'][0]!r} from "
            f"{before['probabilities'][0]:.2f} to {after_of(before['labels'][0], 0.0):.2f}, and the target "
            f"({before['target']['name']}) from {before['target']['value']:.2f} to {after['target']['value']:.2f}. "
            "Drag its slider to steer it: the values that were swept answer without a kernel."
        ),
        explorer.snapshot(),
    ]


def _finish(explorer: NeuronExplorer, cards: int) -> None:
    explorer.wait()
    if explorer.last_error:
        raise ValueError(explorer.last_error)
    explorer.precompute(cards)


def _lever(explorer: NeuronExplorer) -> tuple[str, float]:
    """Among the precomputed neurons the one whose swept values lower the target most, and that value."""

    def lowest(name: str) -> float:
        return min(explorer.card(name)["dose"]["target"])

    name = min(explorer.cards(), key=lowest)
    dose = explorer.card(name)["dose"]
    return name, float(dose["x"][dose["target"].index(lowest(name))])


def _supporters(explorer: NeuronExplorer, count: int) -> list[str]:
    return [name for name in explorer.strongest(100) if explorer.effect_of(name) > 0][:count]


def _tokens_in_words(explorer: NeuronExplorer) -> str:
    attribution = explorer.attribution
    ranked = sorted(
        zip(attribution.scores.tolist(), attribution.tokens.pieces, strict=True),
        key=lambda pair: -abs(pair[0]),
    )
    named = ", ".join(f"{piece.strip()!r} ({score:+.2f})" for score, piece in ranked[:3])
    return f"The tokens that contribute most to the {attribution.target}: {named}."


def _change_in_words(explorer: NeuronExplorer, top: Sequence[str]) -> str:
    before, after = explorer.prediction, explorer.changed_prediction
    label, target = before["labels"][0], before["target"]
    left = dict(zip(after["labels"], after["probabilities"], strict=True))[label]
    change = after["target"]["value"] - target["value"]
    return (
        f"The model says {label} with {before['probabilities'][0]:.3f}, log-odds {target['value']:+.2f}. With its {len(top)} "
        f"most supporting neurons ({', '.join(top)}) held at their mean, the log-odds change by {change:+.2f} and {label} has "
        f"{left:.3f}."
    )


def _write(out: Path, text: str) -> Path:
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    return out
