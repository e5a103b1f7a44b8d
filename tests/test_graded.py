"""Graded copies: which way is down when one fault of the whole picture grows."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from rsfiqa.encoders.build import build_encoder
from rsfiqa.extraction import FeatureExtractor, PictureFeatures
from rsfiqa.images import load_image
from rsfiqa.learning.distortions import FAMILIES, STRENGTHS, distort
from rsfiqa.learning.features import FeatureCache
from rsfiqa.learning.graded import FALLS, Graded, GradedCopies, GradePlan, plan_graded
from rsfiqa.learning.losses import grading_loss
from rsfiqa.learning.metrics import correlations
from rsfiqa.learning.training import predict, train_scorer
from rsfiqa.learning.training_state import data_digest
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.scoring.stem import Stem
from test_training import CONTEXT, MODEL, QUICK, data_set

PLAN = GradePlan(source=0, family="gaussian_blur", seed=7)


# Plans


@given(st.integers(1, 40), st.integers(0, 120), st.integers(0, 9))
def test_plans_deal_pictures_and_families_evenly(pictures: int, copies: int, seed: int) -> None:
    plans = plan_graded(pictures, copies, seed)
    assert len(plans) == copies
    assert plans == plan_graded(pictures, copies, seed)
    families = [family for names in FAMILIES.values() for family in names]
    for of_plan, all_there in (
        ([plan.source for plan in plans], range(pictures)),
        ([plan.family for plan in plans], families),
    ):
        counts = [of_plan.count(each) for each in all_there]
        assert max(counts) - min(counts) <= 1
        assert sum(counts) == copies


def test_no_pictures_give_no_plans() -> None:
    assert plan_graded(0, 5, seed=0) == []


# Loss


def test_the_loss_by_hand() -> None:
    falls = torch.tensor([0.0, 2.0, 6.0])
    # 80, 79, 81: below the clean one by 1 and −1 where 2 and 6 are wanted, and by steps of 1 and
    # −2 where 1 and 2 are wanted.
    scores = torch.tensor([[80.0, 79.0, 81.0]])
    assert float(grading_loss(scores, falls)) == pytest.approx(((1 + 7) / 2 + (0 + 4) / 2) / 10)


@given(st.lists(st.floats(0, 100), min_size=5, max_size=5))
def test_the_loss_is_zero_only_where_scores_fall_at_every_step(scores: list[float]) -> None:
    loss = float(grading_loss(torch.tensor([scores]), torch.tensor([0.0, *FALLS])))
    assert loss >= 0
    if loss == 0:
        assert all(after < before for before, after in pairwise(scores))


def test_wanted_falls_rise_with_strength() -> None:
    assert len(FALLS) == len(STRENGTHS)
    assert list(FALLS) == sorted(FALLS)


# Training: entry 1 of the context shows a fault that people's scores of these pictures never fell
# for (better pictures have more of it), as sharpened pictures are often good ones.


def misled_set(count: int, seed: int) -> tuple[list[PictureFeatures], list[float]]:
    pictures, scores, _ = data_set(count, seed)
    rng = np.random.default_rng(seed)
    found = []
    for picture, score in zip(pictures, scores, strict=True):
        context = picture.context.clone()
        context[1] = (score - 55) / 35 + 0.3 * float(rng.normal())
        found.append(replace(picture, context=context))
    return found, scores


def with_growing_fault(pictures: list[PictureFeatures]) -> list[Graded]:
    def contexts(clean: Tensor) -> Tensor:
        copies = clean.repeat(len(STRENGTHS), 1)
        copies[:, 1] += 0.8 * torch.arange(1, len(STRENGTHS) + 1)
        return copies

    return [Graded(contexts(picture.context), i) for i, picture in enumerate(pictures)]


@pytest.mark.parametrize("aggregation", ["rsa", "pooling"])
def test_graded_copies_teach_which_way_is_down(aggregation: str) -> None:
    training, scores = misled_set(80, seed=31)
    held, held_scores = misled_set(30, seed=32)
    model = replace(MODEL, aggregation=aggregation)
    config = replace(QUICK, grading_weight=0.3)
    fell = {}
    for name, graded in (("taught", with_growing_fault(training)), ("untaught", [])):
        result = train_scorer(model, config, training, scores, held, held_scores, graded=graded)
        clean = np.array(predict(result.scorer, held))
        severe = [
            replace(picture, context=grades.contexts[-1])
            for picture, grades in zip(held, with_growing_fault(held), strict=True)
        ]
        fell[name] = float(np.mean(np.array(predict(result.scorer, severe)) < clean))
        assert correlations(clean.tolist(), held_scores).srcc > 0.8
    assert fell["untaught"] < 0.2, "without them the fault is taken for a merit"
    assert fell["taught"] > 0.9


def test_a_weight_of_zero_leaves_them_out() -> None:
    training, scores = misled_set(12, seed=33)
    config = replace(QUICK, epochs=2, grading_weight=0.0)
    with_copies, without = (
        train_scorer(MODEL, config, training, scores, training, scores, graded=graded)
        for graded in (with_growing_fault(training), [])
    )
    assert with_copies.history == without.history


def test_drawn_copies_have_their_own_clean_picture() -> None:
    pictures, _ = misled_set(6, seed=34)
    copies = GradedCopies(pictures, with_growing_fault(pictures))

    class Seen(torch.nn.Module):
        def forward(self, contexts: Tensor) -> Tensor:
            rows = contexts.view(-1, 1 + len(STRENGTHS), CONTEXT)
            steps = rows[:, 1:, 1] - rows[:, :-1, 1]
            assert torch.allclose(steps, torch.full_like(steps, 0.8), atol=1e-5)
            return contexts[:, 0]

    assert len(copies) == 6
    assert copies.loss(Seen(), 4, np.random.default_rng(0)).ndim == 0


def test_a_run_is_told_apart_by_its_graded_copies() -> None:
    pictures, scores = misled_set(4, seed=35)
    copies = with_growing_fault(pictures)
    digests = {data_digest(pictures, scores, graded=copies[:n]) for n in range(4)}
    assert len(digests) == 4


# Cache


@pytest.fixture
def extractor(tiny_encoder_specs: list[dict[str, object]]) -> FeatureExtractor:
    encoder = build_encoder(tiny_encoder_specs)
    stem = Stem(encoder.groups, 8, encoder.context_dim)
    return FeatureExtractor(encoder, EmbeddedSegmenter(), stem)


@pytest.fixture
def picture(tmp_path: Path, cat: np.ndarray) -> Path:  # type: ignore[type-arg]
    path = tmp_path / "cat.png"
    Image.fromarray(cat[:96, 100:196]).save(path)
    return path


def test_contexts_are_those_of_the_spoiled_pictures(
    extractor: FeatureExtractor, picture: Path, tmp_path: Path
) -> None:
    found = FeatureCache(tmp_path / "cache", extractor).graded(picture, PLAN)
    pixels = load_image(picture).pixels
    assert found.source == 0
    for contexts, strength in zip(found.contexts, STRENGTHS, strict=True):
        spoiled, _ = extractor.extract(distort(pixels, PLAN.family, strength, PLAN.seed))
        assert torch.equal(contexts, spoiled.context)


def test_they_are_computed_once_and_again_when_damaged(
    extractor: FeatureExtractor,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = FeatureCache(tmp_path / "cache", extractor)
    first = cache.graded(picture, PLAN).contexts
    with monkeypatch.context() as patched:
        patched.setattr(FeatureExtractor, "context", lambda *_: pytest.fail("computed again"))
        assert torch.equal(cache.graded(picture, PLAN).contexts, first)
    (file,) = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    for damaged in (b"", file.read_bytes()[:-9], b"\x00" * 64):
        file.write_bytes(damaged)
        assert torch.equal(cache.graded(picture, PLAN).contexts, first)


def test_other_families_and_seeds_are_other_copies(
    extractor: FeatureExtractor, picture: Path, tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path / "cache", extractor)
    plans = [
        PLAN,
        replace(PLAN, family="gaussian_noise"),
        replace(PLAN, family="gaussian_noise", seed=8),
    ]
    found = [graded.contexts for graded in cache.all_graded([picture], plans)]
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[1], found[2])
