"""Readings as numbers, and what the whole scorer makes of them: invariants 2, 3 and 6."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from fake_sentences import FakeSentences
from rsfiqa.reading.wording import rating_from_logits
from rsfiqa.scoring.checkpoint import load_checkpoint
from rsfiqa.scoring.model import RegionScorer
from rsfiqa.scoring.semantics import (
    RatingTokens,
    Semantics,
    SemanticTokens,
    semantics_of,
    stack_semantics,
)
from rsfiqa.types import DIMENSIONS, Reading
from test_scorer import make_inputs, make_scorer, score

FAILED = Reading("failed", reason="no answer")


def reading(seed: int = 0, description: str | None = "a dog") -> Reading:
    rng = torch.Generator().manual_seed(seed)
    ratings = {d: rating_from_logits(torch.randn(5, generator=rng).tolist()) for d in DIMENSIONS}
    return Reading("ok", description, ratings)


# From readings to numbers


def test_readings_become_numbers_in_the_order_of_dimensions_and_levels() -> None:
    one, other = reading(1, "a dog"), reading(2, None)
    sentences = FakeSentences()
    found = semantics_of([one, FAILED, Reading(), other], sentences)
    assert found.known.tolist() == [True, False, False, True]
    for row, said in ((0, one), (3, other)):
        for i, dimension in enumerate(DIMENSIONS):
            wanted = pytest.approx(said.ratings[dimension].probabilities)
            assert found.ratings[row, i].tolist() == wanted
    assert torch.equal(found.description[0], sentences.encode(["a dog"])[0])
    assert not found.description[1:].any()
    assert sentences.asked[:4] == ["a dog", None, None, None]


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=5) | st.none(), max_size=4))
def test_a_batch_pads_with_unread_regions(pictures: list[list[bool] | None]) -> None:
    sentences = FakeSentences()
    singles = [
        None
        if known is None
        else semantics_of([reading(i) if ok else FAILED for i, ok in enumerate(known)], sentences)
        for known in pictures
    ]
    batch = stack_semantics(singles, 6)
    if all(single is None for single in singles):
        assert batch is None
        return
    assert batch is not None
    assert batch.ratings.shape == (len(pictures), 6, 5, 5)
    for row, single in enumerate(singles):
        there = 0 if single is None else len(single.known)
        assert not batch.known[row, there:].any()
        if single is not None:
            assert torch.equal(batch.known[row, :there], single.known)
            assert torch.equal(batch.ratings[row, :there], single.ratings)
            assert torch.equal(batch.description[row, :there], single.description)


# What the scorer makes of them

inputs_read = st.builds(
    make_inputs,
    seed=st.integers(0, 10_000),
    pictures=st.integers(1, 2),
    regions=st.integers(2, 6),
    scale=st.sampled_from([0.1, 1.0, 20.0]),
)


def with_known(semantics: Semantics, known: Tensor) -> Semantics:
    return replace(semantics, known=known)


@given(inputs_read, st.integers(0, 5), st.integers(0, 1000))
def test_the_reading_of_a_region_reaches_no_other_regions_score(
    inputs: Any, region: int, seed: int
) -> None:
    *rest, semantics = inputs
    region %= semantics.known.shape[1]
    changed = replace(semantics, known=semantics.known.clone(), ratings=semantics.ratings.clone())
    changed.known[:, region] = True
    rng = torch.Generator().manual_seed(seed)
    changed.ratings[:, region] = torch.randn(5, 5, generator=rng).softmax(-1)
    member = cast(RegionScorer, make_scorer()).members[0]
    with torch.inference_mode():
        seen, scores = member(*rest, semantics)
        seen_after, scores_after = member(*rest, changed)
    others = [k for k in range(scores.shape[1]) if k != region]
    assert torch.equal(scores[:, others], scores_after[:, others])
    outside = rest[2] != region
    assert torch.equal(seen.local[outside], seen_after.local[outside])
    for name in ("mean", "deviation", "attended", "semantic", "shift"):
        assert torch.equal(getattr(seen, name)[:, others], getattr(seen_after, name)[:, others]), (
            name
        )


@given(inputs_read, st.lists(st.booleans(), min_size=6, max_size=6), st.integers(1, 3))
def test_the_explanation_adds_up_whichever_regions_were_read(
    inputs: Any, known: list[bool], members: int
) -> None:
    *rest, semantics = inputs
    which = torch.tensor(known)[: semantics.known.shape[1]].expand_as(semantics.known)
    out = score(make_scorer(members=members), (*rest, with_known(semantics, which)))
    added = (out.weights * out.region_scores).sum(1)
    torch.testing.assert_close(added, out.score, atol=1e-4, rtol=0)
    torch.testing.assert_close(out.weights.sum(1), torch.ones_like(out.score), atol=1e-5, rtol=0)


@given(inputs_read)
def test_a_picture_of_which_nothing_could_be_read_is_one_that_nobody_read(inputs: Any) -> None:
    *rest, semantics = inputs
    nothing = torch.zeros_like(semantics.known)
    scorer = make_scorer(members=2)
    failed = score(scorer, (*rest, with_known(semantics, nothing)))
    unread = score(scorer, (*rest, None))
    for name in vars(failed):
        assert torch.equal(getattr(failed, name), getattr(unread, name)), name


def test_what_is_read_is_seen() -> None:
    *rest, semantics = make_inputs(regions=3)
    assert semantics is not None
    everything = torch.ones_like(semantics.known)
    read = score(make_scorer(), (*rest, with_known(semantics, everything)))
    unread = score(make_scorer(), (*rest, None))
    assert not torch.allclose(read.score, unread.score)


def test_hidden_readings_are_hidden_for_whole_pictures() -> None:
    *_, semantics = make_inputs(pictures=2)
    assert semantics is not None
    hidden = semantics.hidden(torch.tensor([[True], [False]]))
    assert not hidden.known[0].any()
    assert torch.equal(hidden.known[1], semantics.known[1])


# A map a dimension


def test_the_maps_of_all_dimensions_begin_alike_and_can_part() -> None:
    torch.manual_seed(0)
    tokens = RatingTokens(4)
    bad = torch.tensor([0.0, 0, 0, 0, 1])
    said = tokens(bad.expand(5, 5))
    assert torch.equal(said, said[:1].expand_as(said))
    said[1].sum().backward()
    assert tokens.weight.grad is not None
    assert tokens.weight.grad[1].any()
    assert not tokens.weight.grad[[0, 2, 3, 4]].any()


def test_the_mean_of_a_regions_tokens_can_tell_which_dimension_is_bad() -> None:
    torch.manual_seed(0)
    tokens = SemanticTokens(8, 3).eval()
    with torch.no_grad():
        tokens.rating.weight.add_(torch.randn_like(tokens.rating.weight))
    good, bad = torch.tensor([1.0, 0, 0, 0, 0]), torch.tensor([0.0, 0, 0, 0, 1])
    ratings = good.expand(1, 2, 5, 5).clone()
    ratings[0, 0, DIMENSIONS.index("noise")] = bad
    ratings[0, 1, DIMENSIONS.index("blur")] = bad
    semantics = Semantics(torch.zeros(1, 2, 3), ratings, torch.ones(1, 2, dtype=torch.bool))
    noisy, blurred = tokens(semantics, 1, 2).mean(2)[0]
    assert not torch.allclose(noisy, blurred, atol=1e-3)


# Checkpoints of before


def test_a_checkpoint_of_before_readings_loads_and_says_that_it_saw_none(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    tensors = load_file(tiny_model_folder / "model.safetensors")
    config = json.loads((tiny_model_folder / "config.json").read_text(encoding="utf-8"))
    del config["reader"]
    for name in tensors:
        if name.endswith("tokens.rating.weight"):
            tensors[name] = tensors[name][0].contiguous()
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    old = load_checkpoint(tmp_path)
    assert old.reader == "none"
    assert not old.reads
    now = load_checkpoint(tiny_model_folder)
    for name, tensor in now.scorer.state_dict().items():
        assert torch.equal(tensor, old.scorer.state_dict()[name]), name


def test_the_shipped_scorer_loads() -> None:
    from rsfiqa.scoring.checkpoint import default_folder

    assert load_checkpoint(default_folder()).name
