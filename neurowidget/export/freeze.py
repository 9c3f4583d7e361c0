"""Outputs that survive a reopened notebook: a frozen page in a sandboxed frame, and a table for everywhere else."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any


def frame(page: str, height: int) -> str:
    """An `<iframe srcdoc>` that holds a whole page: works without kernel, state, network or trust in the notebook's JS."""
    return (
        '<iframe sandbox="allow-scripts allow-downloads" title="neurowidget, frozen view" '
        f'style="width:100%;height:{int(height)}px;border:0" srcdoc="{html.escape(page)}"></iframe>'
    )


def fallback(state: Mapping[str, Any]) -> str:
    """A collapsed, static HTML table of what a widget's state says: tokens with scores, predictions, strongest neurons.

    It uses no script and no class, so it is the same in an untrusted notebook, on GitHub and in nbconvert.
    """
    parts = [part for part in (_prediction(state), _tokens(state), _neurons(state), _card(state)) if part]
    body = "".join(parts) or "<p>Nothing was computed when this output was made.</p>"
    summary = "Static copy, for where the live view cannot run"
    return f"<details><summary>{summary}</summary>{body}</details>"


def _prediction(state: Mapping[str, Any]) -> str:
    lines = []
    for key, name in (("_before", "Prediction"), ("_after", "With the interventions")):
        prediction = state.get(key)
        if prediction:
            pairs = zip(prediction["labels"][:5], prediction["probabilities"][:5], strict=True)
            shown = ", ".join(f"{label!r} {probability:.3f}" for label, probability in pairs)
            changes = "; ".join(prediction.get("interventions") or [])
            lines.append(f"<p>{name}{': ' + html.escape(changes) if changes else ''}: {html.escape(shown)}</p>")
    return "".join(lines)


def _tokens(state: Mapping[str, Any]) -> str:
    tokens = state.get("_tokens") or {}
    pieces = tokens.get("pieces") or []
    if not pieces:
        return ""
    name, values = _scores(state)
    if values is None or len(values) != len(pieces):
        return f"<p>{html.escape(''.join(pieces))}</p>"
    return f"<p>{html.escape(name)} of each token</p>{_table(('token', 'score'), pieces, values)}"


def _scores(state: Mapping[str, Any]) -> tuple[str, Sequence[float] | None]:
    attribution = state.get("_attribution")
    if attribution:
        return f"{attribution['method']}, {attribution['target']}", attribution["scores"]
    scores = state.get("_scores")
    if scores:
        return f"{scores['name']} {scores.get('of') or ''}", scores["values"]
    return "", None


def _neurons(state: Mapping[str, Any]) -> str:
    effects = state.get("_effects") or {}
    top = effects.get("top") or []
    if not top:
        return ""
    target, ablation = html.escape(str(effects["target"])), html.escape(str(effects["ablation"]))
    head = f"<p>Strongest neurons: effect on {target} of removing one ({ablation})</p>"
    return head + _table(("neuron", "effect"), [row["neuron"] for row in top[:20]], [row["value"] for row in top[:20]])


def _card(state: Mapping[str, Any]) -> str:
    card = state.get("_card") or {}
    rows = [row for row in card.get("examples") or [] if row["quantile"] == "top"]
    if not rows:
        return ""
    around = [(row["pieces"], row["focus"]) for row in rows]
    shown = [f"{''.join(p[max(0, at - 8) : at])} [{p[at].strip()}] {''.join(p[at + 1 : at + 9])}" for p, at in around]
    head = f"<p>{html.escape(str(card['neuron']))} fires on</p>"
    return head + _table(("text", "activation"), shown, [row["values"][row["focus"]] for row in rows])


def _table(heads: tuple[str, str], names: Sequence[str], values: Sequence[float | None]) -> str:
    largest = max((abs(v) for v in values if v is not None and v == v), default=0) or 1
    rows = []
    for name, value in zip(names, values, strict=True):
        known = value is not None and value == value
        strength = round(abs(value) / largest * 0.55, 3) if known and value is not None else 0
        rgb = "33,102,172" if known and value is not None and value >= 0 else "214,96,20"
        number = f"{value:+.4f}" if known else "not a number"
        rows.append(
            f'<tr><td style="background-color:rgba({rgb},{strength})"><bdi>{html.escape(_visible(name))}</bdi></td>'
            f"<td>{number}</td></tr>"
        )
    return (
        f"<table><thead><tr><th>{heads[0]}</th><th>{heads[1]}</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _visible(piece: str) -> str:
    return piece.replace("\n", "⏎").replace("\t", "⇥") or "·"
