"""The scorer in the package, on real photographs: what a user gets out of the box."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rsfiqa import RSFIQA, Assessment
from rsfiqa.learning.distortions import distort, spoil_region
from rsfiqa.samples import sample_names, sample_picture
from rsfiqa.scoring.checkpoint import WEIGHTS, default_folder, load_checkpoint

BIQ2021 = Path(__file__).parents[2] / "shared" / "data" / "biq2021"


@pytest.fixture(scope="module")
def assessor(real_asset: Callable[[str], Path]) -> RSFIQA:
    for name in ("dinov2-small", "efficientnet-lite0"):
        real_asset(name)
    return RSFIQA.from_pretrained(reader="none")  # which is faster, and has to do as well


@pytest.fixture(scope="module")
def samples(assessor: RSFIQA) -> dict[str, Assessment]:
    return {name: assessor.assess(sample_picture(name), name=name) for name in sample_names()}


def test_the_weights_are_small_and_have_a_card() -> None:
    assert (default_folder() / WEIGHTS).stat().st_size < 12e6
    checkpoint = load_checkpoint(default_folder())
    card = (default_folder() / "README.md").read_text(encoding="utf-8")
    assert checkpoint.name in card
    for word in ("BIQ2021", "SRCC", "seed", "Apache-2.0", "rsfiqa train"):
        assert word in card


def test_scores_of_samples_are_those_of_the_release(samples: dict[str, Assessment]) -> None:
    """Golden values: unread, with the scorer in the package, fp32, when it was committed."""
    scores = {name: assessment.score for name, assessment in samples.items()}
    assert scores == pytest.approx(GOLDEN, abs=0.5)


GOLDEN = {
    "astronaut": 75.10,
    "camera": 67.19,
    "chelsea": 83.35,
    "china": 78.58,
    "clock": 41.72,
    "coffee": 77.66,
    "flower": 77.91,
    "rocket": 77.02,
}


def test_scores_of_read_pictures_are_those_of_the_release(
    real_asset: Callable[[str], Path],
) -> None:
    """Golden values: as above, with the embedded reader, as `rsfiqa assess` reads by default."""
    for name in ("smollm2-135m-instruct", "minilm-l6-v2"):
        real_asset(name)
    assessor = RSFIQA.from_pretrained()
    scores = {name: assessor.assess(sample_picture(name)).score for name in READ_GOLDEN}
    assert scores == pytest.approx(READ_GOLDEN, abs=0.5)


READ_GOLDEN = {"chelsea": 84.69, "clock": 39.29, "coffee": 78.50}


def test_the_explanation_adds_up(samples: dict[str, Assessment]) -> None:
    for assessment in samples.values():
        total = sum(region.weight * region.score for region in assessment.regions)
        assert total == pytest.approx(assessment.score, abs=1e-4)
        assert sum(region.weight for region in assessment.regions) == pytest.approx(1, abs=1e-4)
        attention = assessment.attention_map
        assert attention is not None
        assert attention.sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("family", ["gaussian_noise", "gaussian_blur", "jpeg", "pixelate"])
def test_a_spoiled_region_falls_most(assessor: RSFIQA, family: str) -> None:
    pixels = sample_picture("coffee")
    clean = assessor.assess(pixels)
    region = max(clean.regions, key=lambda r: r.area).id
    spoiled = spoil_region(pixels, clean.partition.mask(region), family, 4)
    after = assessor.assess(spoiled, partition=clean.partition)
    falls = [b.score - a.score for b, a in zip(clean.regions, after.regions, strict=True)]
    assert int(np.argmax(falls)) == region
    assert after.score < clean.score


@pytest.mark.parametrize("family", ["gaussian_noise", "gaussian_blur", "jpeg"])
def test_a_picture_spoiled_all_over_falls(assessor: RSFIQA, family: str) -> None:
    pixels = sample_picture("china")
    assert assessor.assess(distort(pixels, family, 4)).score < assessor.assess(pixels).score - 5


def test_a_batch_gives_what_each_picture_gets_alone(
    assessor: RSFIQA, samples: dict[str, Assessment]
) -> None:
    names = ["coffee", "chelsea", "coffee", "clock"]
    batch = assessor.assess_batch([sample_picture(name) for name in names])
    for name, assessment in zip(names, batch, strict=True):
        assert isinstance(assessment, Assessment)
        assert assessment.partition == samples[name].partition
        assert assessment.score == pytest.approx(samples[name].score, abs=1e-4)


def test_bf16_moves_scores_by_little(assessor: RSFIQA, samples: dict[str, Assessment]) -> None:
    fast = RSFIQA.from_pretrained(reader="none", precision="bf16")
    for name in ("astronaut", "chelsea"):
        partition = samples[name].partition
        assessment = fast.assess(sample_picture(name), partition=partition)
        assert assessment.score == pytest.approx(samples[name].score, abs=0.5)


def test_scores_follow_people_on_photographs_it_was_not_trained_on(assessor: RSFIQA) -> None:
    if not BIQ2021.exists():
        pytest.skip("needs ../shared/data/biq2021, which is not here")
    from rsfiqa.learning.datasets import ScoredImages
    from rsfiqa.learning.metrics import correlations

    data = ScoredImages.from_csv(BIQ2021).split("val").take(24, seed=0)
    results = assessor.assess_batch([row.path for row in data])
    scores = [result.score for result in results if isinstance(result, Assessment)]
    srcc = correlations(scores, [row.score for row in data]).srcc
    assert srcc is not None
    assert srcc > 0.6
