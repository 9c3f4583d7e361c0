"""Reference means and donors: by role, clean, bounded, reproducible."""

from __future__ import annotations

import logging
from typing import Any

import families
import pytest
import torch
from hand_model import hand_model

from neurowidget.models import hooks, reference, reference_texts
from neurowidget.models.context import Context
from neurowidget.models.interventions import Ablate, Set
from neurowidget.models.progress import Cancelled
from neurowidget.neuron import LayerSite

TEXTS = [f"{text} {number}" for number in range(40) for text in families.RAGGED_TEXTS]


def name_of_start(model: Any) -> Any:
    return model.tokenizer.bos_token or model.tokenizer.cls_token


def by_hand(model: Any, site: str, texts: list[str], stack: str | None = None) -> dict[str, torch.Tensor]:
    """Means per role, text by text; a token's role is its special token, `first`, or `ordinary`."""
    found: dict[str, list[torch.Tensor]] = {}
    words = {model.tokenizer.unk_token_id, model.tokenizer.mask_token_id}
    special = set(model.tokenizer.all_special_ids) - (
        words if name_of_start(model) != model.tokenizer.unk_token else set()
    )
    layers = range(model.layers(stack))
    for text in texts:
        batch = model.encode([text], **({"targets": [text]} if model.kind == "seq2seq_lm" else {}))
        recorded: dict[LayerSite, torch.Tensor] = {}
        with hooks.recording(model, [LayerSite(n, site, stack) for n in layers], recorded.__setitem__):
            model.forward(batch)
        ids = (batch.decoder_input_ids if stack == "decoder" else batch.input_ids)[0].tolist()
        for position, token in enumerate(ids):
            role = "ordinary"
            if token in special:
                role = model.tokenizer.convert_ids_to_tokens(token)
            elif position == 0 and model.kind == "causal_lm":
                role = "first"
            values = torch.stack([recorded[LayerSite(n, site, stack)][0, position] for n in layers])
            found.setdefault(role, []).append(values.double())
    return {role: torch.stack(values).mean(0).float() for role, values in found.items()}


@pytest.mark.parametrize(
    ("name", "site", "roles"),
    [
        ("bert", "mlp", {"[CLS]", "[SEP]"}),
        ("roberta", "residual", {"<s>", "</s>"}),
        ("albert", "mlp", {"[CLS]", "[SEP]"}),
        ("gpt2", "mlp", {"first"}),
        ("llama", "attention", {"<s>"}),
        ("t5", "mlp", {"</s>"}),
        ("bart", "decoder.mlp", {"</s>", "<s>"}),
    ],
)
def test_means_are_those_of_each_role(name, site, roles, monkeypatch):
    monkeypatch.setattr(reference, "MAX_TOKENS", 100_000)
    model = families.model(name)
    means = reference.reference_means(model, site, TEXTS)
    stack, _, plain = site.rpartition(".")
    expected = by_hand(model, plain, TEXTS, stack or None)
    assert set(means.special) == roles == set(expected) - {"ordinary"}
    assert torch.allclose(means.ordinary, expected["ordinary"], atol=1e-5)
    for role in roles:
        assert torch.allclose(means.special[role], expected[role], atol=1e-5)
        assert not torch.allclose(means.special[role], means.ordinary, atol=1e-3)
    assert means.ordinary.shape == (model.layers(stack or None), model.width(site))
    assert means.tokens >= reference.MIN_TOKENS
    assert f"{means.tokens:,} tokens" in means.name


def test_a_site_of_one_layer_has_means_too():
    model = families.model("gpt2")
    means = reference.reference_means(model, "embed", TEXTS)
    assert means.ordinary.shape == (1, 32)
    with model.intervene(Ablate("L0.embed", "mean", reference=TEXTS)):
        model.forward(model.encode(["good film"]))
    with pytest.raises(ValueError, match="no site of this name"):
        reference.reference_means(model, "nothing", TEXTS)


def test_unknown_and_mask_tokens_are_ordinary():
    model = families.model("bert")
    ids = model.tokenizer.convert_tokens_to_ids(["[CLS]", "[UNK]", "[MASK]", "the", "[SEP]"])
    context = Context(torch.ones(1, 5).long(), 0, torch.tensor([ids]))
    roles = reference.roles(model, context)[0].tolist()
    names = ["ordinary", *reference.role_names(model)]
    assert [names[role] for role in roles] == ["[CLS]", "ordinary", "ordinary", "ordinary", "[SEP]"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_model_reference_gives_each_token_the_mean_of_its_role(side):
    model = families.model("gpt2")
    batch = model.encode(list(families.RAGGED_TEXTS), padding_side=side)
    means = reference.reference_means(model, "mlp", TEXTS)
    values = reference.model_reference(model, LayerSite(1, "mlp"), batch, TEXTS)
    assert values.shape == (*batch.input_ids.shape, model.width("mlp"))
    for row in range(len(batch)):
        own = values[row, batch.real(row)]
        assert torch.equal(own[0], means.special["first"][1])
        assert torch.equal(own[1:], means.ordinary[1].expand_as(own[1:]))


def test_mean_ablation_puts_these_means_there():
    model = families.model("bert")
    batch = model.encode(list(families.RAGGED_TEXTS))
    site = LayerSite(1, "mlp")
    expected = reference.model_reference(model, site, batch, TEXTS)
    seen: dict[LayerSite, torch.Tensor] = {}
    for given in (TEXTS, reference.reference_means(model, "mlp", TEXTS)):
        with (
            model.intervene(Ablate(site, "mean", reference=given)),
            hooks.recording(model, [site], seen.__setitem__),
        ):
            model.forward(batch)
        for row in range(len(batch)):
            assert torch.equal(seen[site][row, batch.real(row)], expected[row, batch.real(row)])
    wrong = reference.reference_means(model, "residual", TEXTS)
    with pytest.raises(ValueError, match=r"means are of residual \(32 neurons\), not of L1\.mlp"):
        model.intervene(Ablate(site, "mean", reference=wrong))


def test_no_reference_means_the_bundled_sample_and_says_so_once(caplog):
    with caplog.at_level(logging.INFO, logger="neurowidget.models.reference"):
        for name, sample in (("bert", "movies"), ("gpt2", "prose")):
            model = families.build(name)
            caplog.clear()
            for _ in range(2):
                with model.intervene(Ablate("L1.mlp[3]", "mean")):
                    model.forward(model.encode(["good film"]))
            assert [record.getMessage() for record in caplog.records] == [
                f"mean of L1.mlp over {reference.reference_means(model, 'mlp').name}"
            ]
            assert f"bundled sample '{sample}'" in caplog.text


def test_too_few_tokens_are_counted():
    model = families.model("bert")
    with pytest.raises(ValueError, match=r"4 reference texts: \d+ ordinary.*needs 1,000 or more.*None"):
        reference.reference_means(model, "mlp", families.RAGGED_TEXTS)
    with pytest.raises(ValueError, match="needs 1,000 or more"):
        reference.donors(model, [LayerSite(1)], families.RAGGED_TEXTS)
    for texts in ("one text", [], [1, 2]):
        with pytest.raises(TypeError, match="list of strings"):
            reference.reference_means(model, "mlp", texts)


def test_texts_that_are_too_long_go_in_as_parts():
    model = families.model("bert")
    assert model.max_length == 64
    long = " ".join(families.RAGGED_TEXTS * 40)
    means = reference.reference_means(model, "mlp", [long])
    assert means.tokens >= reference.MIN_TOKENS


def test_means_are_kept_until_the_weights_change():
    model = families.build("bert")
    first = reference.reference_means(model, "mlp", TEXTS)
    assert reference.reference_means(model, "mlp", list(TEXTS)) is first
    assert reference.reference_means(model, "residual", TEXTS) is not first
    assert reference.reference_means(model, "mlp", TEXTS, seed=1) is not first
    with torch.no_grad():
        next(model.module.parameters()).mul_(1.5)
    assert not torch.equal(reference.reference_means(model, "mlp", TEXTS).ordinary, first.ordinary)


def test_the_reference_is_run_clean_and_can_be_stopped():
    model = families.build("bert")
    clean = reference.reference_means(families.model("bert"), "mlp", TEXTS)
    seen: list[LayerSite] = []
    with model.intervene(Set("L0.residual", 9.0)), hooks.recording(model, [LayerSite(1)], lambda s, v: seen.append(s)):
        means = reference.reference_means(model, "mlp", TEXTS)
        assert seen == []
        model.forward(model.encode(["good"]))
    assert torch.equal(means.ordinary, clean.ordinary)
    with pytest.raises(Cancelled):
        reference.reference_means(model, "attention", TEXTS, should_stop=lambda: True)


def donor_of(model: Any, batch: Any, *sites: LayerSite, **options: Any) -> dict[LayerSite, torch.Tensor]:
    seen: dict[LayerSite, torch.Tensor] = {}
    with (
        model.intervene(Ablate(list(sites), "resample", reference=TEXTS, **options)),
        hooks.recording(model, list(sites), seen.__setitem__),
    ):
        model.forward(batch)
    return seen


def test_resampling_takes_whole_donor_tokens_of_the_same_role():
    model = families.model("bert")
    batch = model.encode(list(families.RAGGED_TEXTS))
    sites = [LayerSite(0, "mlp"), LayerSite(2, "mlp")]
    seen = donor_of(model, batch, *sites)
    store = reference.donors(model, sites, TEXTS)
    names = ["ordinary", *reference.role_names(model)]
    rows_seen = set()
    roles = reference.roles(model, Context(batch.attention_mask, 0, batch.input_ids))
    for row in range(len(batch)):
        for column in range(batch.lengths[row]):
            where = [(store.values[site] == seen[site][row, column]).all(dim=1).nonzero().flatten() for site in sites]
            both = set(where[0].tolist()) & set(where[1].tolist())
            assert both, "one donor token for all sites"
            role = int(roles[row, column])
            first, count = int(store.starts[role]), int(store.counts[role])
            assert any(first <= donor < first + count for donor in both), names[role]
            rows_seen |= both
    assert len(rows_seen) > 20


def test_draws_are_seeded_and_differ():
    model = families.model("gpt2")
    batch = model.encode(list(families.RAGGED_TEXTS))
    site = LayerSite(1, "mlp")
    first = donor_of(model, batch, site)[site]
    assert torch.equal(donor_of(model, batch, site)[site], first)
    for options in ({"draw": 1}, {"seed": 1}):
        assert not torch.equal(donor_of(model, batch, site, **options)[site], first)
    draws = torch.stack([donor_of(model, batch, site, draw=draw)[site][1, 5] for draw in range(300)])
    means = reference.reference_means(model, "mlp", TEXTS)
    spread = draws.std(dim=0) / 300**0.5
    assert ((draws.mean(dim=0) - means.ordinary[1]).abs() < 6 * spread + 1e-4).all()


def test_a_word_gets_another_donor_at_another_position():
    model = families.model("bert")
    site = LayerSite(1, "mlp")
    values = donor_of(model, model.encode(["the " * 8]), site)[site][0, 1:-1]
    assert len(values.unique(dim=0)) >= 6


def test_donors_are_bounded(monkeypatch):
    model = families.build("bert")
    sites = [LayerSite(layer, "mlp") for layer in range(3)]
    whole = reference.donors(model, sites, TEXTS)
    assert reference.donors(model, sites, TEXTS) is whole
    assert reference.DONOR_TOKENS <= int(whole.counts[0]) < reference.DONOR_TOKENS + 64
    monkeypatch.setattr(reference, "DONOR_BYTES", 4 * 48 * 3 * 200)
    small = reference.donors(model, sites, TEXTS, seed=1)
    assert 200 <= int(small.counts[0]) < int(whole.counts[0])
    assert all(value.shape == (int(small.counts.sum()), 48) for value in small.values.values())
    assert reference.donors(model, sites, TEXTS) is whole
    reference.donors(model, sites[:1], TEXTS)
    reference.donors(model, sites[1:], TEXTS)
    assert reference.donors(model, sites, TEXTS) is not whole  # only the last few are kept


def test_means_read_a_bounded_number_of_tokens_in_small_batches(monkeypatch):
    model = families.build("bert")
    alive: list[int] = []
    plain = model.forward

    def forward(batch: Any) -> Any:
        alive.append(batch.input_ids.numel())
        return plain(batch)

    monkeypatch.setattr(model, "forward", forward)
    reference.reference_means(model, "mlp", TEXTS * 5)
    assert max(alive) <= reference_texts.BATCH_TOKENS
    assert sum(alive) <= 1.5 * reference.MAX_TOKENS


def test_embeddings_have_no_role():
    model = families.model("gpt2")
    embeds = model.module.get_input_embeddings()(model.encode(["good film"]).input_ids)
    block = model.intervene(Ablate("L1.mlp[3]", "mean", reference=TEXTS))
    with pytest.raises(ValueError, match=r"needs token ids.*inputs_embeds"), block, torch.no_grad():
        model.module(inputs_embeds=embeds)
    with model.intervene(Ablate("L1.mlp[3]")), torch.no_grad():
        model.module(inputs_embeds=embeds)


def test_a_model_without_special_tokens_has_ordinary_ones_only():
    model = hand_model()
    means = reference.reference_means(model, "mlp", ["one two"] * 600)
    assert means.special == {}
    assert means.ordinary.tolist() == [[0.5, 1.0, 1.5], [2.5, 0.0, 2.5]]
