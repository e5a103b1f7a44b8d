"""The scorer: invariant 2 (the explanation adds up), merging, its twin, the stem, and files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rsfiqa.errors import AssetError, ConfigError
from rsfiqa.scoring.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, weights_digest
from rsfiqa.scoring.model import Aggregation, RegionScorer, ScorerConfig, ScorerOutput
from rsfiqa.scoring.semantics import Semantics
from rsfiqa.scoring.stem import Stem

CHANNELS, CONTEXT = 6, 9
SMALL = ScorerConfig(
    channels=CHANNELS,
    context_dim=CONTEXT,
    dim=8,
    heads=2,
    hidden=8,
    description_dim=4,
)

Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Semantics | None]


def make_scorer(
    seed: int = 0, members: int = 1, aggregation: Aggregation = "rsa", spread: float = 0.5
) -> RegionScorer:
    """In evaluation mode, with every weight moved, so that gate and attention are uneven."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        scorer = RegionScorer(replace(SMALL, members=members, aggregation=aggregation)).eval()
        with torch.no_grad():
            for parameter in scorer.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=spread)
    return scorer


def make_inputs(
    seed: int = 0,
    pictures: int = 2,
    regions: int = 4,
    rows: int = 4,
    columns: int = 5,
    read: bool = True,
    scale: float = 1.0,
) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(regions, (pictures, rows, columns), generator=generator)
    area = torch.nn.functional.one_hot(labels.flatten(1), regions).float().mean(1)
    area = 0.9 * area + 0.1 / regions  # a region may have no position on the grid
    semantics = Semantics(
        torch.randn(pictures, regions, 4, generator=generator),
        torch.randn(pictures, regions, 5, 5, generator=generator).softmax(-1),
        torch.rand(pictures, regions, generator=generator) < 0.7,
    )
    return (
        scale * torch.randn(pictures, CHANNELS, rows, columns, generator=generator),
        scale * torch.randn(pictures, CONTEXT, generator=generator),
        labels,
        area,
        semantics if read else None,
    )


def score(scorer: RegionScorer, inputs: Inputs) -> ScorerOutput:
    with torch.inference_mode():
        output: ScorerOutput = scorer(*inputs)
    return output


inputs_of_any_kind = st.builds(
    make_inputs,
    seed=st.integers(0, 10_000),
    pictures=st.integers(1, 3),
    regions=st.integers(1, 7),
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    read=st.booleans(),
    scale=st.sampled_from([0.1, 1.0, 20.0, 1000.0]),
)


# Invariant 2


@given(
    inputs_of_any_kind, st.integers(0, 50), st.integers(1, 3), st.sampled_from(["rsa", "pooling"])
)
def test_the_explanation_adds_up(
    inputs: Inputs, seed: int, members: int, aggregation: Aggregation
) -> None:
    out = score(make_scorer(seed, members, aggregation), inputs)
    torch.testing.assert_close(
        (out.weights * out.region_scores).sum(1), out.score, atol=1e-4, rtol=0
    )
    ones = torch.ones_like(out.score)
    torch.testing.assert_close(out.weights.sum(1), ones, atol=1e-5, rtol=0)
    torch.testing.assert_close(out.attention.sum((1, 2)), ones, atol=1e-5, rtol=0)
    assert (out.weights >= 0).all()
    for values in (out.score, out.region_scores):
        assert values.isfinite().all()
        assert (values >= 0).all()
        assert (values <= 100 + 1e-4).all()


@pytest.mark.parametrize("aggregation", ["rsa", "pooling"])
def test_a_picture_scores_the_same_alone_and_beside_others(aggregation: Aggregation) -> None:
    scorer, inputs = make_scorer(members=2, aggregation=aggregation), make_inputs(pictures=3)
    together = score(scorer, inputs)
    features, context, labels, area, semantics = inputs
    assert semantics is not None
    for i in range(3):
        one = slice(i, i + 1)
        read = Semantics(semantics.description[one], semantics.ratings[one], semantics.known[one])
        alone = score(scorer, (features[one], context[one], labels[one], area[one], read))
        for name in vars(alone):
            torch.testing.assert_close(
                getattr(alone, name)[0], getattr(together, name)[i], atol=1e-4, rtol=1e-5
            )


def test_a_region_without_weight_is_left_out_of_the_sum() -> None:
    features, context, labels, area, _ = make_inputs(regions=3, read=False)
    labels = torch.where(labels == 2, 1, labels)
    padded = torch.cat([area, torch.zeros(2, 2)], 1)
    scorer = make_scorer(members=2)
    out = score(scorer, (features, context, labels, area, None))
    more = score(scorer, (features, context, labels, padded, None))
    assert not out.weights[:, 2].any()
    assert not more.weights[:, 2:].any()
    torch.testing.assert_close(more.score, out.score, atol=1e-4, rtol=0)


# Members


@settings(max_examples=20)
@given(inputs_of_any_kind, st.sampled_from(["rsa", "pooling"]))
def test_merged_scorers_give_the_mean_of_their_parts(
    inputs: Inputs, aggregation: Aggregation
) -> None:
    parts = [make_scorer(1, 2, aggregation), make_scorer(2, 2, aggregation)]
    merged = RegionScorer.merged(parts).eval()
    assert merged.config.members == 4
    whole = score(merged, inputs)
    first, second = (score(part, inputs) for part in parts)
    for name in ("score", "weights", "attention"):
        mean = (getattr(first, name) + getattr(second, name)) / 2
        torch.testing.assert_close(getattr(whole, name), mean, atol=1e-4, rtol=1e-4)


def test_merging_copies_weights() -> None:
    part = make_scorer()
    merged = RegionScorer.merged([part, part])
    with torch.no_grad():
        next(part.parameters()).zero_()
    assert all(next(member.parameters()).any() for member in merged.members)


def test_only_like_scorers_are_merged() -> None:
    with pytest.raises(ConfigError, match="0 kinds"):
        RegionScorer.merged([])
    with pytest.raises(ConfigError, match="2 kinds"):
        RegionScorer.merged([make_scorer(), make_scorer(aggregation="pooling")])
    with pytest.raises(ConfigError, match="2 kinds"):
        RegionScorer.merged([make_scorer(), RegionScorer(replace(SMALL, hidden=9))])


# The twin without regions


@given(inputs_of_any_kind, st.integers(1, 3))
def test_the_twin_gives_every_region_the_pictures_score_and_its_area(
    inputs: Inputs, members: int
) -> None:
    scorer = make_scorer(members=members, aggregation="pooling")
    out = score(scorer, inputs)
    area = inputs[3]
    assert torch.equal(out.weights, area)
    assert torch.equal(out.region_scores, out.score[:, None].expand_as(area))
    features = torch.zeros_like(inputs[0])
    assert torch.equal(score(scorer, (features, *inputs[1:])).score, out.score)


# Training


def test_a_hidden_reading_is_hidden_from_the_whole_scorer() -> None:
    """With every reading dropped, training sees what it would see without a reader."""
    scorer = RegionScorer(replace(SMALL, dropout=0.0)).train()
    head = cast(Any, scorer.members[0])
    head.rsa.tokens.drop = 1.0
    features, context, labels, area, semantics = make_inputs()
    with torch.no_grad():
        hidden = scorer(features, context, labels, area, semantics)
        without = scorer(features, context, labels, area, None)
    torch.testing.assert_close(hidden.score, without.score)


def test_rsa_and_head_hide_the_same_readings() -> None:
    """A training step must look like one with some set of readings hidden, the same throughout."""
    regions = 2
    scorer = make_scorer().train()
    for module in scorer.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    features, context, labels, area, semantics = make_inputs(pictures=1, regions=regions)
    assert semantics is not None
    possible = []
    for hidden in range(2**regions):
        known = torch.tensor([[bool(hidden >> k & 1) for k in range(regions)]])
        reading = replace(semantics, known=known)
        possible.append(score(scorer.eval(), (features, context, labels, area, reading)).score)
    everything = replace(semantics, known=torch.ones(1, regions, dtype=torch.bool))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cast(Any, scorer.members[0]).rsa.tokens.drop = 0.5
        for _ in range(20):
            seen = score(scorer.train(), (features, context, labels, area, everything)).score
            assert any(torch.allclose(seen, candidate, atol=1e-4) for candidate in possible)


@pytest.mark.parametrize("aggregation", ["rsa", "pooling"])
def test_every_weight_is_taught(aggregation: Aggregation) -> None:
    scorer = make_scorer(aggregation=aggregation, spread=0.1)
    features, context, labels, area, semantics = make_inputs()
    assert semantics is not None
    known = torch.arange(area.shape[1]).expand_as(area) % 2 == 0
    out = scorer(features, context, labels, area, replace(semantics, known=known))
    (out.score.sum() + out.attention.square().sum()).backward()
    assert [
        name for name, p in scorer.named_parameters() if p.grad is None or not p.grad.any()
    ] == []


# The stem


def make_stem(seed: int = 0) -> Stem:
    generator = torch.Generator().manual_seed(seed)
    samples = [
        (torch.randn(8, 6, 7, generator=generator), torch.randn(CONTEXT, generator=generator))
        for _ in range(4)
    ]
    return Stem([5, 3], 3, CONTEXT).fit(samples)


def test_a_fitted_stem_gives_uncorrelated_channels_of_unit_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(8, 8, generator=generator)
    samples = []
    for _ in range(6):
        positions = torch.einsum("cd,dhw->chw", mixing, torch.randn(8, 9, 9, generator=generator))
        samples.append((5 + 3 * positions, 2 + 4 * torch.randn(CONTEXT, generator=generator)))
    stem = Stem([5, 3], 3, CONTEXT).fit(samples)
    positions = torch.stack([positions for positions, _ in samples])
    contexts = torch.stack([context for _, context in samples])
    reduced, standard = stem(positions, contexts)
    assert stem.channels == reduced.shape[1] == 6
    for part in reduced.split([3, 3], 1):
        flat = part.transpose(0, 1).flatten(1)
        torch.testing.assert_close(flat.mean(1), torch.zeros(3), atol=1e-4, rtol=0)
        torch.testing.assert_close(flat.cov(correction=0), torch.eye(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(standard.mean(0), torch.zeros(CONTEXT), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        standard.std(0, correction=0), torch.ones(CONTEXT), atol=1e-4, rtol=0
    )


def test_fitting_again_repeats_and_constant_channels_do_no_harm() -> None:
    one, two = make_stem().state_dict(), make_stem().state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    flat = Stem([5, 3], 3, CONTEXT).fit([(torch.ones(8, 3, 3), torch.ones(CONTEXT))] * 2)
    reduced, context = flat(torch.ones(1, 8, 3, 3), torch.ones(1, CONTEXT))
    assert torch.equal(reduced, torch.zeros_like(reduced))
    assert torch.equal(context, torch.zeros_like(context))


def test_a_stem_is_not_fitted_to_nothing() -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        Stem([5, 3], 3, CONTEXT).fit([])


def test_a_stem_is_frozen() -> None:
    assert not any(parameter.requires_grad for parameter in make_stem().parameters())


# Files


def make_checkpoint(members: int = 2, aggregation: Aggregation = "rsa") -> Checkpoint:
    return Checkpoint(
        name="small",
        scorer=make_scorer(members=members, aggregation=aggregation),
        stem=make_stem(),
        encoder=[{"backbone": "dinov2-small", "indices": [3, 11]}],
        segmenter="embedded",
        training={"data": "none", "srcc": 0.5, "note": "für später"},
    )


@pytest.mark.parametrize("aggregation", ["rsa", "pooling"])
def test_a_scorer_comes_back_from_its_folder(tmp_path: Path, aggregation: Aggregation) -> None:
    saved = make_checkpoint(aggregation=aggregation)
    save_checkpoint(saved, tmp_path / "deep" / "folder")
    loaded = load_checkpoint(tmp_path / "deep" / "folder")
    for name in ("name", "encoder", "segmenter", "training"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert loaded.scorer.config == saved.scorer.config
    assert not loaded.scorer.training
    assert not loaded.stem.training
    for name, tensor in saved.stem.state_dict().items():
        assert torch.equal(loaded.stem.state_dict()[name], tensor)
    for name, tensor in saved.scorer.state_dict().items():
        assert torch.equal(loaded.scorer.state_dict()[name], tensor.half().float())
    inputs = make_inputs()
    torch.testing.assert_close(
        score(loaded.scorer, inputs).score, score(saved.scorer, inputs).score, atol=0.1, rtol=0
    )


def test_saving_what_was_loaded_changes_nothing(tmp_path: Path) -> None:
    save_checkpoint(make_checkpoint(), tmp_path / "one")
    save_checkpoint(load_checkpoint(tmp_path / "one"), tmp_path / "two")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    one, two = (load_checkpoint(tmp_path / folder) for folder in ("one", "two"))
    assert weights_digest(one) == weights_digest(two) == weights_digest(make_checkpoint())


def test_a_narrow_stem_comes_back(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    checkpoint.stem = Stem([5, 3], 64, CONTEXT)
    save_checkpoint(checkpoint, tmp_path)
    assert load_checkpoint(tmp_path).stem.widths == (5, 3)


def test_the_digest_changes_with_every_weight() -> None:
    digests = {weights_digest(make_checkpoint())}
    tensors = [
        *make_checkpoint().scorer.state_dict(),
        *(f"stem:{name}" for name in make_checkpoint().stem.state_dict()),
    ]
    for name in tensors:
        checkpoint = make_checkpoint()
        part = checkpoint.stem if name.startswith("stem:") else checkpoint.scorer
        with torch.no_grad():
            part.state_dict()[name.removeprefix("stem:")].view(-1)[-1] += 0.25
        digests.add(weights_digest(checkpoint))
    assert len(digests) == 1 + len(tensors)
    assert all(len(digest) == 8 and int(digest, 16) >= 0 for digest in digests)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    change(config)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def cut(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda f: (f / "config.json").unlink(), "config.json is missing"),
        (lambda f: (f / "model.safetensors").unlink(), "is missing"),
        (lambda f: cut(f / "config.json", 40), "cannot be read"),
        (lambda f: (f / "config.json").write_bytes(b"\xff\xfe{}"), "cannot be read"),
        (lambda f: (f / "config.json").write_text("[]"), "format"),
        (lambda f: (f / "config.json").write_text("null"), "format"),
        (lambda f: cut(f / "model.safetensors", 1000), "cannot be read"),
        (lambda f: cut(f / "model.safetensors", 0), "cannot be read"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x80\x04pickle"), "cannot be read"),
        (lambda f: edit(f, lambda c: c.pop("format")), "format None"),
        (lambda f: edit(f, lambda c: c.update(format=2)), "format 2; this version reads 1"),
        (lambda f: edit(f, lambda c: c.pop("scorer")), "incomplete"),
        (lambda f: edit(f, lambda c: c.pop("encoder")), "incomplete"),
        (lambda f: edit(f, lambda c: c["scorer"].update(members=3)), "incomplete"),
        (lambda f: edit(f, lambda c: c["scorer"].update(channels=7)), "incomplete"),
        (lambda f: edit(f, lambda c: c["scorer"].update(heads=3)), "incomplete"),
        (lambda f: edit(f, lambda c: c["scorer"].update(later=1)), "incomplete"),
        (lambda f: edit(f, lambda c: c["stem"].update(groups=[5, 4])), "incomplete"),
        (lambda f: edit(f, lambda c: c.update(scorer=3)), "incomplete"),
    ],
)
def test_a_damaged_folder_is_told_in_a_sentence(
    tmp_path: Path, damage: Callable[[Path], object], word: str
) -> None:
    save_checkpoint(make_checkpoint(), tmp_path)
    damage(tmp_path)
    with pytest.raises(AssetError, match=word) as refused:
        load_checkpoint(tmp_path)
    assert str(tmp_path) in str(refused.value)
    assert str(refused.value).endswith(".")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"holds no scorer: config\.json is missing"):
        load_checkpoint(tmp_path / "nowhere")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(AssetError):
        load_checkpoint(tmp_path / "file")


def test_a_scorer_cannot_be_saved_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be written"):
        save_checkpoint(make_checkpoint(), tmp_path / "file")
